package evm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestParseAddress holds the vectors of EIP-55, and what people paste instead.
func TestParseAddress(t *testing.T) {
	t.Parallel()
	s := &Source{}
	for _, canonical := range []string{
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
		"0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77",
	} {
		for _, spelling := range []string{canonical, strings.ToLower(canonical), "0x" + strings.ToUpper(canonical[2:]), "0X" + strings.ToUpper(canonical[2:]), " " + canonical + "\n"} {
			script, got, err := s.ParseAddress(spelling)
			require.NoError(t, err, spelling)
			require.Equal(t, canonical, got)
			require.Equal(t, canonical, s.FormatAddress(script))
		}
	}
	for text, says := range map[string]string{
		"": "empty",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed": "checksum",
		"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe":  "39 digits",
		"0x" + strings.Repeat("1", 64):               "transaction hash",
		"0xzzAeb6053F3E94C9b9A09f33669435E7Ef1BeAed": "no hexadecimal digit",
		"5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed":   "does not begin with 0x",
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4": "bitcoin-like",
		"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa":         "bitcoin-like",
		"vitalik.eth":                                "name",
	} {
		_, _, err := s.ParseAddress(text)
		require.ErrorIs(t, err, errAddress, text)
		require.ErrorContains(t, err, says)
	}
	require.Empty(t, s.FormatAddress([]byte{1, 2}))
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`"0x0"`: "0", `"0x"`: "0", `"0xf"`: "15", `"0x10"`: "16", `"0xABc"`: "2748", `null`: "0",
		`"0x` + strings.Repeat("f", 64) + `"`: "115792089237316195423570985008687907853269984665640564039457584007913129639935",
	} {
		s := &scanner{text: []byte(text)}
		require.Equal(t, want, s.word().amount().String(), text)
		require.NoError(t, s.err)
	}
	for _, text := range []string{`"0x` + strings.Repeat("f", 65) + `"`, `"12"`, `"0xg"`, `"0x1g"`, `"0x`, `{}`, ``} {
		s := &scanner{text: []byte(text)}
		s.word()
		require.Error(t, s.err, text)
	}
	s := &scanner{text: []byte(`1795383690`)}
	require.Equal(t, uint64(1795383690), s.number())
	for _, text := range []string{`"0x10000000000000000"`, `1.5`, `-1`, `18446744073709551616`} {
		s := &scanner{text: []byte(text)}
		s.number()
		require.Error(t, s.err, text)
	}
}
