package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the path of this module, which begins every import of a room.
const module = "tallyd"

// rooms is the plan of the house: every package, and the packages of this module
// it may import. Imports run one way, cmd → api, store → indexer → chains, and a
// package that does not stand here has no place yet.
var rooms = map[string]room{
	"chains":            {},
	"chains/rpc":        {sees: []string{"chains"}},
	"chains/guard":      {},
	"chains/nft":        {sees: []string{"chains"}, tests: []string{"chains/guard"}},
	"chains/bitcoin":    {sees: []string{"chains", "chains/rpc"}},
	"chains/evm":        {sees: []string{"chains", "chains/rpc"}},
	"chains/all":        {sees: slices.Concat([]string{"chains", "chains/rpc", "chains/bitcoin", "chains/evm", "chains/venue"}, connectors), tests: []string{"chains/venue/identity"}},
	"chains/chainstest": {sees: []string{"chains"}},
	"chains/localnode":  {sees: []string{"chains", "chains/rpc"}},

	"chains/venue":           {sees: []string{"chains"}},
	"chains/venue/identity":  {sees: []string{"chains"}},
	"chains/venue/venuetest": {sees: []string{"chains", "chains/venue"}},
	"chains/venue/binance":   connector,
	"chains/venue/bitget":    connector,
	"chains/venue/bitmart":   connector,
	"chains/venue/bitstamp":  connector,
	"chains/venue/blink":     connector,
	"chains/venue/bybit":     connector,
	"chains/venue/coinbase":  connector,
	"chains/venue/cryptocom": connector,
	"chains/venue/gate":      connector,
	"chains/venue/gemini":    connector,
	"chains/venue/htx":       connector,
	"chains/venue/kraken":    connector,
	"chains/venue/kucoin":    connector,
	"chains/venue/okx":       connector,

	"chains/price":           {sees: []string{"chains"}},
	"chains/price/ticker":    {sees: []string{"chains", "chains/price", "chains/venue"}},
	"chains/price/ecb":       {sees: []string{"chains", "chains/price"}},
	"chains/price/chainlink": {sees: []string{"chains", "chains/price"}, tests: []string{"chains/evm"}},

	"indexer":         {sees: []string{"chains", "chains/venue", "chains/venue/identity"}},
	"indexer/prices":  {sees: []string{"chains", "chains/price"}},
	"indexer/custody": {sees: []string{"chains", "indexer"}},

	"migrations":      {},
	"store/db":        {sees: []string{"chains"}},
	"store":           {sees: []string{"chains", "chains/price", "chains/venue", "chains/venue/identity", "indexer", "indexer/custody", "indexer/prices", "api/access", "api/webhook", "migrations", "store/db", "store/secret"}, tests: []string{"chains/bitcoin", "chains/evm", "chains/rpc"}},
	"store/secret":    {},
	"store/synccache": {sees: []string{"chains", "chains/venue", "indexer", "api/access"}},
	"store/embedded":  {sees: []string{"chains/localnode", "migrations"}},
	"store/jobs":      {sees: []string{"chains", "indexer", "store"}, tests: []string{"api/access", "chains/venue", "chains/venue/bitmart", "chains/venue/htx", "chains/venue/identity", "chains/venue/kraken", "store/secret", "store/synccache"}},

	"api/problem":  {},
	"api/access":   {sees: []string{"chains", "indexer", "api/problem"}},
	"api":          {sees: []string{"chains", "indexer", "api/access", "api/problem"}, tests: []string{"api/accounts", "chains/price", "indexer/prices", "chains/venue", "chains/venue/identity", "chains/venue/bitmart", "chains/venue/blink"}},
	"api/webhook":  {sees: []string{"chains", "indexer", "api/access", "api/problem"}, tests: []string{"api", "chains/guard", "migrations", "store", "store/secret"}},
	"api/keys":     {sees: []string{"chains", "indexer", "api/access", "api/problem"}, tests: []string{"api", "migrations", "store", "store/secret"}},
	"api/custody":  {sees: []string{"chains", "indexer", "indexer/custody", "api/access", "api/problem"}, tests: []string{"api", "api/accounts", "api/webhook", "migrations", "store", "store/secret"}},
	"api/accounts": {sees: []string{"chains", "chains/price", "chains/venue", "chains/venue/identity", "indexer", "indexer/prices", "api/access", "api/problem"}},

	"config":          {},
	"examples/signer": {}, // it stands outside and knows nothing of ours
	"cmd/tallyd":      {sees: []string{everyRoom}},
}

