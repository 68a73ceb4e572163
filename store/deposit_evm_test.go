package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// evmDesk is a desk on an EVM chain with one listed token, and one that nobody
// lists and that calls itself the same.
type evmDesk struct {
	*desk
	token, fake chains.AssetID
	tip         chains.BlockRef
	n           int // of the last block
}

func newEVMDesk(t testing.TB, policy custody.Policy) *evmDesk {
	t.Helper()
	d, tip := newDesk(t, store.Options{}, chains.FamilyEVM, policy)
	e := &evmDesk{desk: d, token: chains.AssetID(d.chain.ID + "/erc20:0x01"), fake: chains.AssetID(d.chain.ID + "/erc20:0x02"), tip: tip, n: 1}
	e.list(t, e.token)
	return e
}

func (e *evmDesk) list(t testing.TB, tokens ...chains.AssetID) {
	t.Helper()
	var listed []chains.Asset
	for _, token := range tokens {
		listed = append(listed, chains.Asset{ID: token, Symbol: "TOK", Decimals: 6, Listed: true})
	}
	require.NoError(t, e.Register(t.Context(), e.chain, listed))
}

// peerOf is an address of 20 bytes that is nobody's.
func peerOf(n int) []byte { return append(make([]byte, 19), byte(n)) }

// log is a transfer of a token to an address of the desk's key.
func (e *evmDesk) log(tx, index int, asset chains.AssetID, amount int64) chains.Transfer {
	return chains.Transfer{
		Tx: hash('t', tx), Source: chains.SourceLog(0), Side: chains.In, Asset: asset,
		Amount: chains.NewAmount(amount), Script: script(100 + index), Peer: peerOf(1),
	}
}

// reading is a balance of an address of the desk's key.
type reading struct {
	index  int
	asset  chains.AssetID
	amount int64
}

func (e *evmDesk) snapshots(at chains.BlockRef, readings ...reading) []chains.Snapshot {
	var list []chains.Snapshot
	for _, r := range readings {
		list = append(list, chains.Snapshot{Script: script(100 + r.index), Asset: r.asset, Amount: chains.NewAmount(r.amount), At: at, Proof: chains.Confirmed})
	}
	return list
}

// mine appends a block with transfers, and with balances read at it.
func (e *evmDesk) mine(t testing.TB, match chains.Match, readings ...reading) chains.BlockRef {
	t.Helper()
	e.n++
	ref := block(e.tip, e.n)
	var stale []chains.Touch
	if len(readings) == 0 {
		for _, one := range match.Transfers {
			stale = append(stale, chains.Touch{Script: one.Script, Asset: one.Asset})
		}
	}
	_, err := e.Apply(t.Context(), indexer.Step{
		Lease: e.lease, Parent: e.tip.Hash, WatchVersion: e.version(t), Block: ref, Match: match,
		Snapshots: e.snapshots(ref, readings...), Stale: stale,
	})
	require.NoError(t, err)
	e.tip = ref
	return ref
}

// opened reads the opening balances of all new addresses at the tip, as a search
// does before it reads any block.
func (e *evmDesk) opened(t testing.TB, readings ...reading) {
	t.Helper()
	searched, err := e.SearchScripts(t.Context(), e.chain.Slug, 100)
	require.NoError(t, err)
	filling := indexer.Filling{Chain: e.chain.Slug, Snapshots: e.snapshots(e.tip, readings...)}
	for _, one := range searched {
		filling.Scripts = append(filling.Scripts, one.ID)
	}
	require.NoError(t, e.Fill(t.Context(), filling))
}

// A vault's wallets on one EVM chain share an address; each is paid its asset.
func TestEVMWalletsShareAnAddress(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(1))
	native := e.chain.Native.ID
	vault := e.newVault(t)
	coin := e.openIn(t, vault, native)
	e.opened(t, reading{0, native, 0}, reading{0, e.token, 0})
	// The token arrives before there is a wallet for it: it waits.
	e.mine(t, transfers(e.log(1, 0, e.token, 70), e.log(2, 0, native, 5)), reading{0, native, 5}, reading{0, e.token, 70})
	require.Equal(t, "0 5 0", e.holds(t, coin))
	require.Equal(t, []string{"deposit.confirming", "deposit.credited"}, e.told(t, "deposit."))
	tokens := e.openIn(t, vault, e.token)
	require.Equal(t, coin.Address, tokens.Address)
	require.Equal(t, "0 70 0", e.holds(t, tokens))
	further, err := e.CreateAddress(t.Context(), e.realm, tokens.ID, derive)
	require.NoError(t, err)
	require.Equal(t, address(101), further.Address)
	other := e.open(t)
	require.Equal(t, address(102), other.Address, "another vault has another address")
	e.sound(t)
}

