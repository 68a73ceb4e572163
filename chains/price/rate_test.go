package price_test

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/chains/price"
)

func rate(t require.TestingT, text string) price.Rate {
	r, err := price.ParseRate(text)
	require.NoError(t, err)
	return r
}

func TestParseRate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{text: "67000.10", want: "67000.1"},
		{text: "0.00000001", want: "0.00000001"},
		{text: "1", want: "1"},
		{text: "100", want: "100"},
		{text: "0.999900000000000000000000000001", want: "0.999900000000000000000000000001"},
	} {
		require.Equal(t, tt.want, rate(t, tt.text).String())
	}
	for _, text := range []string{
		"", ".", "0", "0.00", "-1", "+1", "1e5", "1,5", "NaN", "Inf", "null", "0x10", "1.2.3", " 1",
		"10000000000000000000000000000000000", // beyond reason
		"0.0000000000000000000000000000000001",
	} {
		_, err := price.ParseRate(text)
		require.ErrorIs(t, err, price.ErrRate, text)
	}
}

func TestOver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ a, b, want string }{
		{"1", "3", "0.333333333333333333333333"},
		{"2", "3", "0.666666666666666666666667"},
		{"1", "8", "0.125"},
		{"67000", "1.0812", "61968.1834998150203477617"},
		{"100000000000000000000000000", "0.0001", "1000000000000000000000000000000"},
		{"17592186044472", "0.000000000007", "2513169434924571428571429"}, // more digits than are significant
		{"0.0001", "100000000000000000000", "0.000000000000000000000001"},
	} {
		require.Equal(t, tt.want, rate(t, tt.a).Over(rate(t, tt.b)).String(), tt)
	}
}

// drawRate draws a rate as a source might write it.
func drawRate(t *rapid.T, name string) price.Rate {
	digits := rapid.Int64Range(1, 1<<60).Draw(t, name)
	r, err := price.NewRate(chains.NewAmount(digits), rapid.IntRange(0, 18).Draw(t, name+" decimals"))
	require.NoError(t, err)
	return r
}

func drawAmount(t *rapid.T, name string) chains.Amount {
	return chains.AmountFromBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, name))
}

func rational(t require.TestingT, text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	require.True(t, ok, text)
	return r
}

// A conversion is the product, exactly; more is never worth less; what parts are
// worth adds up to what the whole is worth.
func TestConversionProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, decimals := drawRate(t, "rate"), rapid.IntRange(0, 77).Draw(t, "decimals")
		a, b := drawAmount(t, "a"), drawAmount(t, "b")
		if rapid.Bool().Draw(t, "derived") {
			r = r.Over(drawRate(t, "other"))
		}
		product := new(big.Rat).Mul(rational(t, r.String()), rational(t, a.Decimal(decimals)))
		require.Zero(t, product.Cmp(rational(t, r.Value(a, decimals).String())))
		require.Equal(t, a.Cmp(b), r.Value(a, decimals).Cmp(r.Value(b, decimals)))
		require.Equal(t, r.Value(a.Add(b), decimals).String(), r.Value(a, decimals).Add(r.Value(b, decimals)).String())
		require.Equal(t, r.Value(a.Neg(), decimals).String(), r.Value(chains.Amount{}.Sub(a), decimals).String())
	})
}

// A quotient is off by less than half of its last digit, and a rate within itself.
func TestRateProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawRate(t, "a"), drawRate(t, "b")
		exact := new(big.Rat).Quo(rational(t, a.String()), rational(t, b.String()))
		got := a.Over(b)
		_, scale := got.Parts()
		off := new(big.Rat).Sub(exact, rational(t, got.String()))
		half := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Mul(big.NewInt(2), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
		require.LessOrEqual(t, off.Abs(off).Cmp(half), 0, "%s / %s = %s", a, b, got)
		require.Equal(t, a.Cmp(b), rational(t, a.String()).Cmp(rational(t, b.String())))

		mean := a.Mean(b)
		double := new(big.Rat).Mul(rational(t, mean.String()), big.NewRat(2, 1))
		require.Zero(t, double.Cmp(new(big.Rat).Add(rational(t, a.String()), rational(t, b.String()))))
		require.True(t, a.Within(a, 0))
		require.Equal(t, a.String(), rate(t, a.String()).String())
		require.Equal(t, price.One().String(), a.Over(a).String())
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	names, err := price.LoadNames()
	require.NoError(t, err)
	btc, known := names.Asset("btc")
	require.True(t, known)
	require.Equal(t, chains.AssetID("bip122:000000000019d6689c085ae165831e93/slip44:0"), btc)
	require.Equal(t, "BTC", names.Name(btc))
	_, known = names.Asset("XYZ")
	require.False(t, known)
	require.Equal(t, chains.AssetID("eip155:1/slip44:60"), names.Priced("eip155:8453/slip44:60"), "ether on Base is ether")
	wrapped := chains.AssetID("eip155:1/erc20:0x2260fac5e5542a773aa44fbcfedf7c193bc2c599")
	require.Equal(t, wrapped, names.Priced(wrapped), "a wrapped bitcoin is not a bitcoin")
	test := chains.AssetID("bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1")
	require.Equal(t, test, names.Priced(test))
	require.True(t, price.IsMoney(price.EUR))
	require.False(t, price.IsMoney(btc))
	for _, tt := range []struct{ names, same string }{
		{names: "BTC a\nBTC b\n"},
		{names: "BTC a\nXBT a\n"},
		{names: "BTC\n"},
		{names: "BTC a\n", same: "b ETH\n"},
		{names: "BTC a\nETH b\n", same: "a ETH\n"},
		{names: "BTC a\n", same: "b BTC\nb BTC\n"},
	} {
		_, err := price.ParseNames(tt.names, tt.same)
		require.Error(t, err, tt)
	}
}
