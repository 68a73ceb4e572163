package config

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

const (
	password  = "correct horse"
	masterKey = "0123456789abcdef"
)

func seed() string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)) }

// secrets are the variables the sample takes in.
func secrets() []string {
	return []string{
		"DATABASE_PASSWORD=secret", "MASTER_KEY=" + masterKey, "JWT_SEED=" + seed(), "KEY_PEPPER=" + masterKey, "BITCOIN_PASSWORD=" + password,
		`KEYSET={"primaryKeyId":1}`,
	}
}

// least is what the sample says that has no default.
const least = `
database: {url: "postgres://tallyd:secret@127.0.0.1:5432/tallyd"}
api: {master_key: 0123456789abcdef, key_pepper: 0123456789abcdef, jwt_seed: "${JWT_SEED}", accepted_key_peppers: [], accepted_jwt_seeds: [], trusted_proxies: []}
secrets: {keyset: '{"primaryKeyId":1}'}
webhooks: {allow: []}
venues: {enabled: [], schedules: [], base_urls: []}
nft: {allow: []}
prices: {exchanges: [], feeds: [], sequencers: [], pairs: []}
chains:
  btc: {family: bitcoin, network: mainnet, deposits: {rules: []}, upstreams: [{url: "http://127.0.0.1:8332", user: tallyd, password: correct horse}]}
  eth: {family: evm, network: 1, upstreams: [{url: "http://127.0.0.1:8545"}], tokens: []}
`

func TestSampleIsTheDefaults(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tallyd.yaml")
	require.NoError(t, os.WriteFile(path, []byte(Sample()), 0o600))
	shown, err := Load(path, secrets(), "database.url", "api.master_key", "api.key_pepper", "api.jwt_seed", "secrets.keyset|secrets.keyset_file", "chains")
	require.NoError(t, err)
	want, err := parse([]byte(least), secrets(), nil)
	require.NoError(t, err)
	require.Equal(t, want, shown)

	require.Equal(t, "127.0.0.1:8080", want.Listen)
	require.EqualValues(t, 64<<10, want.API.BodyLimit)
	require.Equal(t, 365, want.API.AuditDays)
	require.True(t, want.API.Secure.On())
	require.Equal(t, Limits{CustodyPerMinute: 120, PerMinute: 6000, AnonymousPerMinute: 60}, want.API.Limits)
	require.Equal(t, Webhooks{Ports: []int{80, 443}, Timeout: 15 * time.Second, Concurrency: 2048, KeepDays: 30}, want.Webhooks)
	require.Equal(t, Venues{
		Balances: "@every 1m", History: "@every 10m", Concurrency: 64, Patience: 10 * time.Second, Timeout: 30 * time.Second,
	}, want.Venues)
	require.Equal(t, NFT{Timeout: 10 * time.Second, MaxBytes: 1 << 20, Concurrency: 8, Refresh: 168 * time.Hour}, want.NFT)
	btc, eth := want.Chains["btc"], want.Chains["eth"]
	require.Equal(t, 2*time.Second, btc.PollInterval)
	require.Equal(t, uint64(64), eth.Finality.Depth)
	require.True(t, btc.Mempool && btc.Upstreams[0].REST)
	require.Equal(t, 30*time.Second, btc.Timeout)
	_, fixed := btc.StartHeight.Height()
	require.False(t, fixed)
}

func TestSampleShowsEveryKey(t *testing.T) {
	t.Parallel()
	var visit func(of reflect.Type)
	visit = func(of reflect.Type) {
		if scalar(of) {
			return
		}
		if of.Kind() != reflect.Struct {
			visit(of.Elem())
			return
		}
		for field := range of.Fields() {
			name := field.Tag.Get("yaml")
			require.NotEmpty(t, name, "%s.%s has no key", of, field.Name)
			require.Regexp(t, `(?m)^ *(# +)?(- )?`+name+`:`, Sample())
			visit(field.Type)
		}
	}
	visit(reflect.TypeFor[Config]())
}