// Only a listed contract is credited, whatever another calls itself; what came
// before a token was listed is credited once it is.
func TestFakeTokenIsNoDeposit(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(1))
	vault := e.newVault(t)
	coin, tokens := e.openIn(t, vault, e.chain.Native.ID), e.openIn(t, vault, e.token)
	e.opened(t, reading{0, e.chain.Native.ID, 0}, reading{0, e.token, 0})
	e.mine(t, transfers(e.log(1, 0, e.fake, 1_000_000)), reading{0, e.fake, 1_000_000})
	require.Equal(t, "0 0 0", e.holds(t, coin))
	require.Equal(t, "0 0 0", e.holds(t, tokens))
	_, err := e.CreateWallet(t.Context(), e.wallet(vault, e.fake), derive)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	require.Empty(t, e.told(t, "deposit."))

	// Taken off the list, a token is not credited; back on it, it is.
	e.list(t)
	e.mine(t, transfers(e.log(2, 0, e.token, 70)), reading{0, e.token, 70})
	require.Equal(t, "0 0 0", e.holds(t, tokens))
	e.list(t, e.token)
	require.Equal(t, "0 70 0", e.holds(t, tokens))
	e.sound(t)
}

// A token that is listed again in the edit that changes its policy is credited by
// that policy, and so is all else that waits.
func TestListedAgainUnderAnotherPolicy(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(1))
	vault, native := e.newVault(t), e.chain.Native.ID
	under := func(token, native uint64) custody.Policy {
		policy := depth(native)
		policy.Rules = []custody.Rule{{Asset: e.token, Threshold: custody.Threshold{Basis: custody.BasisDepth, Confirmations: token}}}
		return policy
	}
	require.NoError(t, e.SetPolicy(t.Context(), e.chain.Slug, under(1, 3)))
	coin, tokens := e.openIn(t, vault, native), e.openIn(t, vault, e.token)
	e.opened(t, reading{0, native, 0}, reading{0, e.token, 0})
	e.list(t)
	e.mine(t, transfers(e.log(1, 0, e.token, 70), e.log(2, 0, native, 9)), reading{0, e.token, 70}, reading{0, native, 9})
	require.Equal(t, "9 0 0", e.holds(t, coin))
	e.mine(t, chains.Match{})
	listed := []chains.Asset{{ID: e.token, Symbol: "TOK", Decimals: 6, Listed: true}}
	require.NoError(t, e.RegisterWith(t.Context(), e.chain, listed, under(3, 2)))
	require.Equal(t, "70 0 0", e.holds(t, tokens), "two deep")
	require.Equal(t, "0 9 0", e.holds(t, coin))
	e.mine(t, chains.Match{})
	require.Equal(t, "0 70 0", e.holds(t, tokens))
	e.sound(t)

	// Another network changes nothing.
	other := e.chain
	other.Genesis = hash('g', 1)
	require.ErrorIs(t, e.RegisterWith(t.Context(), other, nil, depth(1)), indexer.ErrGenesis)
	e.mine(t, transfers(e.log(3, 0, native, 5)), reading{0, native, 14})
	require.Equal(t, "5 9 0", e.holds(t, coin))
}

