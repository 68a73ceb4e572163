package ticker

import (
	_ "embed"
	"fmt"
	"slices"

	"tallyd/chains"
	"tallyd/chains/price"
)

// Pair is the name by which a source trades one asset for another.
type Pair struct {
	Source string
	Name   string // as the source writes it
	Base   chains.AssetID
	In     chains.AssetID
}

//go:embed pairs.tsv
var pairLines string

// LoadPairs returns the built-in table of pairs.
func LoadPairs(names *price.Names) ([]Pair, error) { return ParsePairs(pairLines, names) }

// ParsePairs reads lines of source, pair, and the names of two assets.
func ParsePairs(text string, names *price.Names) ([]Pair, error) {
	var pairs []Pair
	err := price.EachLine(text, 4, func(f []string) error {
		base, known := names.Asset(f[2])
		in, knownToo := names.Asset(f[3])
		if !known || !knownToo || base == in {
			return fmt.Errorf("%s of %s: %s in %s is no pair of assets with names", f[1], f[0], f[2], f[3])
		}
		if slices.ContainsFunc(pairs, func(p Pair) bool { return p.Source == f[0] && p.Name == f[1] }) {
			return fmt.Errorf("%s of %s stands twice", f[1], f[0])
		}
		pairs = append(pairs, Pair{Source: f[0], Name: f[1], Base: base, In: in})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the table of pairs: %w", err)
	}
	return pairs, nil
}

// PairsOf returns the pairs of one source.
func PairsOf(pairs []Pair, source string) []Pair {
	return slices.DeleteFunc(slices.Clone(pairs), func(p Pair) bool { return p.Source != source })
}