func TestNothingSet(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"", "# only a comment\n", "---\n", "log:\ndatabase: ~\n"} {
		cfg, err := parse([]byte(document), nil, nil)
		require.NoError(t, err, document)
		require.Equal(t, "session", cfg.Database.Pooler)
		require.Empty(t, cfg.Chains)
	}
}

func TestZeroWhereItMakesNoSenseIsTheDefault(t *testing.T) {
	t.Parallel()
	cfg, err := parse([]byte(`
database: {max_conns: 0}
chains: {eth: {family: evm, network: 5, timeout: 0s, start_height: 0, budget: 2.5, mempool: false,
  upstreams: [{url: "http://a"}, {url: "http://b", budget: 9, rest: false}],
  tokens: [{symbol: A, contract: "0x00000000000000000000000000000000000000aa", decimals: 0, slot: 0},
           {symbol: B, contract: "0x00000000000000000000000000000000000000bb"}]}}`), nil, nil)
	require.NoError(t, err)
	require.Equal(t, 20, cfg.Database.MaxConns)
	eth := cfg.Chains["eth"]
	require.Equal(t, 30*time.Second, eth.Timeout)
	require.Equal(t, StartAt(0), eth.StartHeight)
	require.False(t, eth.Mempool)
	require.Equal(t, []Upstream{
		{URL: NewURL("http://a"), REST: true, Budget: 2.5},
		{URL: NewURL("http://b"), Budget: 9},
	}, eth.Upstreams)
	require.Equal(t, 0, eth.Tokens[0].Decimals+eth.Tokens[0].Slot)
	require.Equal(t, []int{18, -1}, []int{eth.Tokens[1].Decimals, eth.Tokens[1].Slot})
	require.Equal(t, DefaultChain(FamilyEVM).PollInterval, eth.PollInterval)
}