// A log is believed for what the balance proves of it, and for nothing before.
func TestTokenProofs(t *testing.T) {
	t.Parallel()
	type step struct {
		match    []int64 // amounts of logs; a negative one goes out
		balance  int64   // read at the block; -1 for not read
		pending  string
		received string
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"Plain", []step{{[]int64{100}, 100, "0", "100"}}},
		{"FeeOnTransfer", []step{{[]int64{100}, 98, "0", "98"}, {[]int64{50}, 147, "0", "147"}}},
		{"LogWithoutMove", []step{{[]int64{100}, 0, "0", "0"}, {[]int64{50}, 50, "0", "50"}}},
		{"TwoLogsOneTrue", []step{{[]int64{100, 60}, 100, "0", "100"}}},
		{"TwoLogsWithFees", []step{{[]int64{100, 100}, 196, "0", "196"}}},
		{"InAndOut", []step{{[]int64{100}, 100, "0", "100"}, {[]int64{-80, 40}, 60, "0", "140"}}},
		{"MoreThanTheLogs", []step{{[]int64{100}, 130, "0", "100"}}}, // a rebase is no deposit
		{"ReadLater", []step{{[]int64{100}, -1, "100", "0"}, {nil, -1, "100", "0"}, {nil, 100, "0", "100"}}},
		{"TwoReadLater", []step{{[]int64{100}, -1, "100", "0"}, {[]int64{50}, -1, "150", "0"}, {nil, 120, "0", "120"}}},
		{"NeverRead", []step{{[]int64{100}, -1, "100", "0"}, {nil, -1, "100", "0"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEVMDesk(t, depth(1))
			w := e.openIn(t, e.newVault(t), e.token)
			e.opened(t, reading{0, e.token, 0})
			tx := 0
			for i, s := range tt.steps {
				var match chains.Match
				for _, amount := range s.match {
					tx++
					leg := e.log(tx, 0, e.token, max(amount, -amount))
					leg.TxIndex = uint32(tx)
					if amount < 0 {
						leg.Side = chains.Out
					}
					match.Transfers = append(match.Transfers, leg)
				}
				if s.balance >= 0 {
					e.mine(t, match, reading{0, e.token, s.balance})
				} else {
					e.mine(t, match)
				}
				require.Equal(t, s.pending+" "+s.received+" 0", e.holds(t, w), "step %d", i)
				require.Equal(t, s.received, e.completed(t, w), "step %d", i)
			}
			e.sound(t)
		})
	}
}

// A balance that was read at a block that left proves nothing; one that was read
// by the refresh at the tip does.
func TestProofsLeaveWithTheirBlock(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(4))
	w := e.openIn(t, e.newVault(t), e.token)
	e.opened(t, reading{0, e.token, 0})
	e.mine(t, transfers(e.log(1, 0, e.token, 100)))
	fork := e.tip
	late := e.mine(t, chains.Match{}, reading{0, e.token, 100})
	require.Equal(t, "100", e.depositsOf(t, w)[0].Received.String())
	e.revert(t, late)
	require.Nil(t, e.depositsOf(t, w)[0].Received)
	e.tip = fork
	e.mine(t, chains.Match{})
	e.mine(t, chains.Match{})
	e.mine(t, chains.Match{})
	e.mine(t, chains.Match{})
	require.Equal(t, "100 0 0", e.holds(t, w), "deep enough, and not proven")
	e.amend(t, indexer.Amendment{Snapshots: e.snapshots(e.tip, reading{0, e.token, 60})})
	require.Equal(t, "0 60 0", e.holds(t, w))
	e.sound(t)
}

// A payment between the hand-over and the opening balance is proven once the
// search says that nothing is missing below; then its legs share what was there.
func TestProofsOfThePast(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMDesk(t, depth(1))
	w := e.openIn(t, e.newVault(t), e.token)
	e.mine(t, transfers(e.log(1, 0, e.token, 100)))
	e.opened(t, reading{0, e.token, 130})
	require.Equal(t, "100 0 0", e.holds(t, w), "earlier legs may still be found")
	searched, err := e.SearchScripts(ctx, e.chain.Slug, 10)
	require.NoError(t, err)
	filling := indexer.Filling{
		Chain: e.chain.Slug, Scripts: []int64{searched[0].ID}, Progress: true, Method: chains.MethodRaw,
		Blocks: []indexer.FilledBlock{{Ref: block(chains.BlockRef{Height: 4}, 90), Match: transfers(e.log(2, 0, e.token, 50))}},
	}
	require.NoError(t, e.Fill(ctx, filling))
	require.Equal(t, "150 0 0", e.holds(t, w))
	filling.Blocks, filling.Complete, filling.Through = nil, true, e.tip
	require.NoError(t, e.Fill(ctx, filling))
	require.Equal(t, "0 130 0", e.holds(t, w))
	e.sound(t)
}

