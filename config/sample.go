package config

import _ "embed"

//go:embed tallyd.sample.yaml
var sample string

// Sample returns the commented sample file: every key with its default, two
// chains, and the variables it takes its secrets from.
func Sample() string { return sample }
