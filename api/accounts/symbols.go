package accounts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/chains"
)

// symbols are members SYMBOL: number that Blockmate's quickstart shows beside a
// body's own members.
type symbols map[string]number

// symbolsOf returns the total of all listed assets of each symbol. It has no
// member for an asset without symbol or decimals.
func symbolsOf(s *sums) symbols {
	bySymbol := map[string][]chains.Asset{}
	for _, asset := range s.assets {
		if listed(asset) && asset.Symbol != "" {
			bySymbol[asset.Symbol] = append(bySymbol[asset.Symbol], asset)
		}
	}
	members := symbols{}
	for symbol, assets := range bySymbol {
		if !slices.ContainsFunc(assets, func(a chains.Asset) bool { return !knownDecimals(a) }) {
			members[symbol] = s.total(assets)
		}
	}
	return members
}

// total adds up assets of one symbol, whose decimals may differ from chain to
// chain.
func (s *sums) total(assets []chains.Asset) number {
	most := 0
	for _, asset := range assets {
		most = max(most, asset.Decimals)
	}
	var total chains.Amount
	for _, asset := range assets {
		total = total.Add(rescaled(s.amounts[asset.ID], asset.Decimals, most))
	}
	return number(total.Decimal(most))
}

// splice writes body, a struct, with the members of s behind its own. A symbol
// that equals a member of the body, in whatever case, is left out: its amount
// is in the lists.
func (s symbols) splice(body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode body: %w", err)
	}
	reserved := map[string]bool{}
	for field := range fieldsOf(reflect.TypeOf(body)) {
		reserved[strings.ToLower(field)] = true
	}
	out := bytes.NewBuffer(bytes.TrimSuffix(raw, []byte("}")))
	for _, symbol := range slices.Sorted(maps.Keys(s)) {
		if reserved[strings.ToLower(symbol)] {
			continue
		}
		name, err := json.Marshal(symbol)
		if err != nil {
			return nil, fmt.Errorf("encode symbol: %w", err)
		}
		fmt.Fprintf(out, ",%s:%s", name, s[symbol])
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// fieldsOf yields the JSON names of the fields of a struct, those of embedded
// structs among them.
func fieldsOf(t reflect.Type) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, field := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name != "-" && name != "" && !yield(name) {
				return
			}
		}
	}
}

// withSymbols describes a body with members SYMBOL: number.
func withSymbols(r huma.Registry, body reflect.Type, description string) *huma.Schema {
	schema := huma.SchemaFromType(r, body)
	schema.AdditionalProperties = &huma.Schema{Type: huma.TypeNumber}
	schema.Description = description
	return schema
}
