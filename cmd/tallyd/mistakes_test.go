package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/store/embedded"
	"tallyd/store/secret"
)

// tallyd runs a command as main does, and returns what it printed.
func tallyd(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var out bytes.Buffer
	cmd := root(func(zerolog.Logger) {})
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	return out.String(), err
}

// settingsFile writes settings of the given parts, which are YAML, and returns
// its path.
func settingsFile(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tallyd.yaml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(parts, "\n")+"\n"), 0o600))
	return path
}

// Parts of settings. The word hush stands where secrets do.
var apiPart = `api: {master_key: hush-master-key-0, key_pepper: hush-key-pepper-0, jwt_seed: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
secrets: {keyset: '` + newKeyset() + `'}`

const (
	nowhere   = "127.0.0.1:1" // nothing listens on port 1
	downPart  = `database: {url: "postgres://ledger:hush@` + nowhere + `/ledger"}`
	chainPart = `chains: {btc: {family: bitcoin, network: mainnet, upstreams: [{url: "http://` + nowhere + `", user: u, password: hush}]}}`
)

// newKeyset returns the text of a keyset.
func newKeyset() string {
	text, err := secret.New()
	if err != nil {
		panic(err)
	}
	return text
}

func databasePart(url string) string {
	return fmt.Sprintf("listen: 127.0.0.1:0\ndatabase: {url: %q}", url)
}