// connector is the room of one venue: it knows no other venue, and no chain.
var connector = room{sees: []string{"chains", "chains/venue"}}

// connectors are the venues that are built in.
var connectors = []string{
	"chains/venue/binance",
	"chains/venue/bitget",
	"chains/venue/bitmart",
	"chains/venue/bitstamp",
	"chains/venue/blink",
	"chains/venue/bybit",
	"chains/venue/coinbase",
	"chains/venue/cryptocom",
	"chains/venue/gate",
	"chains/venue/gemini",
	"chains/venue/htx",
	"chains/venue/kraken",
	"chains/venue/kucoin",
	"chains/venue/okx",
}

// room is what one package may import of this module.
type room struct {
	sees  []string // in its code
	tests []string // in its tests, beside that and bench
}

// everyRoom in sees lets a package import all the others.
const everyRoom = "*"

// bench is what the tests of every room may use.
var bench = []string{"chains/chainstest", "chains/localnode", "chains/venue/venuetest", "store/embedded"}

// homes are the libraries that have a home: only these rooms may import them.
// The rest may be imported anywhere but in bare rooms.
var homes = map[string][]string{
	"github.com/jackc/pgx":                {"store", "store/db", "store/embedded", "store/jobs"},
	"github.com/pressly/goose":            {"store", "migrations"},
	"github.com/riverqueue/river":         {"store", "store/jobs"},
	"github.com/redis/go-redis":           {"store/synccache", "store/embedded"},
	"github.com/go-redis/redis_rate":      {"store/synccache"},
	"github.com/alicebob/miniredis":       {"store/embedded"},
	"github.com/robfig/cron":              {"indexer"},
	"github.com/btcsuite":                 {"chains/bitcoin", "chains/localnode", "examples/signer"},
	"github.com/ethereum/go-ethereum":     {"chains/evm", "chains/localnode", "examples/signer"},
	"github.com/danielgtaylor/huma":       {"api", "api/accounts", "api/access", "api/custody", "api/keys", "api/problem", "api/webhook", "cmd/tallyd"},
	"github.com/golang-jwt/jwt":           {"api/access"},
	"code.dny.dev/ssrf":                   {"chains/guard"},
	"github.com/tink-crypto/tink-go":      {"store/secret"},
	"github.com/schollz/progressbar":      {"cmd/tallyd"},
	"github.com/spf13/cobra":              {"cmd/tallyd"},
	"github.com/prometheus/client_golang": {"api", "cmd/tallyd"},
	"gopkg.in/yaml.v3":                    {"config"},
	"database/sql":                        {"store", "migrations"},
}

// bare rooms import the standard library and rooms, and no library at all.
var bare = []string{"chains", "migrations"}

// forbidden is what single rooms may not import of the standard library.
var forbidden = map[string][]string{
	"chains":  {"net/http", "net", "os/exec"},
	"indexer": {"net/http", "os", "os/exec"},

	"indexer/prices": {"net/http", "os", "os/exec"},

	"indexer/custody": {"net/http", "os", "os/exec"},
}

// pkg is what `go list` tells of a package.
type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		rule, listed := rooms[name]
		if !listed {
			t.Errorf("package %s is not in the plan of rooms: add it with what it may import", name)
			continue
		}
		for _, imported := range p.Imports {
			if why := refused(name, imported, rule.sees); why != "" {
				t.Errorf("%s imports %s: %s", name, imported, why)
			}
		}
		inTests := slices.Concat(rule.sees, rule.tests, bench, []string{name})
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			// A test may look at a library from another side than the code does.
			room, ours := strings.CutPrefix(imported, module+"/")
			if ours && !slices.Contains(inTests, room) && !slices.Contains(inTests, everyRoom) {
				t.Errorf("the tests of %s import %s, which is not among what they may import", name, imported)
			}
		}
	}
}

