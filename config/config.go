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
	"fmt"
	"os"
	"strings"
)

// Config is everything an operator can set.
type Config struct {
	// Listen is the address the API listens on. Default 127.0.0.1:8080.
	Listen   string           `yaml:"listen"`
	Log      Log              `yaml:"log"`
	Database Database         `yaml:"database"`
	Redis    Redis            `yaml:"redis"`
	API      API              `yaml:"api"`
	Secrets  Secrets          `yaml:"secrets"`
	Webhooks Webhooks         `yaml:"webhooks"`
	Custody  Custody          `yaml:"custody"`
	Venues   Venues           `yaml:"venues"`
	NFT      NFT              `yaml:"nft"`
	Prices   Prices           `yaml:"prices"`
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
	// characters: with another one no key fits any more, unless this one stands in
	// AcceptedKeyPeppers. `tallyd serve` needs it.
	KeyPepper Secret `yaml:"key_pepper"`
	// AcceptedKeyPeppers are earlier values of KeyPepper. A key stored under one of
	// them goes on working. Default none.
	AcceptedKeyPeppers []Secret `yaml:"accepted_key_peppers"`
	// JWTSeed is the Ed25519 seed that signs user tokens, 32 bytes in base64.
	// `tallyd serve` needs it; every daemon on one database needs the same.
	JWTSeed Secret `yaml:"jwt_seed"`
	// AcceptedJWTSeeds are seeds whose tokens are taken too: the next one, before
	// it signs, and the last one, until its tokens have ended. Default none.
	AcceptedJWTSeeds []Secret `yaml:"accepted_jwt_seeds"`
	// Secure asks every caller for a key or a token. Off, everybody may do
	// everything; that is possible only where Listen is a loopback address.
	// Default true.
	Secure Switch `yaml:"secure"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed, such as
	// 10.0.0.0/8. Default none: the caller's address is that of its connection.
	TrustedProxies []Network `yaml:"trusted_proxies"`
	Limits         Limits    `yaml:"limits"`
	// BodyLimit is the largest request body in bytes. Default 65536.
	BodyLimit int64 `yaml:"body_limit"`
	// AuditDays is how long lines of the audit log are kept, in days. Default 365.
	AuditDays int `yaml:"audit_days"`
	// PublicURL is the address clients know this API by, shown in its OpenAPI
	// document. Default none: the address of the request.
	PublicURL string `yaml:"public_url"`
}

// Limits are how many requests a caller may send in a minute: all of them at once,
// and then one in each share of the minute. A key may have a budget of its own.
type Limits struct {
	// CustodyPerMinute is the budget of a key on the custody surface. Default 120.
	CustodyPerMinute int `yaml:"custody_per_minute"`
	// PerMinute is the budget of a key or a user token elsewhere. Default 6000.
	PerMinute int `yaml:"per_minute"`
	// AnonymousPerMinute is the budget of an address whose requests come without
	// credentials, or with bad ones. Default 60.
	AnonymousPerMinute int `yaml:"anonymous_per_minute"`
}

// Secrets is where the keys are that seal what must be read again: signing secrets
// and credentials.
type Secrets struct {
	// Keyset is a tink keyset in JSON, as `tallyd secrets keyset` prints one.
	// `tallyd serve` needs it or KeysetFile; every daemon on one database needs the
	// same. Without it what it sealed is lost.
	Keyset Secret `yaml:"keyset"`
	// KeysetFile is the path of a file that holds the keyset instead. Default none.
	KeysetFile string `yaml:"keyset_file"`
}

// Read returns the keyset, from its file if it is in one, or "" if none is set.
func (s Secrets) Read() (Secret, error) {
	if s.KeysetFile == "" {
		return s.Keyset, nil
	}
	text, err := os.ReadFile(s.KeysetFile)
	if err != nil {
		return Secret{}, fmt.Errorf("secrets.keyset_file: %w", err)
	}
	return NewSecret(strings.TrimSpace(string(text))), nil
}

// Seeds returns JWTSeed and then AcceptedJWTSeeds, decoded. An error shows none of
// them.
func (a API) Seeds() ([][]byte, error) {
	var seeds [][]byte
	for _, text := range append([]Secret{a.JWTSeed}, a.AcceptedJWTSeeds...) {
		seed, err := decodeSeed(text)
		if err != nil {
			return nil, err
		}
		seeds = append(seeds, seed)
	}
	return seeds, nil
}

func decodeSeed(text Secret) ([]byte, error) {
	seed, err := base64.StdEncoding.DecodeString(text.Reveal())
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("must be 32 bytes in base64")
	}
	return seed, nil
}

// Peppers returns KeyPepper and then AcceptedKeyPeppers.
func (a API) Peppers() [][]byte {
	peppers := [][]byte{[]byte(a.KeyPepper.Reveal())}
	for _, pepper := range a.AcceptedKeyPeppers {
		peppers = append(peppers, []byte(pepper.Reveal()))
	}
	return peppers
}

// settle puts the defaults where nothing is set.
func (c *Config) settle() {
	c.Listen = cmp.Or(c.Listen, "127.0.0.1:8080")
	c.Log.Level = cmp.Or(c.Log.Level, "info")
	c.Log.Format = cmp.Or(c.Log.Format, "auto")
	c.Database.Pooler = cmp.Or(c.Database.Pooler, "session")
	c.Database.MaxConns = cmp.Or(c.Database.MaxConns, 20)
	c.API.BodyLimit = cmp.Or(c.API.BodyLimit, 64<<10)
	c.API.AuditDays = cmp.Or(c.API.AuditDays, 365)
	c.API.Limits.CustodyPerMinute = cmp.Or(c.API.Limits.CustodyPerMinute, 120)
	c.API.Limits.PerMinute = cmp.Or(c.API.Limits.PerMinute, 6000)
	c.API.Limits.AnonymousPerMinute = cmp.Or(c.API.Limits.AnonymousPerMinute, 60)
	c.Webhooks.settle()
	c.Venues.settle()
	c.NFT.settle()
	c.Prices.settle()
	for slug, chain := range c.Chains {
		chain.settle()
		c.Chains[slug] = chain
	}
}
