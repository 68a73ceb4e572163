package venue_test

import (
	"encoding/json"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains/venue"
)

func decimal(t require.TestingT, s string) venue.Decimal {
	d, err := venue.ParseDecimal(s)
	require.NoError(t, err)
	return d
}

func TestParseDecimal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want string // "" is unknown
	}{
		{text: ""},
		{text: "0", want: "0"},
		{text: "-0.000", want: "0"},
		{text: "007", want: "7"},
		{text: "+1.50", want: "1.5"},
		{text: ".5", want: "0.5"},
		{text: "5.", want: "5"},
		{text: "-0.00000001", want: "-0.00000001"},
		{text: "1e-8", want: "0.00000001"},
		{text: "1.25E+3", want: "1250"},
		{text: "1.25e1", want: "12.5"},
		{text: "100", want: "100"},
		{text: "123456789012345678901234567890.12345", want: "123456789012345678901234567890.12345"},
		{text: "0.100000000000000005551115123125", want: "0.100000000000000005551115123125"},
	} {
		d, err := venue.ParseDecimal(test.text)
		require.NoError(t, err, test.text)
		require.Equal(t, test.want, d.String(), test.text)
		require.Equal(t, test.want != "", d.Known(), test.text)
	}
	for _, text := range []string{
		" ", "1 ", " 1", "-", "+", ".", "-.", "e5", "1e", "1e5.5", "1e1000", "1e-1000", "1e99999999999999999999", "1,5", "1_000", "0x10",
		"NaN", "Infinity", "--1", "+-1", "1.2.3", "١", "1\n", "null", "true", strings.Repeat("9", 201),
	} {
		_, err := venue.ParseDecimal(text)
		require.ErrorIs(t, err, venue.ErrDecimal, "%q was taken", text)
	}
}

// Numbers of any length come through JSON with every digit, quoted or not.
func TestDecimalInJSON(t *testing.T) {
	t.Parallel()
	const long = "123456789012345678901234567890.123456789012345678"
	for _, doc := range []string{`{"a":` + long + `}`, `{"a":"` + long + `"}`} {
		var read struct{ A venue.Decimal }
		require.NoError(t, venue.Decode([]byte(doc), &read))
		require.Equal(t, long, read.A.String())
		back, err := json.Marshal(read.A)
		require.NoError(t, err)
		require.JSONEq(t, `"`+long+`"`, string(back))
	}
	for _, doc := range []string{`{"a":null}`, `{"a":""}`, `{}`} {
		var read struct{ A venue.Decimal }
		require.NoError(t, venue.Decode([]byte(doc), &read))
		require.False(t, read.A.Known(), doc)
		back, err := json.Marshal(read.A)
		require.NoError(t, err)
		require.Equal(t, "null", string(back))
	}
	for _, doc := range []string{`{"a":true}`, `{"a":{}}`, `{"a":[]}`, `{"a":"one"}`} {
		var read struct{ A venue.Decimal }
		require.Error(t, venue.Decode([]byte(doc), &read), doc)
	}
}

// What is unknown stays unknown through every sum, and is never 0.
func TestUnknownDecimal(t *testing.T) {
	t.Parallel()
	var unknown venue.Decimal
	one := venue.NewDecimal(1, 0)
	for name, d := range map[string]venue.Decimal{
		"add": one.Add(unknown), "to": unknown.Add(one), "sub": one.Sub(unknown), "mul": one.Mul(unknown),
		"neg": unknown.Neg(), "abs": unknown.Abs(), "shift": unknown.Shift(2),
	} {
		require.False(t, d.Known(), name)
	}
	require.False(t, unknown.IsZero())
	require.Zero(t, unknown.Sign())
	require.False(t, unknown.Equal(venue.NewDecimal(0, 0)))
	require.True(t, unknown.Equal(venue.Decimal{}))
	require.Equal(t, "1", unknown.Or(one).String())
	require.Equal(t, "1", one.Or(venue.NewDecimal(2, 0)).String())
	_, _, err := unknown.Amount()
	require.ErrorIs(t, err, venue.ErrDecimal)
}

// One number is one pair of a whole number and a scale, however it was written.
func TestDecimalAmount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"1.5": "15 1", "1.5000000": "15 1", "150e-2": "15 1", "0.15e1": "15 1", "100": "100 0", "1e2": "100 0", "100.00": "100 0",
		"0.000": "0 0", "-0.00100": "-1 3",
	} {
		amount, scale, err := decimal(t, text).Amount()
		require.NoError(t, err)
		require.Equal(t, want, amount.String()+" "+strconv.Itoa(scale), text)
	}
}

// Sums are those of fractions of whole numbers, whatever the scales are.
func TestDecimalCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`-?[0-9]{1,30}(\.[0-9]{1,30})?(e-?[0-9]{1,2})?`)
		x, y := number.Draw(t, "x"), number.Draw(t, "y")
		a, b := decimal(t, x), decimal(t, y)
		ra, rb := ratio(t, x), ratio(t, y)
		before := a.String() + " " + b.String()
		require.Zero(t, ratio(t, a.String()).Cmp(ra), "%s became %s", x, a)
		require.Zero(t, ratio(t, a.Add(b).String()).Cmp(new(big.Rat).Add(ra, rb)))
		require.Zero(t, ratio(t, a.Sub(b).String()).Cmp(new(big.Rat).Sub(ra, rb)))
		require.Zero(t, ratio(t, a.Mul(b).String()).Cmp(new(big.Rat).Mul(ra, rb)))
		require.Zero(t, ratio(t, a.Neg().String()).Cmp(new(big.Rat).Neg(ra)))
		require.Zero(t, ratio(t, a.Abs().String()).Cmp(new(big.Rat).Abs(ra)))
		require.Zero(t, ratio(t, a.Shift(3).String()).Cmp(new(big.Rat).Quo(ra, big.NewRat(1000, 1))))
		require.Equal(t, ra.Sign(), a.Sign())
		require.Equal(t, ra.Cmp(rb) == 0, a.Equal(b))
		require.Equal(t, before, a.String()+" "+b.String(), "a sum changed what it was made of")

		// One number is one pair, however it was written.
		amount, scale, err := a.Amount()
		require.NoError(t, err)
		require.Equal(t, a.String(), amount.Decimal(scale))
		again, againScale, err := decimal(t, a.String()+"e0").Amount()
		require.NoError(t, err)
		require.Equal(t, amount.String(), again.String())
		require.Equal(t, scale, againScale)
	})
}

func ratio(t require.TestingT, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	require.True(t, ok, s)
	return r
}