// The schedule has one home within the indexer.
func TestCronStandsInOneFile(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		var files []string
		for _, file := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ImportsOnly)
			require.NoError(t, err)
			for _, spec := range parsed.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				if within(path, "github.com/robfig/cron") {
					files = append(files, file)
				}
			}
		}
		require.LessOrEqual(t, len(files), 1, "%s imports cron in %v", p.ImportPath, files)
	}
}

// The plan itself must not run in a circle, nor name a room that is not there.
func TestPlanRunsOneWay(t *testing.T) {
	t.Parallel()
	for name := range rooms {
		require.NotContains(t, reach(t, name, nil), name, "%s reaches itself", name)
	}
	for library, at := range homes {
		for _, name := range at {
			require.Contains(t, rooms, name, library)
		}
	}
}

// The plan refuses what it is there to refuse.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, imports string
		refused       bool
	}{
		{name: "chains", imports: "math/big"},
		{name: "chains", imports: "github.com/rs/zerolog", refused: true},
		{name: "indexer", imports: "tallyd/chains"},
		{name: "indexer", imports: "tallyd/chains/bitcoin", refused: true},
		{name: "indexer", imports: "tallyd/store", refused: true},
		{name: "indexer", imports: "database/sql", refused: true},
		{name: "indexer", imports: "net/http", refused: true},
		{name: "api/accounts", imports: "tallyd/store", refused: true},
		{name: "api/accounts", imports: "github.com/jackc/pgx/v5/pgxpool", refused: true},
		{name: "store", imports: "github.com/jackc/pgx/v5/pgxpool"},
		{name: "store", imports: "github.com/redis/go-redis/v9", refused: true},
		{name: "chains/bitcoin", imports: "github.com/btcsuite/btcd/wire/v2"},
		{name: "chains/evm", imports: "github.com/btcsuite/btcd/wire/v2", refused: true},
		{name: "chains/venue/kraken", imports: "tallyd/chains/venue"},
		{name: "chains/venue/kraken", imports: "tallyd/chains/venue/okx", refused: true},
		{name: "chains/venue/kraken", imports: "tallyd/chains/rpc", refused: true},
		{name: "store", imports: "tallyd/config", refused: true},
		{name: "cmd/tallyd", imports: "tallyd/config"},
	} {
		require.Equal(t, test.refused, refused(test.name, test.imports, rooms[test.name].sees) != "", test)
	}
}

// refused says why a room's code may not import a path, or "" when it may.
func refused(name, imported string, sees []string) string {
	if other, ours := strings.CutPrefix(imported, module+"/"); ours {
		if slices.Contains(sees, other) || slices.Contains(sees, everyRoom) {
			return ""
		}
		return "the plan of rooms does not let it"
	}
	if slices.Contains(forbidden[name], imported) {
		return "this room knows nothing of it"
	}
	for _, library := range slices.Sorted(maps.Keys(homes)) {
		if within(imported, library) && !slices.Contains(homes[library], name) {
			return "it lives in " + strings.Join(homes[library], ", ")
		}
	}
	library, _, _ := strings.Cut(imported, "/")
	if slices.Contains(bare, name) && strings.Contains(library, ".") {
		return "this room needs the standard library only"
	}
	return ""
}

// within tells whether an import path is a package of a library, of any major
// version.
func within(path, library string) bool {
	return path == library || strings.HasPrefix(path, library+"/")
}

// reach returns every room that a room can import, however far.
func reach(t *testing.T, name string, found []string) []string {
	t.Helper()
	for _, next := range rooms[name].sees {
		if next == everyRoom || slices.Contains(found, next) {
			continue
		}
		require.Contains(t, rooms, next, "%s may import a room that is not in the plan", name)
		found = reach(t, next, append(found, next))
	}
	return found
}

// packages lists every package of the module with its direct imports.
func packages(t *testing.T) []pkg {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", "./...")
	command.Dir = filepath.Join("..", "..")
	command.Stderr = os.Stderr
	out, err := command.Output()
	require.NoError(t, err)
	var listed []pkg
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			require.NotEmpty(t, listed)
			return listed
		}
		require.NoError(t, err)
		listed = append(listed, p)
	}
}
