package store_test

import (
	"math/big"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/store"
)

// TestNumeric sends amounts to Postgres and back, in both formats of the
// protocol, alone, in arrays and as sums: exact beyond every fixed width.
func TestNumeric(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.Options{})
	limit := new(big.Int).Lsh(big.NewInt(1), 256)
	bytes := rapid.SliceOfN(rapid.Byte(), 0, 33)
	amounts := rapid.Custom(func(t *rapid.T) chains.Amount {
		n := new(big.Int).SetBytes(bytes.Draw(t, "magnitude"))
		n.Mod(n, new(big.Int).Add(limit, big.NewInt(1)))
		if rapid.Bool().Draw(t, "round") { // trailing zeros, which the binary format leaves out
			n.Sub(n, new(big.Int).Mod(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)))
		}
		if rapid.Bool().Draw(t, "negative") {
			n.Neg(n)
		}
		return chains.AmountFromBig(n)
	})
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(amounts, 1, 12).Draw(rt, "amounts")
		total := chains.Amount{}
		for _, a := range all {
			total = total.Add(a)
		}
		for _, format := range []pgx.QueryResultFormats{{pgx.BinaryFormatCode}, {pgx.TextFormatCode}} {
			var one chains.Amount
			require.NoError(rt, s.Pool().QueryRow(t.Context(), "SELECT $1::numeric", format, all[0]).Scan(&one))
			require.Equal(rt, all[0].String(), one.String())
			var sum chains.Amount
			require.NoError(rt, s.Pool().QueryRow(t.Context(), "SELECT sum(n)::numeric FROM unnest($1::numeric[]) AS n", format, all).Scan(&sum))
			require.Equal(rt, total.String(), sum.String())
		}
	})
}

func TestNumericRefused(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.Options{})
	for _, sql := range []string{"SELECT 0.5::numeric", "SELECT 'NaN'::numeric", "SELECT 'Infinity'::numeric", "SELECT NULL::numeric"} {
		for _, format := range []pgx.QueryResultFormats{{pgx.BinaryFormatCode}, {pgx.TextFormatCode}} {
			var a chains.Amount
			require.Error(t, s.Pool().QueryRow(t.Context(), sql, format).Scan(&a), sql)
		}
	}
	var whole chains.Amount
	require.NoError(t, s.Pool().QueryRow(t.Context(), "SELECT 7.000::numeric").Scan(&whole))
	require.Equal(t, "7", whole.String())
}

func TestHash(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.Options{})
	want := hash('x', 1)
	for _, format := range []pgx.QueryResultFormats{{pgx.BinaryFormatCode}, {pgx.TextFormatCode}} {
		var got, none chains.Hash
		require.NoError(t, s.Pool().QueryRow(t.Context(), "SELECT $1::bytea", format, want).Scan(&got))
		require.Equal(t, want, got)
		require.NoError(t, s.Pool().QueryRow(t.Context(), "SELECT NULL::bytea", format).Scan(&none))
		require.True(t, none.IsZero())
		require.Error(t, s.Pool().QueryRow(t.Context(), "SELECT 'abc'::bytea", format).Scan(&none))
		var pointer *chains.Hash
		require.NoError(t, s.Pool().QueryRow(t.Context(), "SELECT NULL::bytea", format).Scan(&pointer))
		require.Nil(t, pointer)
	}
}
