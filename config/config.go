// Package config is what an operator can set: one struct, loaded from one YAML
// file and from environment variables, and refused as a whole when anything in
// it is wrong.
//
// Every scalar of the file is also a variable: its key in capitals, with
// underscores for dots and hyphens, behind TALLYD_ (database.max_conns is
// TALLYD_DATABASE_MAX_CONNS, the first upstream of chain btc is
// TALLYD_CHAINS_BTC_UPSTREAMS_0_URL). A variable wins over the file. A value in
// the file may take in variables of any name as ${NAME}, which keeps secrets out
// of it; a dollar sign itself is written $$.
//
// A key that is absent or empty has its default, and so has a zero where zero
// makes no sense, such as a timeout of 0s. The defaults stand beside the fields
// below and in tallyd.sample.yaml, which a test holds to them.
package config

import (
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
)

// Config is everything an operator can set.
type Config struct {
	// Listen is the address the API listens on. Default 127.0.0.1:8080.
	Listen   string           `yaml:"listen"`
	Log      Log              `yaml:"log"`
	Database Database         `yaml:"database"`
	Redis    Redis            `yaml:"redis"`
	API      API              `yaml:"api"`
	Chains   map[string]Chain `yaml:"chains"`
}

// Log says what is logged and in which form.
type Log struct {
	// Level is the lowest level shown: trace, debug, info, warn or error.
	// Default info.
	Level string `yaml:"level"`
	// Format is json, console, or auto: console on a terminal and json elsewhere.
	// Default auto.
	Format string `yaml:"format"`
}

// Database is the Postgres that holds the ledger.
type Database struct {
	// URL is postgres://user:password@host:port/name?options. `tallyd serve`
	// needs it.
	URL URL `yaml:"url"`
	// Pooler says what stands in between: session for Postgres itself or a pooler
	// in session mode, transaction for one in transaction mode. With transaction
	// no prepared statement and no LISTEN goes through URL. Default session.
	Pooler string `yaml:"pooler"`
	// MaxConns is the number of connections one daemon opens. Default 20.
	MaxConns int `yaml:"max_conns"`
}

// Redis holds sync state and rate limits, never the truth.
type Redis struct {
	// URL is redis://user:password@host:port/db or rediss:// for TLS. Without it
	// the daemon runs without Redis. Default none.
	URL URL `yaml:"url"`
}

// API is what the HTTP surface needs to know.
type API struct {
	// MasterKey is the operator's bearer key, of at least 16 characters. `tallyd
	// serve` needs it.
	MasterKey Secret `yaml:"master_key"`
	// KeyPepper keys the hashes that API keys are stored as, of at least 16
	// characters: with another one no key fits any more. `tallyd serve` needs it.
	KeyPepper Secret `yaml:"key_pepper"`
	// JWTSeed is the Ed25519 seed that signs user tokens, 32 bytes in base64.
	// `tallyd serve` needs it; every daemon on one database needs the same.
	JWTSeed Secret `yaml:"jwt_seed"`
	// BodyLimit is the largest request body in bytes. Default 65536.
	BodyLimit int64 `yaml:"body_limit"`
	// PublicURL is the address clients know this API by, shown in its OpenAPI
	// document. Default none: the address of the request.
	PublicURL string `yaml:"public_url"`
}

// SigningKey returns the key of JWTSeed, or an error that does not show it.
func (a API) SigningKey() (ed25519.PrivateKey, error) {
	seed, err := base64.StdEncoding.DecodeString(a.JWTSeed.Reveal())
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("must be 32 bytes in base64")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// settle puts the defaults where nothing is set.
func (c *Config) settle() {
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:8080")
	c.Log.Level = cmp.Or(c.Log.Level, "info")
	c.Log.Format = cmp.Or(c.Log.Format, "auto")
	c.Database.Pooler = cmp.Or(c.Database.Pooler, "session")
	c.Database.MaxConns = cmp.Or(c.Database.MaxConns, 20)
	c.API.BodyLimit = cmp.Or(c.API.BodyLimit, 64<<10)
	for slug, chain := range c.Chains {
		chain.settle()
		c.Chains[slug] = chain
	}
}
