package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/indexer/custody"
)

// A fill that fails when it is mined has used its nonce all the same.
func TestFillFails(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMTill(t, depth(2))
	coins := e.rich(t, e.desk.chain.Native.ID, 500)
	given, behind := e.withdraw(t, coins, 10), e.withdraw(t, coins, 20)
	e.work(t)
	if e.nonce(t, given) > e.nonce(t, behind) {
		given, behind = behind, given
	}
	require.NoError(t, second(e.Cancel(ctx, e.realm, given)))
	e.work(t)
	fill := e.fill(t)
	draft := e.signs(t, fill)
	e.signs(t, behind)
	e.work(t)
	e.mine(t, e.transferEffect(draft.Draft, sign(draft.Draft).ID, false), e.onChain(t, behind))
	e.work(t)
	require.Equal(t, "Confirming", e.at(t, fill))
	e.mine(t)
	e.work(t)
	require.Equal(t, "Completed", e.at(t, fill))
	require.Equal(t, "Completed", e.at(t, behind))
	require.Equal(t, "2", e.withdrawal(t, fill).Mined.Fee.String())
	e.sound(t)
}

// fill returns the one fill of a nonce that there is.
func (e *evmTill) fill(t testing.TB) uuid.UUID {
	t.Helper()
	list, _, err := e.CustodyTransactions(t.Context(), e.realm, custody.TransactionFilter{Kinds: []custody.Kind{custody.KindNonceFill}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0].ID
}

// A fill that nodes would let fail now is built later: until then all waits behind its
// nonce, and nobody can order another one.
func TestFillReverts(t *testing.T) {
	t.Parallel()
	e := newEVMTill(t, depth(1))
	coins := e.rich(t, e.desk.chain.Native.ID, 500)
	given, behind := e.withdraw(t, coins, 10), e.withdraw(t, coins, 20)
	e.work(t)
	if e.nonce(t, given) > e.nonce(t, behind) {
		given = behind
	}
	require.NoError(t, second(e.Cancel(t.Context(), e.realm, given)))
	e.node.reverts = true
	e.work(t)
	require.Equal(t, "Submitted reverts", e.at(t, e.fill(t)))
	e.node.reverts = false
	e.again(t)
	require.Equal(t, "PendingSignature", e.at(t, e.fill(t)))
	e.sound(t)
}
