package identity

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"tallyd/chains"
)

// Identity is what a code stands for.
type Identity struct {
	// Asset is the CAIP-19 id of a coin or token; iso4217:USD and its like for
	// money of states; group:usdt and its like for what one issuer has on
	// several chains and a venue keeps as one; venue:<name>/<CODE> for what is
	// not in the table.
	Asset  chains.AssetID
	Symbol string // for display
	Known  bool   // the code is in the table
	Kind   string // what the code says beside the asset, such as staked or saved; "" mostly
}

// What a code may say beside its asset.
const (
	Staked = "staked"
	Saved  = "saved"
	Bonded = "bonded"
	OnHold = "hold"
)

// Table is the two tables, read. It is safe for concurrent use.
type Table struct {
	assets   map[[2]string]asset
	networks map[[2]string]string
}

type asset struct {
	id     chains.AssetID
	symbol string
}

//go:embed assets.tsv
var assetLines string

//go:embed networks.tsv
var networkLines string

// all is the venue of lines that hold wherever no other line does.
const all = "*"

// Load returns the built-in table.
func Load() (*Table, error) { return Parse(assetLines, networkLines) }

// Parse reads a table. The first text has lines of venue, code, symbol and asset,
// the second of venue, network and CAIP-2 id, parted by spaces; - in the last
// place says that the line of all does not hold for this venue. # begins a
// comment.
func Parse(assetText, networkText string) (*Table, error) {
	t := &Table{assets: map[[2]string]asset{}, networks: map[[2]string]string{}}
	err := eachLine(assetText, 4, func(f []string) error {
		key := [2]string{f[0], f[1]}
		if _, twice := t.assets[key]; twice {
			return fmt.Errorf("%s %s stands twice", f[0], f[1])
		}
		t.assets[key] = asset{symbol: f[2], id: chains.AssetID(f[3])}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the table of assets: %w", err)
	}
	err = eachLine(networkText, 3, func(f []string) error {
		key := [2]string{f[0], fold(f[1])}
		if _, twice := t.networks[key]; twice {
			return fmt.Errorf("%s %s stands twice", f[0], f[1])
		}
		t.networks[key] = f[2]
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the table of networks: %w", err)
	}
	return t, nil
}

func eachLine(text string, fields int, use func([]string) error) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != fields {
			return fmt.Errorf("line %d has %d fields and not %d", n, len(f), fields)
		}
		if err := use(f); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return nil
}

// Identify returns what a code of a venue stands for.
func (t *Table) Identify(venue, code string) Identity {
	for _, spelling := range spellings(venue, code) {
		if a, known := t.lookup(venue, spelling.code); known {
			return Identity{Asset: a.id, Symbol: a.symbol, Known: true, Kind: spelling.kind}
		}
	}
	return Identity{Asset: chains.AssetID("venue:" + venue + "/" + code), Symbol: code}
}

func (t *Table) lookup(venue, code string) (asset, bool) {
	for _, of := range []string{venue, all} {
		if a, found := t.assets[[2]string{of, code}]; found {
			return a, a.id != "-"
		}
	}
	return asset{}, false
}

// Network returns the CAIP-2 id of a network as a venue writes it, or "" if it is
// not in the table. Letters are compared without their case.
func (t *Table) Network(venue, network string) string {
	if venue == "okx" {
		// USDT-Arbitrum One: the asset stands before the network.
		if _, after, found := strings.Cut(network, "-"); found {
			network = after
		}
	}
	for _, of := range []string{venue, all} {
		if id, found := t.networks[[2]string{of, fold(network)}]; found {
			return strings.TrimPrefix(id, "-")
		}
	}
	return ""
}

// Venues returns the venues that have lines of their own.
func (t *Table) Venues() []string {
	var venues []string
	for key := range t.assets {
		venues = append(venues, key[0])
	}
	for key := range t.networks {
		venues = append(venues, key[0])
	}
	slices.Sort(venues)
	venues = slices.Compact(venues)
	return slices.DeleteFunc(venues, func(v string) bool { return v == all })
}

// fold makes spellings of one network one: case and spaces do not tell.
func fold(network string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "_", "", "-", "", "(", "", ")", "").Replace(network))
}