// What the treasury or another address of the tenant sends to a deposit address,
// gas for a sweep, is no deposit.
func TestGasTopUpIsNoDeposit(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(1))
	native := e.chain.Native.ID
	a, b := e.open(t), e.open(t)
	e.opened(t, reading{0, native, 0}, reading{1, native, 0})
	treasury := indexer.WatchedScript{Script: peerOf(7), Address: "0x7"}
	require.NoError(t, e.SetTreasury(t.Context(), e.realm, e.chain.Slug, treasury))
	topup := e.log(1, 0, native, 9)
	topup.Peer = treasury.Script
	sweep := e.log(2, 1, native, 8)
	sweep.Peer = script(100)
	payment := e.log(3, 0, native, 5)
	e.mine(t, transfers(topup, sweep, payment), reading{0, native, 14}, reading{1, native, 8})
	require.Equal(t, "0 5 0", e.holds(t, a))
	require.Equal(t, "0 0 0", e.holds(t, b))
	e.sound(t)
}

// What an address sent before it was the tenant's own was a deposit, and stays one.
func TestTreasuryOfLater(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(2))
	native, before := e.chain.Native.ID, e.tip
	w := e.open(t)
	e.opened(t, reading{0, native, 0})
	treasury := indexer.WatchedScript{Script: peerOf(7), Address: "0x7"}
	payment, topup := e.log(1, 0, native, 9), e.log(2, 0, native, 5)
	payment.Peer, topup.Peer = treasury.Script, treasury.Script
	first := e.mine(t, transfers(payment), reading{0, native, 9})
	second := e.mine(t, chains.Match{})
	require.Equal(t, "0 9 0", e.holds(t, w))
	require.NoError(t, e.SetTreasury(t.Context(), e.realm, e.chain.Slug, treasury))

	e.revert(t, first, second)
	require.Equal(t, []custody.DepositState{custody.Orphaned}, e.states(t, w))
	require.Equal(t, "a reorg took back 1 credited deposits", e.halted(t))
	e.tip = before
	e.mine(t, chains.Match{})
	e.mine(t, transfers(payment, topup), reading{0, native, 14})
	e.mine(t, chains.Match{})
	require.NoError(t, e.Resume(t.Context(), e.chain.Slug))
	require.Equal(t, "0 9 0", e.holds(t, w), "what it sends now is no deposit")
	e.sound(t)
}

// The same transaction mined again with another log index within the block is the
// same deposit; with another amount it is another one.
func TestRemined(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(1))
	w := e.openIn(t, e.newVault(t), e.token)
	e.opened(t, reading{0, e.token, 0})
	fork := e.tip
	leg := e.log(1, 0, e.token, 100)
	leg.TxIndex = 4
	first := e.mine(t, transfers(leg), reading{0, e.token, 100})
	id := e.depositsOf(t, w)[0].ID
	e.revert(t, first)
	e.tip = fork
	leg.TxIndex = 9
	again := e.mine(t, transfers(leg), reading{0, e.token, 100})
	require.NoError(t, e.Resume(t.Context(), e.chain.Slug))
	require.Equal(t, "0 100 0", e.holds(t, w))
	require.Equal(t, id, e.depositsOf(t, w)[0].ID)
	e.revert(t, again)
	e.tip = fork
	leg.Amount = chains.NewAmount(99)
	e.mine(t, transfers(leg), reading{0, e.token, 99})
	require.NoError(t, e.Resume(t.Context(), e.chain.Slug))
	require.Equal(t, "0 99 0", e.holds(t, w))
	found := e.depositsOf(t, w)
	require.Len(t, found, 2)
	require.NotEqual(t, id, found[1].ID)
	states := map[uuid.UUID]custody.DepositState{found[0].ID: found[0].State, found[1].ID: found[1].State}
	require.Equal(t, custody.Orphaned, states[id])
	e.sound(t)
}

// Nine logs of 2²⁵⁶−1 in one block: the commit holds, and nothing is credited that
// is not there.
func TestForgedAmounts(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(1))
	w := e.openIn(t, e.newVault(t), e.token)
	e.opened(t, reading{0, e.token, 0})
	var match chains.Match
	for tx := range 9 {
		leg := e.log(1+tx, 0, e.token, 0)
		leg.Amount = chains.AmountFromBytes([]byte{31: 0xff, 0: 0xff})
		match.Transfers = append(match.Transfers, leg)
	}
	e.mine(t, match, reading{0, e.token, 7})
	now, err := e.Wallet(t.Context(), e.realm, w.ID)
	require.NoError(t, err)
	require.Equal(t, "7", now.Balance.Available.String())
	e.sound(t)
}
