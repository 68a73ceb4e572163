package main

import (
	"maps"
	"slices"

	"github.com/rs/zerolog"

	"tallyd/chains"
	"tallyd/chains/all"
	"tallyd/config"
)

// misplaced returns the slugs of the chains whose network is known for one of test
// money and whose environment is live, which it is where nobody says so: the keys of
// live customers see them, and their coins count beside live ones.
func misplaced(cfg config.Config) []string {
	var slugs []string
	for _, slug := range slices.Sorted(maps.Keys(cfg.Chains)) {
		c := cfg.Chains[slug]
		if chains.Environment(c.Environment) == chains.Live && all.IsTest(chains.Family(c.Family), c.Network) {
			slugs = append(slugs, slug)
		}
	}
	return slugs
}

// warnMisplaced says so in the log of what starts.
func warnMisplaced(cfg config.Config, log zerolog.Logger) {
	for _, slug := range misplaced(cfg) {
		log.Warn().Str("chain", slug).Str("network", cfg.Chains[slug].Network).Msg("test network is live: set its environment to test")
	}
}