func bitcoinPart(node *localnode.Bitcoin, network, password string) string {
	return fmt.Sprintf("chains: {btc: {family: bitcoin, environment: test, network: %s, upstreams: [{url: %q, user: %q, password: %q}]}}",
		network, node.URL, node.User, password)
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	whole := settingsFile(t, apiPart, downPart, chainPart)
	for name, c := range map[string]struct {
		args []string
		want string // part of the sentence
	}{
		"Subcommand":       {args: []string{"serv"}, want: `unknown command "serv" for "tallyd"`},
		"SubSubcommand":    {args: []string{"keys", "delete"}, want: `unknown command "delete" for "tallyd keys"`},
		"Flag":             {args: []string{"dev", "--port", "1"}, want: "unknown flag: --port"},
		"Argument":         {args: []string{"migrate", "up"}, want: `unknown command "up" for "tallyd migrate"`},
		"NoArgument":       {args: []string{"balance", "btc"}, want: "tallyd balance takes CHAIN and ADDRESS; arguments given: 1"},
		"NoFile":           {args: []string{"serve", "-c", "/nowhere/tallyd.yaml"}, want: "open /nowhere/tallyd.yaml: no such file or directory"},
		"NotYAML":          {args: []string{"serve", "-c", settingsFile(t, "chains: [")}, want: "settings are not usable: read configuration: yaml: line 1"},
		"UnknownKey":       {args: []string{"check", "-c", settingsFile(t, "databases: {}", chainPart)}, want: "settings are not usable: databases: unknown key"},
		"NoSecrets":        {args: []string{"serve", "-c", settingsFile(t, downPart, chainPart)}, want: "api.key_pepper: is required"},
		"CheckNoChain":     {args: []string{"check", "-c", settingsFile(t, apiPart)}, want: "the settings name no chain"},
		"ServeNoChain":     {args: []string{"serve", "-c", settingsFile(t, apiPart, downPart)}, want: "the settings name no chain"},
		"BalanceNoChain":   {args: []string{"balance", "btc", "x", "-c", settingsFile(t, apiPart)}, want: "the settings name no chain"},
		"PortInUse":        {args: []string{"serve", "-c", settingsFile(t, "listen: "+taken.Addr().String(), apiPart, downPart, chainPart)}, want: "another program listens there"},
		"DevPortInUse":     {args: []string{"dev", "--data", "/nowhere", "--listen", taken.Addr().String()}, want: "choose another address (--listen)"},
		"DevSettings":      {args: []string{"dev", "--data", "/nowhere", "-c", whole}, want: "tallyd dev takes no settings file (--config)"},
		"DevData":          {args: []string{"dev", "--data", "/proc/nowhere", "--listen", "127.0.0.1:0"}, want: "start PostgreSQL: make the data folder: mkdir /proc/nowhere: "},
		"DevLevel":         {args: []string{"dev", "--data", "/nowhere", "--log-level", "loud"}, want: `--log-level "loud" is none of debug, info, warn, error`},
		"PayNoDev":         {args: []string{"dev", "pay", "btc", "x", "1", "--data", "/nowhere"}, want: "there is no /nowhere/dev.json: is tallyd dev running"},
		"PayAmount":        {args: []string{"dev", "pay", "btc", "x"}, want: "tallyd dev pay takes CHAIN and ADDRESS and AMOUNT; arguments given: 2"},
		"ServeNoDatabase":  {args: []string{"serve", "-c", settingsFile(t, "listen: 127.0.0.1:0", apiPart, downPart, chainPart)}, want: "open the database: reach the database: "},
		"MigrateDatabase":  {args: []string{"migrate", "-c", whole}, want: nowhere},
		"KeysNoDatabase":   {args: []string{"keys", "create", "x", "-c", whole}, want: nowhere},
		"NodeDown":         {args: []string{"check", "-c", whole}, want: "chain btc: no upstream answers for network mainnet"},
		"BalanceNodeDown":  {args: []string{"balance", "btc", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "-c", whole}, want: nowhere},
		"Chain":            {args: []string{"balance", "ltc", "x", "-c", whole}, want: `no chain "ltc" in the settings, which name btc`},
		"Address":          {args: []string{"balance", "btc", "1BoatSLRHtKNngkdXEeobR76b53LETtpyX", "-c", whole}, want: `chain btc, "1BoatSLRHtKNngkdXEeobR76b53LETtpyX": invalid address`},
		"OtherChain":       {args: []string{"balance", "btc", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "-c", whole}, want: "invalid address"},
		"StatusNoDaemon":   {args: []string{"status", "--url", "http://" + nowhere}, want: "no daemon answers at http://" + nowhere},
		"StatusNoDev":      {args: []string{"status", "--data", "/nowhere"}, want: "/nowhere/dev.json: no such file or directory"},
		"StatusScheme":     {args: []string{"status", "--url", "localhost:8080"}, want: `"localhost:8080" is not a URL such as`},
		"StatusTwice":      {args: []string{"status", "--url", "http://" + nowhere, "--data", "/nowhere"}, want: "[data url] were all set"},
		"StatusURL":        {args: []string{"status", "--url", "://"}, want: "is not a URL such as"},
		"Scope":            {args: []string{"keys", "create", "x", "--scope", "users", "-c", whole}, want: `scope "users" is not resource:action`},
		"Action":           {args: []string{"keys", "create", "x", "--scope", "users:fly", "-c", whole}, want: `scope "users:fly" names an unknown action`},
		"NoScope":          {args: []string{"keys", "create", "x", "--scope", "", "-c", whole}, want: "at least one scope is required"},
		"Environment":      {args: []string{"keys", "create", "x", "--environment", "prod", "-c", whole}, want: `--environment "prod" is neither live nor test`},
		"Expired":          {args: []string{"keys", "create", "x", "--expires", "-1h", "-c", whole}, want: "--expires -1h0m0s is in the past"},
		"NoName":           {args: []string{"keys", "create", " ", "-c", whole}, want: "NAME is empty"},
		"Resource":         {args: []string{"keys", "create", "x", "--scope", "castles:read", "-c", whole}, want: `scope "castles:read" names an unknown resource`},
		"Kind":             {args: []string{"keys", "create", "x", "--kind", "magic", "-c", whole}, want: "kind must be bearer or signed"},
		"NoOwner":          {args: []string{"keys", "create", "x", "--owner", "", "-c", whole}, want: "--owner is empty"},
		"Network":          {args: []string{"keys", "create", "x", "--address", "10.0.0.1/8", "-c", whole}, want: "--address: "},
		"Budget":           {args: []string{"keys", "create", "x", "--per-minute", "-1", "-c", whole}, want: "a budget is from 0 to"},
		"UnsignedQuery":    {args: []string{"keys", "create", "x", "--unsigned-query", "-c", whole}, want: "only the signatures of a signed key"},
		"SignedNoKeyset":   {args: []string{"keys", "create", "x", "--kind", "signed", "-c", settingsFile(t, downPart, "api: {key_pepper: hush-key-pepper-0}")}, want: "settings are not usable: secrets.keyset: is required"},
		"Overlap":          {args: []string{"keys", "rotate", "x", "--overlap", "-1h", "-c", whole}, want: "--overlap -1h0m0s is in the past"},
		"ListEnvironment":  {args: []string{"keys", "list", "--environment", "prod", "-c", whole}, want: `--environment "prod" is neither live nor test`},
		"RevokeNoDatabase": {args: []string{"keys", "revoke", "x", "-c", whole}, want: nowhere},
		"TenantID":         {args: []string{"tenants", "create", "A B", "-c", whole}, want: `ID "A B" has other than up to 63 lower-case letters`},
		"TenantNoDatabase": {args: []string{"tenants", "list", "-c", whole}, want: nowhere},
		"ServeNoKeyset":    {args: []string{"serve", "-c", settingsFile(t, strings.Split(apiPart, "\n")[0], downPart, chainPart)}, want: "settings are not usable: secrets.keyset: is required: set it in the file or as TALLYD_SECRETS_KEYSET, or set secrets.keyset_file"},
		"CheckBadKeyset":   {args: []string{"check", "-c", settingsFile(t, "secrets: {keyset: hush}", chainPart)}, want: "secrets.keyset: is no keyset of AEAD keys in JSON"},
		"NoKeysetFile":     {args: []string{"check", "-c", settingsFile(t, "secrets: {keyset_file: /nowhere/keyset}", chainPart)}, want: "secrets.keyset_file: open /nowhere/keyset: no such file"},
		"AddNoKeyset":      {args: []string{"secrets", "keyset", "--add", "-c", settingsFile(t, downPart)}, want: "settings are not usable: secrets.keyset: is required"},
		"AddBadKeyset":     {args: []string{"secrets", "keyset", "--add", "-c", settingsFile(t, "secrets: {keyset: hush}")}, want: "secrets.keyset: is no keyset of AEAD keys in JSON"},
		"PromoteFirst":     {args: []string{"secrets", "keyset", "--promote", "-c", whole}, want: "secrets.keyset: its newest key seals already"},
		"AddAndRotate":     {args: []string{"secrets", "keyset", "--add", "--rotate", "-c", whole}, want: "none of the others can be"},
		"KeysNoPepper":     {args: []string{"keys", "create", "x", "-c", settingsFile(t, downPart)}, want: "settings are not usable: api.key_pepper: is required"},
		"MigrateWhichBase": {args: []string{"migrate", "-c", settingsFile(t, apiPart)}, want: "settings are not usable: database.url: is required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := tallyd(t, c.args...)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hush")
			require.NotContains(t, out, "hush")
			require.NotContains(t, out, "Usage:")
			if name != "NoSecrets" { // which lists all of them, a line each
				require.NotContains(t, err.Error(), "\n", "one sentence")
			}
		})
	}
}

