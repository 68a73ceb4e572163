package accounts

import (
	"math/big"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/chains"
)

// maxDecimals is what a token's uint8 can say. An asset with more is shown in
// base units only.
const maxDecimals = 255

// number is an exact decimal number, written to JSON as it stands. "" is null:
// not known.
type number string

// MarshalJSON writes the digits, or null.
func (n number) MarshalJSON() ([]byte, error) {
	if n == "" {
		return []byte("null"), nil
	}
	return []byte(n), nil
}

// Schema describes the number for the OpenAPI document.
func (number) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeNumber, Nullable: true, Examples: []any{1.2},
		Description: "Exact; null while the decimals of the asset are unknown. A reader that keeps numbers in binary floating point rounds it: use base_units or decimal",
	}
}

// Figure is one number of an asset, three times.
type Figure struct {
	Value     number  `json:"value"`
	BaseUnits string  `json:"base_units" doc:"Whole number of the smallest unit" example:"120000000"`
	Decimal   *string `json:"decimal" nullable:"true" doc:"Whole units; null while decimals is unknown" example:"1.2"`
}

func figureOf(asset chains.Asset, amount chains.Amount) Figure {
	f := Figure{BaseUnits: amount.String()}
	if knownDecimals(asset) {
		decimal := amount.Decimal(asset.Decimals)
		f.Value, f.Decimal = number(decimal), &decimal
	}
	return f
}

// Currency names an asset. Only one that the operator lists is shown under its
// symbol and name: what others call themselves is a claim.
type Currency struct {
	ID            string `json:"currency" doc:"CAIP-19 id, the only identity of an asset" example:"eip155:1/erc20:0xdac17f958d2ee523a2206206994597c13d831ec7"`
	Name          string `json:"currency_name" doc:"Empty unless the operator lists the asset" example:"Tether USD"`
	Symbol        string `json:"currency_symbol" doc:"Empty unless the operator lists the asset" example:"USDT"`
	ClaimedName   string `json:"claimed_name,omitempty" doc:"What an asset that is not listed calls itself"`
	ClaimedSymbol string `json:"claimed_symbol,omitempty" doc:"What an asset that is not listed calls itself"`
	Decimals      *int   `json:"decimals" nullable:"true" doc:"null while unknown" example:"6"`
}

func currencyOf(asset chains.Asset) Currency {
	c := Currency{ID: string(asset.ID)}
	if knownDecimals(asset) {
		c.Decimals = &asset.Decimals
	}
	if listed(asset) {
		c.Symbol, c.Name = asset.Symbol, asset.Name
		if c.Name == "" {
			c.Name = asset.Symbol
		}
	} else {
		c.ClaimedSymbol, c.ClaimedName = asset.Symbol, asset.Name
	}
	return c
}

// amount is Blockmate's Amount with exact fields beside it.
type amount struct {
	Figure
	Currency
	Conversion
}

func amountOf(asset chains.Asset, n chains.Amount) amount {
	return amount{Figure: figureOf(asset, n), Currency: currencyOf(asset)}
}

func knownDecimals(asset chains.Asset) bool {
	return asset.Decimals >= 0 && asset.Decimals <= maxDecimals
}

// listed reports whether the asset may go under its symbol: the coin of a chain
// always does.
func listed(asset chains.Asset) bool {
	return asset.Listed || strings.Contains(string(asset.ID), "/slip44:")
}

// sums adds up amounts by asset, in the order the assets were first seen.
type sums struct {
	assets  []chains.Asset
	at      map[chains.AssetID]int // in assets
	amounts map[chains.AssetID]chains.Amount
}

func newSums() *sums {
	return &sums{at: map[chains.AssetID]int{}, amounts: map[chains.AssetID]chains.Amount{}}
}

// add adds an amount of an asset. One and the same asset may be counted in more
// decimals in one place than in another: then the sum is in the finer ones.
func (s *sums) add(asset chains.Asset, n chains.Amount) {
	at, seen := s.at[asset.ID]
	if !seen {
		s.at[asset.ID] = len(s.assets)
		s.assets = append(s.assets, asset)
		s.amounts[asset.ID] = n
		return
	}
	total, known := s.amounts[asset.ID], &s.assets[at]
	if knownDecimals(asset) && knownDecimals(*known) && asset.Decimals != known.Decimals {
		finest := max(asset.Decimals, known.Decimals)
		total, n = rescaled(total, known.Decimals, finest), rescaled(n, asset.Decimals, finest)
		known.Decimals = finest
	}
	s.amounts[asset.ID] = total.Add(n)
}

// rescaled returns an amount in finer base units.
func rescaled(n chains.Amount, from, to int) chains.Amount {
	if from == to {
		return n
	}
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(to-from)), nil)
	return n.Mul(chains.AmountFromBig(scale))
}

// list returns the sums as amounts, never nil.
func (s *sums) list() []amount {
	list := make([]amount, 0, len(s.assets))
	for _, asset := range s.assets {
		list = append(list, amountOf(asset, s.amounts[asset.ID]))
	}
	return list
}
