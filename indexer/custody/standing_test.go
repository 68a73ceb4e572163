package custody_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/indexer/custody"
)

func TestStandingStatus(t *testing.T) {
	t.Parallel()
	paid, reverted := &custody.Mined{Draft: 1, Paid: true}, &custody.Mined{Draft: 1}
	for _, tt := range []struct {
		name     string
		standing custody.Standing
		status   custody.Status
		reason   string
	}{
		{"Accepted", custody.Standing{}, custody.Broadcasting, ""},
		{"Taken", custody.Standing{Taken: true}, custody.OnChain, ""},
		{"MinedByOthers", custody.Standing{Mined: paid}, custody.OnChain, ""},
		{"Mined", custody.Standing{Taken: true, Mined: paid}, custody.OnChain, ""},
		{"Deep", custody.Standing{Taken: true, Mined: paid, Deep: true}, custody.Completed, ""},
		{"RevertedShallow", custody.Standing{Mined: reverted}, custody.OnChain, ""},
		{"RevertedDeep", custody.Standing{Mined: reverted, Deep: true}, custody.Failed, custody.ReasonReverted},
		{"Lost", custody.Standing{Taken: true, Lost: true}, custody.OnChain, ""},
		{"LostUnseen", custody.Standing{Lost: true}, custody.Broadcasting, ""},
		{"LostDeep", custody.Standing{Taken: true, Lost: true, Deep: true}, custody.Failed, custody.ReasonConflict},
		{"DeepOfNothing", custody.Standing{Taken: true, Deep: true}, custody.OnChain, ""},
	} {
		status, reason := tt.standing.Status()
		require.Equal(t, tt.status, status, tt.name)
		require.Equal(t, tt.reason, reason, tt.name)
	}
}

// life is a withdrawal whose facts come and go as nodes, signers and reorgs have it.
type life struct {
	t      *rapid.T
	claim  custody.Claim
	status custody.Status
	fee    chains.Amount
	signed bool
	facts  custody.Standing
	sums   map[custody.Account]chains.Amount // of all journals
}

// reach changes the status, and posts what lies between.
func (l *life) reach(status custody.Status) {
	fee := chains.Amount{}
	if l.facts.Mined != nil {
		fee = l.facts.Mined.Fee
	}
	postings := custody.Between(l.claim.Books(l.status, l.fee), l.claim.Books(status, fee))
	if len(postings) > 0 {
		require.NoError(l.t, custody.Journal{Postings: postings}.Check())
	}
	for _, p := range postings {
		l.sums[p.Account] = l.sums[p.Account].Add(p.Amount)
	}
	l.status, l.fee = status, fee
}

// TestWithdrawalModel lets facts come and go in any order. The status must be what
// a naive reader of the facts expects, money must be in one place, and no way to a
// state may leave other books than another.
func TestWithdrawalModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		wallet := uuid.New()
		amount := chains.NewAmount(rapid.Int64Range(1, 1e12).Draw(t, "amount"))
		l := &life{t: t, claim: custody.Claim{Wallet: &wallet, Asset: 1, Native: 2, Amount: amount}, sums: map[custody.Account]chains.Amount{}}
		if rapid.Bool().Draw(t, "native") {
			l.claim.Native = 1
		}
		for _, p := range l.claim.Books(custody.Submitted, chains.Amount{}) {
			l.sums[p.Account] = l.sums[p.Account].Add(p.Amount)
		}
		l.status = custody.Submitted
		t.Repeat(map[string]func(*rapid.T){
			"build": func(t *rapid.T) {
				if l.status != custody.Submitted {
					t.Skip()
				}
				l.reach(custody.PendingSignature)
			},
			"sign": func(t *rapid.T) {
				if l.status != custody.PendingSignature {
					t.Skip()
				}
				l.signed = true
				l.reach(custody.Broadcasting)
			},
			"wait": func(*rapid.T) {}, // of what is cancelled nothing comes
			"cancel": func(t *rapid.T) {
				if !l.status.Cancellable() || l.signed {
					t.Skip()
				}
				l.reach(custody.Cancelled)
			},
			"fact": func(t *rapid.T) {
				if !l.signed {
					t.Skip()
				}
				l.facts = custody.Standing{Taken: l.facts.Taken || rapid.Bool().Draw(t, "taken"), Deep: rapid.Bool().Draw(t, "deep")}
				switch rapid.IntRange(0, 3).Draw(t, "fate") {
				case 0:
					l.facts.Mined = &custody.Mined{Draft: 1, Paid: true, Fee: chains.NewAmount(rapid.Int64Range(0, 99).Draw(t, "fee"))}
				case 1:
					l.facts.Mined = &custody.Mined{Draft: 1, Fee: chains.NewAmount(7)}
				case 2:
					l.facts.Lost = true
				}
				status, _ := l.facts.Status()
				l.reach(status)
			},
			"": func(t *rapid.T) { l.check(t) },
		})
	})
}

func (l *life) check(t *rapid.T) {
	zero, fee := chains.Amount{}, chains.Amount{}
	want := map[custody.Account]chains.Amount{}
	switch l.status {
	case custody.Completed:
		require.True(t, l.facts.Mined != nil && l.facts.Mined.Paid && l.facts.Deep)
		want[custody.AccountAvailable], want[custody.AccountChain] = l.claim.Amount.Neg(), l.claim.Amount
		fee = l.facts.Mined.Fee
	case custody.Failed:
		require.True(t, l.facts.Deep && (l.facts.Lost || !l.facts.Mined.Paid))
		if l.facts.Mined != nil {
			fee = l.facts.Mined.Fee
		}
	case custody.Cancelled:
		require.False(t, l.signed, "what somebody may broadcast is not cancelled")
	default:
		require.True(t, l.status.Open())
		want[custody.AccountAvailable], want[custody.AccountLocked] = l.claim.Amount.Neg(), l.claim.Amount
	}
	want[custody.AccountTreasury], want[custody.AccountFees] = fee.Neg(), fee
	sum := zero
	for _, account := range []custody.Account{
		custody.AccountAvailable, custody.AccountLocked, custody.AccountChain, custody.AccountTreasury, custody.AccountFees,
	} {
		require.Equal(t, want[account].String(), l.sums[account].String(), account)
		sum = sum.Add(l.sums[account])
	}
	require.True(t, sum.IsZero())
}

// What no wallet has a part in costs the tenant its fee, and nothing else.
func TestBooksWithoutWallet(t *testing.T) {
	t.Parallel()
	claim := custody.Claim{Asset: 1, Native: 2, Amount: chains.NewAmount(50)}
	require.Empty(t, claim.Books(custody.OnChain, chains.Amount{}))
	require.Empty(t, claim.Books(custody.Completed, chains.Amount{}))
	postings := claim.Books(custody.Completed, chains.NewAmount(3))
	require.NoError(t, custody.Journal{Postings: postings}.Check())
	require.Len(t, postings, 2)
}