func TestNotMigrated(t *testing.T) {
	t.Parallel()
	url := embedded.TestDatabase(t)
	path := settingsFile(t, apiPart, databasePart(url), chainPart)
	for _, args := range [][]string{{"serve"}, {"keys", "create", "x"}} {
		_, err := tallyd(t, append(args, "-c", path)...)
		require.EqualError(t, err, "the database is not migrated to this version's schema: run `tallyd migrate` with the same settings first")
	}
	require.Zero(t, tables(t, url), "nothing was written")

	// A migration that was cut off between our part and that of the jobs.
	_, err := tallyd(t, "migrate", "-c", path)
	require.NoError(t, err)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), "DELETE FROM river_migration WHERE version = (SELECT max(version) FROM river_migration)")
	require.NoError(t, err)
	_, err = tallyd(t, "serve", "-c", path)
	require.ErrorContains(t, err, "run `tallyd migrate`")
}

// tables returns how many tables a database has.
func tables(t *testing.T, url string) (count int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&count))
	return count
}

func TestDatabasePassword(t *testing.T) {
	t.Parallel()
	good, err := pgx.ParseConfig(migratedDatabase(t))
	require.NoError(t, err)
	bad := fmt.Sprintf("postgres://nobody_here:hush@127.0.0.1:%d/%s", good.Port, good.Database)
	_, err = tallyd(t, "serve", "-c", settingsFile(t, apiPart, databasePart(bad), chainPart))
	require.ErrorContains(t, err, "nobody_here")
	require.NotContains(t, err.Error(), "hush")
	require.NotContains(t, err.Error(), "\n")
}

