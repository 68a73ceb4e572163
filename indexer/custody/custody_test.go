package custody_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

func TestParseAmount(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text     string
		decimals int
		want     string // base units; "" for an error
		err      error
	}{
		{"1", 8, "100000000", nil},
		{"0.5", 8, "50000000", nil},
		{"0.00000001", 8, "1", nil},
		{"1.10", 1, "11", nil}, // zeros at the end say nothing
		{"7", 0, "7", nil},
		{strings.Repeat("9", 60), 18, strings.Repeat("9", 60) + strings.Repeat("0", 18), nil},
		{"0", 8, "", custody.ErrAmountPositive},
		{"0.000", 8, "", custody.ErrAmountPositive},
		{"-1", 8, "", custody.ErrAmountPositive},
		{"-0", 8, "", custody.ErrAmountPositive},
		{"0.000000001", 8, "", custody.ErrAmountPrecise},
		{"1.1", 0, "", custody.ErrAmountPrecise},
		{strings.Repeat("9", 61), 18, "", custody.ErrAmountLarge},
		{strings.Repeat("9", 200), 18, "", custody.ErrAmountForm},
		{"", 8, "", custody.ErrAmountForm},
		{".5", 8, "", custody.ErrAmountForm},
		{"5.", 8, "", custody.ErrAmountForm},
		{"+1", 8, "", custody.ErrAmountForm},
		{"01", 8, "", custody.ErrAmountForm},
		{" 1", 8, "", custody.ErrAmountForm},
		{"1e3", 8, "", custody.ErrAmountForm},
		{"0x10", 8, "", custody.ErrAmountForm},
		{"1,5", 8, "", custody.ErrAmountForm},
		{"1_000", 8, "", custody.ErrAmountForm},
		{"NaN", 8, "", custody.ErrAmountForm},
		{"١", 8, "", custody.ErrAmountForm},
		{"1", -1, "", custody.ErrAmountForm}, // nobody knows the unit
	} {
		amount, err := custody.ParseAmount(tt.text, tt.decimals)
		require.Equal(t, tt.err, err, "%q with %d decimals", tt.text, tt.decimals)
		if tt.err == nil {
			require.Equal(t, tt.want, amount.String(), tt.text)
		}
	}
}

// What is written of an amount is read as the same amount.
func TestParseAmountReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		decimals := rapid.IntRange(0, 30).Draw(t, "decimals")
		amount, err := chains.ParseAmount(rapid.StringMatching(`[1-9][0-9]{0,76}`).Draw(t, "amount"))
		require.NoError(t, err)
		read, err := custody.ParseAmount(amount.Decimal(decimals), decimals)
		require.NoError(t, err)
		require.True(t, amount.Equal(read))
	})
}

// The life of a deposit: what each state becomes by what its transfer does.
func TestDepositStates(t *testing.T) {
	t.Parallel()
	type states map[indexer.TransferStatus]custody.DepositState
	fresh := states{indexer.StatusPending: custody.Detected, indexer.StatusConfirmed: custody.Confirming, indexer.StatusOrphaned: "", indexer.StatusReplaced: "", indexer.StatusDropped: ""}
	known := states{
		indexer.StatusPending: custody.Detected, indexer.StatusConfirmed: custody.Confirming, indexer.StatusOrphaned: custody.Orphaned,
		indexer.StatusReplaced: custody.Replaced, indexer.StatusDropped: custody.Dropped,
	}
	for _, before := range append(custody.DepositStates(), "") {
		want := known
		if before == "" {
			want = fresh
		}
		for transfer, next := range want {
			switch {
			case before == custody.Credited && transfer == indexer.StatusConfirmed:
				next = custody.Credited
			case before == custody.Dropped && transfer == indexer.StatusOrphaned:
				next = custody.Dropped
			}
			require.Equal(t, next, before.Next(transfer, false), "%s, %s", before, transfer)
			internal := custody.Dropped
			if before == "" {
				internal = ""
			}
			require.Equal(t, internal, before.Next(transfer, true), "%s, %s, internal", before, transfer)
		}
	}
	for before, why := range map[custody.DepositState]string{custody.Orphaned: custody.ReasonReorg, custody.Confirming: custody.ReasonUnmoved} {
		next, reason := before.End()
		require.Equal(t, custody.Dropped, next)
		require.Equal(t, why, reason)
	}
	for state, status := range map[custody.DepositState]custody.Status{
		custody.Detected: custody.OnChain, custody.Confirming: custody.OnChain, custody.Orphaned: custody.OnChain,
		custody.Credited: custody.Completed, custody.Replaced: custody.Failed, custody.Dropped: custody.Failed,
	} {
		require.Equal(t, status, state.Status(), state)
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		threshold custody.Threshold
		coinbase  bool
		want      custody.Due
	}{
		{custody.Threshold{}, false, custody.Due{Basis: custody.BasisDepth, Height: 100}}, // one confirmation at least
		{custody.Threshold{Basis: custody.BasisDepth, Confirmations: 1}, false, custody.Due{Basis: custody.BasisDepth, Height: 100}},
		{custody.Threshold{Basis: custody.BasisDepth, Confirmations: 6}, false, custody.Due{Basis: custody.BasisDepth, Height: 105}},
		{custody.Threshold{Basis: custody.BasisDepth, Confirmations: 6}, true, custody.Due{Basis: custody.BasisDepth, Height: 199, Mature: 199}},
		{custody.Threshold{Basis: custody.BasisDepth, Confirmations: 150}, true, custody.Due{Basis: custody.BasisDepth, Height: 249, Mature: 199}},
		{custody.Threshold{Basis: custody.BasisFinal}, false, custody.Due{Basis: custody.BasisFinal, Height: 100}},
		{custody.Threshold{Basis: custody.BasisSafe}, true, custody.Due{Basis: custody.BasisSafe, Height: 100, Mature: 199}},
	} {
		require.Equal(t, tt.want, tt.threshold.Due(100, tt.coinbase, 100))
	}
}

func TestJournalCheck(t *testing.T) {
	t.Parallel()
	wallet, other := uuid.New(), uuid.New()
	n := chains.NewAmount
	for name, tt := range map[string]struct {
		postings []custody.Posting
		ok       bool
	}{
		"Movement":      {custody.Movement(custody.World(), custody.Available(wallet), 1, n(5)), true},
		"Lock":          {custody.Movement(custody.Available(wallet), custody.Locked(wallet), 1, n(5)), true},
		"TwoAssets":     {append(custody.Movement(custody.World(), custody.Available(wallet), 1, n(5)), custody.Movement(custody.World(), custody.Available(other), 2, n(7))...), true},
		"Nothing":       {nil, false},
		"OneSided":      {custody.Movement(custody.World(), custody.Available(wallet), 1, n(5))[:1], false},
		"AcrossAssets":  {[]custody.Posting{{Account: custody.AccountChain, Asset: 1, Amount: n(-5)}, {Account: custody.AccountAvailable, Wallet: wallet, Asset: 2, Amount: n(5)}}, false},
		"Zero":          {custody.Movement(custody.World(), custody.Available(wallet), 1, n(0)), false},
		"NobodysWallet": {custody.Movement(custody.World(), custody.Available(uuid.Nil), 1, n(5)), false},
		"WalletOfFees":  {custody.Movement(custody.Available(wallet), custody.Posting{Account: custody.AccountFees, Wallet: other}, 1, n(5)), false},
	} {
		err := custody.Journal{Postings: tt.postings}.Check()
		require.Equal(t, tt.ok, err == nil, "%s: %v", name, err)
	}
}
