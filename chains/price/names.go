package price

import (
	_ "embed"
	"fmt"
	"strings"

	"tallyd/chains"
)

// Names is the table of what may be named shortly. It is safe for concurrent use.
type Names struct {
	assets map[string]chains.AssetID
	names  map[chains.AssetID]string
	same   map[chains.AssetID]chains.AssetID
}

//go:embed names.tsv
var nameLines string

//go:embed same.tsv
var sameLines string

// LoadNames returns the built-in table.
func LoadNames() (*Names, error) { return ParseNames(nameLines, sameLines) }

// ParseNames reads a table. The first text has lines of name and asset, the second
// of asset and the name of the asset whose price it has. # begins a comment.
func ParseNames(nameText, sameText string) (*Names, error) {
	n := &Names{assets: map[string]chains.AssetID{}, names: map[chains.AssetID]string{}, same: map[chains.AssetID]chains.AssetID{}}
	err := EachLine(nameText, 2, func(f []string) error {
		name, asset := f[0], chains.AssetID(f[1])
		if n.assets[name] != "" || n.names[asset] != "" {
			return fmt.Errorf("%s or %s stands twice", name, asset)
		}
		n.assets[name], n.names[asset] = asset, name
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the table of names: %w", err)
	}
	err = EachLine(sameText, 2, func(f []string) error {
		asset, name := chains.AssetID(f[0]), f[1]
		if n.assets[name] == "" || n.names[asset] != "" || n.same[asset] != "" {
			return fmt.Errorf("%s: %s has no name, or the asset has a price of its own", asset, name)
		}
		n.same[asset] = n.assets[name]
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the table of assets that share a price: %w", err)
	}
	return n, nil
}

// EachLine calls use with the fields of each line of a table. # begins a comment.
func EachLine(text string, fields int, use func([]string) error) error {
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

// Asset returns the asset of a name, in whatever case it is written.
func (n *Names) Asset(name string) (chains.AssetID, bool) {
	asset, known := n.assets[strings.ToUpper(name)]
	return asset, known
}

// Name returns the name of an asset, or its id if it has none.
func (n *Names) Name(asset chains.AssetID) string {
	if name := n.names[asset]; name != "" {
		return name
	}
	return string(asset)
}

// Priced returns the asset whose price an asset has: mostly its own.
func (n *Names) Priced(asset chains.AssetID) chains.AssetID {
	if same := n.same[asset]; same != "" {
		return same
	}
	return asset
}

// IsMoney reports whether an asset is the money of a state.
func IsMoney(asset chains.AssetID) bool { return strings.HasPrefix(string(asset), "iso4217:") }