// When deposits are credited, where nobody says so and where somebody does.
func TestDeposits(t *testing.T) {
	t.Parallel()
	cfg, err := parse([]byte(`
chains:
  btc: {family: bitcoin, network: mainnet, finality: {depth: 9}, upstreams: [{url: "http://a"}]}
  ltc: {family: bitcoin, network: litecoin, upstreams: [{url: "http://a"}]}
  doge: {family: bitcoin, network: dogecoin, upstreams: [{url: "http://a"}]}
  bch: {family: bitcoin, network: bitcoincash, deposits: {credit: 15, reorg_limit: 3, rules: [{from: "0.5", credit: 20}]}, upstreams: [{url: "http://a"}]}
  eth: {family: evm, network: 1, upstreams: [{url: "http://a"}]}
  op: {family: evm, network: 10, finality: {tag: finalized}, upstreams: [{url: "http://a"}], tokens: [{symbol: A, contract: "0x00000000000000000000000000000000000000AA", decimals: 2}],
    deposits: {credit: safe, rules: [{asset: "0x00000000000000000000000000000000000000aa", from: "7.25", credit: finalized}]}}`), nil, nil)
	require.NoError(t, err)
	for slug, want := range map[string]Deposits{
		"btc":  {Credit: Confirmed(3), ReorgLimit: 9},
		"ltc":  {Credit: Confirmed(12), ReorgLimit: 6},
		"doge": {Credit: Confirmed(60), ReorgLimit: 6},
		"bch":  {Credit: Confirmed(15), ReorgLimit: 3, Rules: []CreditRule{{From: "0.5", Credit: Confirmed(20)}}},
		"eth":  {Credit: Credit{Tag: "finalized"}, ReorgLimit: 64},
		"op": {Credit: Credit{Tag: "safe"}, ReorgLimit: 64, Rules: []CreditRule{
			{Asset: "0x00000000000000000000000000000000000000aa", From: "7.25", Credit: Credit{Tag: "finalized"}},
		}},
	} {
		require.Equal(t, want, cfg.Chains[slug].Deposits, slug)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	const node = `family: bitcoin, network: mainnet, upstreams: [{url: "http://n"}]`
	for _, test := range []struct {
		name     string
		document string
		environ  []string
		want     []string // how each line of the error begins, in order
	}{
		{
			name: "UnknownKeys", document: "listn: x\nlog: {detail: info}\nchains: {btc: {" + node + ", hight: 1}}",
			want: []string{"chains.btc.hight: unknown key", "listn: unknown key", "log.detail: unknown key"},
		},
		{
			name: "UnknownVariables", environ: []string{"TALLYD_LISTN=x", "TALLYD_CHAINS_BTC_HIGHT=1", "TALLYD_=x", "TALLYD_LOG=x"},
			want: []string{"TALLYD_: unknown", "TALLYD_CHAINS_BTC_HIGHT: unknown", "TALLYD_LISTN: unknown", "TALLYD_LOG: unknown"},
		},
		{
			name: "Urls", document: `
database: {url: "mysql://u:hunter2@h/d"}
redis: {url: "hunter2"}
api: {public_url: "example.com"}
chains: {btc: {family: bitcoin, network: mainnet, upstreams: [{url: "ftp://hunter2"}, {url: "http://u:hunter2@h"}, {url: "http://h", websocket: "http://hunter2"}, {}]}}`,
			want: []string{
				"api.public_url: must be a URL", "chains.btc.upstreams.0.url: must be a URL", "chains.btc.upstreams.1.url: must not hold credentials",
				"chains.btc.upstreams.2.websocket: must be a URL", "chains.btc.upstreams.3.url: is required",
				"database.url: must be a URL", "redis.url: must be a URL",
			},
		},
		{
			name: "Durations", document: "chains: {btc: {" + node + ", timeout: soon, poll_interval: -1s}}",
			want: []string{"chains.btc.poll_interval: must not be negative", "chains.btc.timeout: must be a duration"},
		},
		{
			name: "Secrets", document: `
api: {master_key: "${GONE}", jwt_seed: hunter2}
chains: {btc: {family: bitcoin, network: mainnet, upstreams: [{url: "http://a", user: u}, {url: "http://a", password: hunter2}]}}`,
			want: []string{
				"api.jwt_seed: must be 32 bytes", "api.master_key: the environment variable GONE is not set",
				"chains.btc.upstreams.0.password: is required", "chains.btc.upstreams.1.user: is required",
			},
		},
		{
			name: "OldSecrets", document: "api: {accepted_key_peppers: [hunter2, ''], accepted_jwt_seeds: [hunter2]}\nsecrets: {keyset: hunter2, keyset_file: /k}",
			want: []string{
				"api.accepted_jwt_seeds.0: must be 32 bytes", "api.accepted_key_peppers.0: must have at least 16",
				"api.accepted_key_peppers.1: is empty", "secrets.keyset_file: is for those who do not set",
			},
		},
		{
			name: "Access", document: "listen: 0.0.0.0:80\napi: {secure: false, trusted_proxies: [10.0.0.0, 10.0.0.0/8x, ~], limits: {custody_per_minute: -1, per_minute: -1, anonymous_per_minute: x}}",
			want: []string{
				"api.limits.anonymous_per_minute: must be a whole number", "api.limits.custody_per_minute: must be from 0", "api.limits.per_minute: must be from 0",
				"api.secure: can be false only where listen is", "api.trusted_proxies.1: must be a network", "api.trusted_proxies.2: is empty",
			},
		},
		{name: "Secure", document: "api: {secure: perhaps}", want: []string{"api.secure: must be true or false"}},
		{name: "SecureAllAddresses", document: "listen: ':8080'\napi: {secure: false}", want: []string{"api.secure: can be"}},
		{name: "SecureHost", document: "listen: 'tallyd.example:8080'\napi: {secure: false}", want: []string{"api.secure: can be"}},
		{name: "ListWithAHole", environ: []string{"TALLYD_API_ACCEPTED_KEY_PEPPERS_1=0123456789abcdef"}, want: []string{"api.accepted_key_peppers.0: is empty"}},
		{name: "UpstreamWithAHole", environ: []string{
			"TALLYD_CHAINS_BTC_FAMILY=bitcoin", "TALLYD_CHAINS_BTC_NETWORK=mainnet", "TALLYD_CHAINS_BTC_UPSTREAMS_1_URL=http://h",
		}, want: []string{"chains.btc.upstreams.0.url: is required"}},
		{
			name: "Deposits",
			document: "custody: {cooling_off: -1s}\nchains: {btc: {" + node + `, deposits: {credit: 0, reorg_limit: -1, rules: [
  {from: "1.123456789", credit: 2}, {from: "1e3", credit: 2}, {from: "-1", credit: 2}, {from: "5"}, {credit: safe}, {asset: "0x01", credit: soon}]}}}`,
			want: []string{
				"chains.btc.deposits.credit: must be a number of confirmations, safe or finalized", "chains.btc.deposits.reorg_limit: must be",
				"chains.btc.deposits.rules.0.from: must be an amount", "chains.btc.deposits.rules.1.from: must be an amount",
				"chains.btc.deposits.rules.2.from: must be an amount", "chains.btc.deposits.rules.3.credit: is required",
				"chains.btc.deposits.rules.4.credit: can be safe only", "chains.btc.deposits.rules.5.asset: must be the contract",
				"chains.btc.deposits.rules.5.credit: must be a number", "custody.cooling_off: must not be negative",
			},
		},
		{
			name: "Venues", document: `
venues: {enabled: [kraken, "", none, kraken], user_agent: "a\tb", concurrency: -1, patience: -1s, timeout: soon, base_url: x, schedules: [{venue: okx}, {history: x}, {venue: okx}], base_urls: [
  {venue: okx, url: "http://hunter2.example"}, {url: "https://u:hunter2@h"}, {venue: okx}, {venue: okx, url: "ftp://h"}, {venue: okx, url: "https://h?k=hunter2"}]}`,
			want: []string{
				"venues.base_url: unknown key", "venues.base_urls.0.url: must begin with https://, since", "venues.base_urls.1.url: must be no more than",
				"venues.base_urls.1.venue: is required", "venues.base_urls.2.url: is required", "venues.base_urls.3.url: must be a URL",
				"venues.base_urls.4.url: must be no more than", "venues.concurrency: must not", "venues.enabled.1: is empty",
				"venues.enabled.2: none stands alone", "venues.enabled.3: stands in the list twice", "venues.patience: must not",
				"venues.schedules.1.venue: is required", "venues.schedules.2.venue: stands in the list twice", "venues.timeout: must be a duration",
				"venues.user_agent: must be",
			},
		},
		{name: "ShortMasterKey", document: "api: {master_key: hunter2}", want: []string{"api.master_key: must have"}},
		{name: "Dollar", document: "api: {master_key: 'hunter2$hunter2hunter2'}", want: []string{"api.master_key: a dollar sign"}},
		{name: "ChainTwice", document: "chains: {btc: {" + node + "}, btc: {" + node + "}}", want: []string{"chains.btc: stands twice"}},
		{name: "NetworkTwice", document: "chains: {btc: {" + node + "}, b2: {" + node + "}}", want: []string{"chains.btc.network: is the network of chains.b2"}},
		{
			name: "Numbers", document: "database: {max_conns: -1}\napi: {body_limit: big}\nchains: {btc: {" + node +
				", batch_size: -5, fetch_concurrency: 1.5, gap_limit: -2, budget: -1, start_height: -3, finality: {depth: -6}}}",
			want: []string{
				"api.body_limit: must be a whole number", "chains.btc.batch_size: must not be negative", "chains.btc.budget: must be a number",
				"chains.btc.fetch_concurrency: must be a whole number", "chains.btc.finality.depth: must be a whole number and not negative",
				"chains.btc.gap_limit: must be from 0 to 10000", "chains.btc.start_height: must be a block height", "database.max_conns: must not be negative",
			},
		},
		{name: "NotANumberOfRequests", document: "chains: {btc: {" + node + ", budget: .nan}}", want: []string{"chains.btc.budget: must be a number"}},
		{
			name: "Words", document: "listen: nowhere\nlog: {level: loud, format: xml}\ndatabase: {pooler: statement}\nchains: {BTC: {family: dog}, eth: {family: evm, network: mainnet, environment: prod, trace: deep, finality: {tag: latest}}}",
			want: []string{
				"chains.BTC: a chain's name", "chains.BTC.family: must be one of", "chains.BTC.upstreams: a chain needs",
				"chains.eth.environment: must be", "chains.eth.finality.tag: must be", "chains.eth.network: must be a chain id",
				"chains.eth.trace: must be", "chains.eth.upstreams: a chain needs",
				"database.pooler: must be", "listen: must be host:port", "log.format: must be", "log.level: must be",
			},
		},
		{
			name: "WrongFamily", document: "chains: {btc: {" + node + ", finality: {tag: safe}, tokens: [{symbol: A, contract: '0x1', decimals: -1, slot: -2}]}}",
			want: []string{
				"chains.btc.finality.tag: is for chains of the family evm", "chains.btc.tokens: are for", "chains.btc.tokens.0.contract: must be 0x", "chains.btc.tokens.0.decimals: must",
				"chains.btc.tokens.0.slot: must",
			},
		},
		{
			name: "DevelopmentOnly", document: "chains: {btc: {" + node + ", accept_mainnet_addresses: true, allow_genesis_change: true}}",
			want: []string{"chains.btc.accept_mainnet_addresses: is for", "chains.btc.allow_genesis_change: is for"},
		},
		{
			name: "Shapes", document: "listen: [1]\nlog: quiet\nchains: [btc]\nredis: {url: {a: b}}",
			want: []string{"chains: must be a section", "listen: must be a single value", "log: must be a section", "redis.url: must be a single value"},
		},
		{name: "ListTop", document: "- 1", environ: []string{"TALLYD_LISTEN=:1"}, want: []string{"configuration: must be a section"}},
		{name: "Alias", document: "log: &l {level: info}\nredis: *l", want: []string{"redis: aliases are not taken"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := parse([]byte(test.document), test.environ, nil)
			require.Error(t, err)
			lines := strings.Split(err.Error(), "\n")
			require.Len(t, lines, len(test.want), err)
			for i, want := range test.want {
				require.Truef(t, strings.HasPrefix(lines[i], want), "%q does not begin with %q", lines[i], want)
			}
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestRequired(t *testing.T) {
	t.Parallel()
	_, err := Load("", nil, "database.url", "chains")
	require.EqualError(t, err, "chains: is required: set it in the file or as TALLYD_CHAINS\n"+
		"database.url: is required: set it in the file or as TALLYD_DATABASE_URL")
	_, err = Load("", []string{"TALLYD_DATABASE_URL=postgres:///tallyd?host=/run"}, "database.url")
	require.NoError(t, err)

	_, err = Load("", nil, "secrets.keyset|secrets.keyset_file")
	require.EqualError(t, err, "secrets.keyset: is required: set it in the file or as TALLYD_SECRETS_KEYSET, or set secrets.keyset_file")
	for _, one := range []string{"TALLYD_SECRETS_KEYSET={}", "TALLYD_SECRETS_KEYSET_FILE=/k"} {
		_, err = Load("", []string{one}, "secrets.keyset|secrets.keyset_file")
		require.NoError(t, err)
	}
}

func TestFileCannotBeRead(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = parse([]byte("a: [1"), nil, nil)
	require.ErrorContains(t, err, "read configuration")
	_, err = parse([]byte("log: {}\n---\nlog: {}\n"), nil, nil)
	require.ErrorContains(t, err, "more than one document")
}

func TestVariables(t *testing.T) {
	t.Parallel()
	document := []byte(`
listen: 127.0.0.1:1
chains:
  base: {family: evm, network: 8453, upstreams: [{url: "http://base"}]}
  base-sepolia: {family: evm, network: 84532, upstreams: [{url: "http://sepolia"}]}`)
	cfg, err := parse(document, []string{
		"TALLYD_LISTEN=127.0.0.1:2",
		"TALLYD_API_BODY_LIMIT=1000",
		"TALLYD_API_MASTER_KEY=${literal}$master-key",
		"TALLYD_API_SECURE=0",
		"TALLYD_API_LIMITS_PER_MINUTE=7",
		"TALLYD_API_ACCEPTED_KEY_PEPPERS_1=second pepper....",
		"TALLYD_API_ACCEPTED_KEY_PEPPERS_0=first pepper.....",
		"TALLYD_API_TRUSTED_PROXIES_0=10.1.2.3/8",
		"TALLYD_API_TRUSTED_PROXIES_1=::ffff:192.0.2.1",
		"TALLYD_SECRETS_KEYSET={}",
		"TALLYD_CHAINS_BASE_SEPOLIA_TIMEOUT=9s",
		"TALLYD_CHAINS_BASE_FINALITY_TAG=safe",
		"TALLYD_CHAINS_BASE_TOKENS_0_SYMBOL=USDC",
		"TALLYD_CHAINS_BASE_TOKENS_0_CONTRACT=0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
		"TALLYD_CHAINS_LTC_TESTNET_FAMILY=bitcoin",
		"TALLYD_CHAINS_LTC_TESTNET_NETWORK=litecoin-testnet",
		"TALLYD_CHAINS_LTC_TESTNET_START_HEIGHT=12",
		"TALLYD_CHAINS_LTC_TESTNET_UPSTREAMS_1_URL=http://second",
		"TALLYD_CHAINS_LTC_TESTNET_UPSTREAMS_0_URL=http://first",
		"TALLYD_CHAINS_LTC_TESTNET_UPSTREAMS_0_REST=false",
		// What is no setting is left alone: a tool's place, another program's
		// variable, what Kubernetes sets for a service of this name.
		"TALLYD_PG_BIN=/usr/bin", "HOME=/", "TALLYD_SERVICE_HOST=10.0.0.1", "TALLYD_PORT_8080_TCP=tcp://10.0.0.1:8080", "TALLYD_API_SERVICE_PORT=1",
	}, nil)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:2", cfg.Listen)
	require.EqualValues(t, 1000, cfg.API.BodyLimit)
	require.Equal(t, "${literal}$master-key", cfg.API.MasterKey.Reveal())
	require.False(t, cfg.API.Secure.On())
	require.Equal(t, 7, cfg.API.Limits.PerMinute)
	require.Equal(t, "first pepper.....", cfg.API.AcceptedKeyPeppers[0].Reveal())
	require.Equal(t, "second pepper....", cfg.API.AcceptedKeyPeppers[1].Reveal())
	require.Equal(t, []Network{{netip.MustParsePrefix("10.0.0.0/8")}, {netip.MustParsePrefix("192.0.2.1/32")}}, cfg.API.TrustedProxies)
	require.Equal(t, "{}", cfg.Secrets.Keyset.Reveal())
	require.Equal(t, 9*time.Second, cfg.Chains["base-sepolia"].Timeout)
	require.Equal(t, "safe", cfg.Chains["base"].Finality.Tag)
	require.Equal(t, "USDC", cfg.Chains["base"].Tokens[0].Symbol)
	ltc := cfg.Chains["ltc-testnet"]
	require.Equal(t, StartAt(12), ltc.StartHeight)
	require.Equal(t, "http://first", ltc.Upstreams[0].URL.Reveal())
	require.False(t, ltc.Upstreams[0].REST)
	require.Equal(t, "http://second", ltc.Upstreams[1].URL.Reveal())
	require.True(t, ltc.Upstreams[1].REST)
}

// Every scalar of the file is a variable too.
func TestEveryScalarIsAVariable(t *testing.T) {
	t.Parallel()
	var visit func(of reflect.Type, path []string)
	visit = func(of reflect.Type, path []string) {
		if scalar(of) {
			got, known := resolve(reflect.TypeFor[Config](), variable(strings.Join(path, ".")), []string{"my-chain"})
			require.True(t, known, path)
			require.Equal(t, path, got)
			return
		}
		switch of.Kind() {
		case reflect.Map:
			visit(of.Elem(), append(path, "my-chain"))
		case reflect.Slice:
			visit(of.Elem(), append(path, "3"))
		default:
			for field := range of.Fields() {
				visit(field.Type, append(slices.Clip(path), field.Tag.Get("yaml")))
			}
		}
	}
	visit(reflect.TypeFor[Config](), nil)
}

func TestSubstitution(t *testing.T) {
	t.Parallel()
	cfg, err := parse([]byte(`{log: {level: "${LEVEL}"}, database: {max_conns: "${N}", url: "postgres://u:${P}x@${H}/$$"}}`),
		[]string{"LEVEL=warn", "N=7", "P=a=b", "H=host"}, nil)
	require.NoError(t, err)
	require.Equal(t, "warn", cfg.Log.Level)
	require.Equal(t, 7, cfg.Database.MaxConns)
	require.Equal(t, "postgres://u:a=bx@host/$", cfg.Database.URL.Reveal())
}

func TestSeedsAndPeppers(t *testing.T) {
	t.Parallel()
	old := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{8}, 32))
	api := API{
		JWTSeed: NewSecret(seed()), AcceptedJWTSeeds: []Secret{NewSecret(old)},
		KeyPepper: NewSecret("a"), AcceptedKeyPeppers: []Secret{NewSecret("b"), NewSecret("c")},
	}
	seeds, err := api.Seeds()
	require.NoError(t, err)
	require.Equal(t, [][]byte{bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{8}, 32)}, seeds)
	require.Equal(t, [][]byte{[]byte("a"), []byte("b"), []byte("c")}, api.Peppers())
	_, err = API{}.Seeds()
	require.Error(t, err)
}

func TestKeysetInAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keyset.json")
	require.NoError(t, os.WriteFile(path, []byte("{}\n"), 0o600))
	for want, secrets := range map[string]Secrets{"": {}, "[]": {Keyset: NewSecret("[]")}, "{}": {KeysetFile: path}} {
		got, err := secrets.Read()
		require.NoError(t, err)
		require.Equal(t, want, got.Reveal())
	}
	_, err := Secrets{KeysetFile: path + "x"}.Read()
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "secrets.keyset_file")
}

// Where nobody else can come from, the API may be open.
func TestInsecureOnLoopback(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		cfg, err := parse([]byte("listen: '"+listen+"'\napi: {secure: false}"), nil, nil)
		require.NoError(t, err, listen)
		require.False(t, cfg.API.Secure.On())
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	cfg, err := parse([]byte(Sample()), secrets(), nil)
	require.NoError(t, err)
	text, err := cfg.Redacted()
	require.NoError(t, err)
	for _, secret := range []string{":secret@", masterKey, seed(), password, "primaryKeyId"} {
		require.NotContains(t, text, secret)
	}
	require.Contains(t, text, "master_key: '***'")
	require.Contains(t, text, "secure: \"true\"")
	require.Contains(t, text, "url: postgres://127.0.0.1:5432/***")
	require.Contains(t, text, "url: http://127.0.0.1:8332\n")
	require.Contains(t, text, "start_height: tip")

	var log bytes.Buffer
	logger := zerolog.New(&log)
	logger.Info().Interface("config", cfg).Stringer("key", cfg.API.MasterKey).Msg("configuration loaded")
	require.NotContains(t, log.String(), masterKey)
	require.Contains(t, log.String(), `"key":"***"`)
}
