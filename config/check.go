package config

import (
	"maps"
	"math"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	slugPattern     = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	networkPattern  = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	contractPattern = regexp.MustCompile(`^0x[0-9a-fA-F]{40}$`)
)

// maxPerMinute bounds a budget: more than any daemon serves.
const maxPerMinute = 10_000_000

// maxGapLimit bounds what one descriptor can make a daemon derive and watch.
const maxGapLimit = 10_000

// check reports every value that cannot work, whatever the command.
func (c Config) check(p problems) {
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || !isPort(port) {
		p.add("listen", "must be host:port, such as 127.0.0.1:8080")
	}
	oneOf(p, "log.level", c.Log.Level, "trace", "debug", "info", "warn", "error")
	oneOf(p, "log.format", c.Log.Format, "auto", "json", "console")

	checkURL(p, "database.url", c.Database.URL, "postgres", "postgresql")
	oneOf(p, "database.pooler", c.Database.Pooler, "session", "transaction")
	notNegative(p, "database.max_conns", c.Database.MaxConns)
	checkURL(p, "redis.url", c.Redis.URL, "redis", "rediss")

	c.API.check(p)
	if c.Secrets.Keyset.Reveal() != "" && c.Secrets.KeysetFile != "" {
		p.add("secrets.keyset_file", "is for those who do not set secrets.keyset")
	}
	if !c.API.Secure.On() && !isLoopback(c.Listen) {
		p.add("api.secure", "can be false only where listen is a loopback address, such as 127.0.0.1:8080")
	}

	c.Webhooks.check(p)
	c.NFT.check(p)
	notNegative(p, "custody.cooling_off", c.Custody.CoolingOff)
	c.Venues.check(p)
	c.Prices.check(p, c.Chains)

	owners := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(c.Chains)) {
		key, chain := "chains."+name, c.Chains[name]
		if !slugPattern.MatchString(name) {
			p.add(key, "a chain's name begins with a lower-case letter and has lower-case letters, digits and hyphens, at most 32")
		}
		chain.check(p, key)
		id := chain.Family + " " + chain.Network
		if owner, taken := owners[id]; taken && chain.Network != "" {
			p.add(key+".network", "is the network of chains.%s already", owner)
		}
		owners[id] = name
	}
}

// check reports what cannot work in what the API needs to know.
func (a API) check(p problems) {
	long := func(key string, secret Secret) {
		if text := secret.Reveal(); text != "" && len(text) < 16 {
			p.add(key, "must have at least 16 characters")
		}
	}
	long("api.master_key", a.MasterKey)
	long("api.key_pepper", a.KeyPepper)
	for i, pepper := range a.AcceptedKeyPeppers {
		key := "api.accepted_key_peppers." + strconv.Itoa(i)
		long(key, pepper)
		if pepper.Reveal() == "" {
			p.add(key, "is empty")
		}
	}
	seed := func(key string, text Secret) {
		if _, err := decodeSeed(text); err != nil {
			p.add(key, "%s", err)
		}
	}
	if a.JWTSeed.Reveal() != "" {
		seed("api.jwt_seed", a.JWTSeed)
	}
	for i, text := range a.AcceptedJWTSeeds {
		seed("api.accepted_jwt_seeds."+strconv.Itoa(i), text)
	}
	for i, network := range a.TrustedProxies {
		if !network.IsValid() {
			p.add("api.trusted_proxies."+strconv.Itoa(i), "is empty")
		}
	}
	perMinute := func(key string, n int) {
		if n < 0 || n > maxPerMinute {
			p.add(key, "must be from 0 to %d", maxPerMinute)
		}
	}
	perMinute("api.limits.custody_per_minute", a.Limits.CustodyPerMinute)
	perMinute("api.limits.per_minute", a.Limits.PerMinute)
	perMinute("api.limits.anonymous_per_minute", a.Limits.AnonymousPerMinute)
	notNegative(p, "api.body_limit", a.BodyLimit)
	notNegative(p, "api.audit_days", a.AuditDays)
	checkURL(p, "api.public_url", NewURL(a.PublicURL), "http", "https")
}