// TestDatabaseEncoding has a database that would keep texts it does not understand.
func TestDatabaseEncoding(t *testing.T) {
	t.Parallel()
	url := embedded.TestDatabase(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	name := pgx.Identifier{"ascii_" + conn.Config().Database}.Sanitize()
	_, err = conn.Exec(t.Context(), "CREATE DATABASE "+name+" ENCODING 'SQL_ASCII' TEMPLATE template0")
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = conn.Exec(context.WithoutCancel(t.Context()), "DROP DATABASE "+name+" WITH (FORCE)") })
	ascii := strings.Replace(url, "/"+conn.Config().Database, "/ascii_"+conn.Config().Database, 1)
	for _, command := range []string{"migrate", "serve"} {
		_, err = tallyd(t, command, "-c", settingsFile(t, apiPart, databasePart(ascii), chainPart))
		require.ErrorContains(t, err, `is SQL_ASCII and must be UTF8: make it with ENCODING 'UTF8' TEMPLATE template0`)
		require.NotContains(t, err.Error(), "\n")
	}

	// Nor does it matter what the role speaks otherwise.
	latin := url + map[bool]string{true: "&", false: "?"}[strings.Contains(url, "?")] + "client_encoding=LATIN1"
	_, err = tallyd(t, "migrate", "-c", settingsFile(t, databasePart(latin)))
	require.NoError(t, err)
}

func TestNodeMistakes(t *testing.T) {
	t.Parallel()
	node, miner := localnode.TestBitcoind(t)
	address := miner.Address(localnode.P2WPKH)
	for name, c := range map[string]struct{ network, password, want string }{
		"Password": {network: "regtest", password: "hush", want: "the node refused the user name or password"},
		"Network":  {network: "mainnet", password: node.Password, want: "mainnet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := settingsFile(t, bitcoinPart(node, c.network, c.password))
			out, err := tallyd(t, "check", "-c", path)
			require.EqualError(t, err, "chain btc: no upstream answers for network "+c.network)
			require.Contains(t, out, c.want)
			require.NotContains(t, out, c.password)
			_, err = tallyd(t, "balance", "btc", address, "-c", path)
			require.Error(t, err)
			require.NotContains(t, err.Error(), c.password)
		})
	}
}

// TestDriverLogged: what the driver of Redis says goes where the daemon's log goes.
func TestDriverLogged(t *testing.T) {
	t.Parallel()
	told := 0
	cmd := root(func(zerolog.Logger) { told++ })
	cmd.SetArgs([]string{"serve", "-c", settingsFile(t, "listen: 127.0.0.1:0", apiPart, downPart, chainPart)})
	require.ErrorContains(t, cmd.ExecuteContext(t.Context()), "reach the database")
	require.Equal(t, 1, told)
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, command := range root(func(zerolog.Logger) {}).Commands() {
		out, err := tallyd(t, command.Name(), "--help")
		require.NoError(t, err)
		require.Contains(t, out, "Usage:\n  tallyd "+command.Name(), command.Name())
	}
}