// isLoopback reports whether only this machine reaches a listening address.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// check reports what cannot work in one chain.
func (c Chain) check(p problems, key string) {
	oneOf(p, key+".family", c.Family, FamilyBitcoin, FamilyEVM)
	switch {
	case c.Family == FamilyBitcoin && !networkPattern.MatchString(c.Network):
		p.add(key+".network", "must be the name of a network, such as mainnet")
	case c.Family == FamilyEVM && !isChainID(c.Network):
		p.add(key+".network", "must be a chain id, such as 1")
	}
	oneOf(p, key+".environment", c.Environment, "live", "test")
	oneOf(p, key+".trace", c.Trace, "auto", "off")
	notNegative(p, key+".poll_interval", c.PollInterval)
	notNegative(p, key+".fetch_concurrency", c.FetchConcurrency)
	notNegative(p, key+".batch_size", c.BatchSize)
	notNegative(p, key+".timeout", c.Timeout)
	notNegative(p, key+".history_blocks", c.HistoryBlocks)
	if c.GapLimit < 0 || c.GapLimit > maxGapLimit {
		p.add(key+".gap_limit", "must be from 0 to %d", maxGapLimit)
	}
	checkBudget(p, key+".budget", c.Budget)
	if c.Finality.Tag != "" {
		oneOf(p, key+".finality.tag", c.Finality.Tag, "finalized", "safe")
		if c.Family != FamilyEVM {
			p.add(key+".finality.tag", "is for chains of the family evm")
		}
	}
	if len(c.Tokens) > 0 && c.Family != FamilyEVM {
		p.add(key+".tokens", "are for chains of the family evm")
	}
	if c.AcceptMainnetAddresses && (c.Family != FamilyBitcoin || c.Environment != "test") {
		p.add(key+".accept_mainnet_addresses", "is for chains of the family bitcoin in the environment test")
	}
	if c.AllowGenesisChange && c.Environment != "test" {
		p.add(key+".allow_genesis_change", "is for chains in the environment test")
	}
	if len(c.Upstreams) == 0 {
		p.add(key+".upstreams", "a chain needs at least one")
	}
	for i, upstream := range c.Upstreams {
		upstream.check(p, key+".upstreams."+strconv.Itoa(i))
	}
	checkTokens(p, key+".tokens", c.Tokens)
	c.Deposits.check(p, key+".deposits", c)
	c.Withdrawals.check(p, key+".withdrawals", c.Family)
}

// check reports what cannot work in one upstream.
func (u Upstream) check(p problems, key string) {
	if u.URL.Reveal() == "" {
		p.add(key+".url", "is required")
	}
	checkURL(p, key+".url", u.URL, "http", "https")
	checkURL(p, key+".websocket", u.Websocket, "ws", "wss")
	for name, address := range map[string]URL{".url": u.URL, ".websocket": u.Websocket} {
		if parsed, err := url.Parse(address.Reveal()); err == nil && parsed.User != nil {
			p.add(key+name, "must not hold credentials: set user and password")
		}
	}
	if u.User != "" && u.Password.Reveal() == "" {
		p.add(key+".password", "is required with user")
	}
	if u.User == "" && u.Password.Reveal() != "" {
		p.add(key+".user", "is required with password")
	}
	checkBudget(p, key+".budget", u.Budget)
}

func checkTokens(p problems, key string, tokens []Token) {
	seen := make(map[string]bool)
	for i, token := range tokens {
		key := key + "." + strconv.Itoa(i)
		if token.Symbol == "" {
			p.add(key+".symbol", "is required")
		}
		address := strings.ToLower(token.Contract)
		if !contractPattern.MatchString(token.Contract) {
			p.add(key+".contract", "must be 0x and 40 hexadecimal digits")
		} else if seen[address] {
			p.add(key+".contract", "stands in the list twice")
		}
		seen[address] = true
		if token.Decimals < 0 || token.Decimals > 255 {
			p.add(key+".decimals", "must be from 0 to 255")
		}
		if token.Slot < -1 {
			p.add(key+".slot", "must be a slot number, or -1 when it is not known")
		}
	}
}

// Missing returns an error for each of the required keys that is empty, as Load
// would, or nil.
func (c Config) Missing(required ...string) error {
	p := make(problems)
	c.require(required, p)
	return p.join()
}

// require reports the keys of this list that are empty. Of two keys with a bar in
// between one is enough.
func (c Config) require(keys []string, p problems) {
	for _, either := range keys {
		names := strings.Split(either, "|")
		set := slices.ContainsFunc(names, func(key string) bool {
			value := reflect.ValueOf(c)
			for name := range strings.SplitSeq(key, ".") {
				var known bool
				if value, known = fieldNamed(value, name); !known {
					p.add(key, "is required, and is no key")
					return false
				}
			}
			return !value.IsZero()
		})
		if !set {
			sentence := "is required: set it in the file or as " + prefix + variable(names[0])
			if len(names) > 1 {
				sentence += ", or set " + strings.Join(names[1:], " or ")
			}
			p.add(names[0], "%s", sentence)
		}
	}
}

// checkURL reports a URL that is set and of another scheme, or has no host where
// it needs one. The sentence does not show the URL: it may hold a secret.
func checkURL(p problems, key string, address URL, schemes ...string) {
	if address.Reveal() == "" {
		return
	}
	parsed, err := url.Parse(address.Reveal())
	// postgres:///name?host=/folder goes through a socket and has no host.
	socket := schemes[0] == "postgres"
	if err != nil || !slices.Contains(schemes, parsed.Scheme) || (parsed.Hostname() == "" && !socket) {
		p.add(key, "must be a URL that begins with %s://", strings.Join(schemes, ":// or "))
	}
}

func checkBudget(p problems, key string, perSecond float64) {
	if !(perSecond >= 0) || math.IsInf(perSecond, 1) {
		p.add(key, "must be a number of requests per second, or 0 for no limit")
	}
}

func notNegative[N ~int | ~int64](p problems, key string, n N) {
	if n < 0 {
		p.add(key, "must not be negative")
	}
}

func oneOf(p problems, key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(key, "must be one of %s", strings.Join(allowed, ", "))
	}
}

func isPort(text string) bool {
	_, err := strconv.ParseUint(text, 10, 16)
	return err == nil
}

func isChainID(text string) bool {
	id, err := strconv.ParseUint(text, 10, 64)
	return err == nil && id > 0 && strconv.FormatUint(id, 10) == text
}
