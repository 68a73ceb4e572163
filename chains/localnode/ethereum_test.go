package localnode

import (
	"bytes"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	alice = "0x00000000000000000000000000000000000a11ce"
	bob   = "0x0000000000000000000000000000000000000b0b"
)

func eachEthereum(t *testing.T, test func(t *testing.T, e *Ethereum)) {
	t.Helper()
	for name, start := range map[string]func(testing.TB) *Ethereum{"anvil": TestAnvil, "geth": TestGeth} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	eachEthereum(t, func(t *testing.T, e *Ethereum) {
		t.Helper()
		ctx := t.Context()
		token, err := e.DeployToken(ctx, Token{Symbol: "DEMO", Decimals: 6, Supply: big.NewInt(1e12)})
		require.NoError(t, err)
		receipt, err := e.Transact(ctx, Transaction{To: token, Data: TransferData(alice, big.NewInt(250))})
		require.NoError(t, err)
		require.Equal(t, "0x1", receipt.Status)
		require.Equal(t, big.NewInt(250), tokens(t, e, token, alice))
		require.Equal(t, big.NewInt(1e12-250), tokens(t, e, token, e.Accounts[0]))

		var symbol string
		require.NoError(t, e.Call(ctx, "eth_call", &symbol, map[string]string{"to": token, "data": "0x95d89b41"}, "latest"))
		require.Contains(t, symbol, "0444454d4f") // the length and "DEMO"

		// More than there is: mined, failed, nothing moved.
		receipt, err = e.Transact(ctx, Transaction{To: token, Data: TransferData(alice, big.NewInt(2e12))})
		require.NoError(t, err)
		require.Equal(t, "0x0", receipt.Status)
		require.Equal(t, big.NewInt(250), tokens(t, e, token, alice))

		silent, err := e.DeploySilentToken(ctx)
		require.NoError(t, err)
		receipt, err = e.Transact(ctx, Transaction{To: silent, Data: TransferData(alice, big.NewInt(5))})
		require.NoError(t, err)
		require.Equal(t, "0x1", receipt.Status)
		require.Zero(t, tokens(t, e, silent, alice).Sign())
	})
}

func TestPayouts(t *testing.T) {
	t.Parallel()
	eachEthereum(t, func(t *testing.T, e *Ethereum) {
		t.Helper()
		ctx := t.Context()
		payout, err := e.DeployPayout(ctx)
		require.NoError(t, err)
		receipt, err := e.Transact(ctx, Transaction{To: payout, Value: big.NewInt(100), Data: PayoutData(alice, bob)})
		require.NoError(t, err)
		require.Equal(t, "0x1", receipt.Status)
		require.Equal(t, []int64{50, 50, 0}, wei(t, e, alice, bob, payout))

		receipt, err = e.Transact(ctx, Transaction{To: payout, Value: big.NewInt(10), Data: PayFirstData(alice, bob)})
		require.NoError(t, err)
		require.Equal(t, "0x1", receipt.Status)
		require.Equal(t, []int64{55, 50, 5}, wei(t, e, alice, bob, payout))
	})
}

// The chain with its past balances outlives an orderly end; after a crash it is
// what was last saved.
func TestAnvilRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := EthereumOptions{Bin: testProgram(t, "TALLYD_ANVIL", "anvil"), Dir: dir, StateFile: filepath.Join(dir, "state.json")}
	ctx := t.Context()
	first, err := StartAnvil(ctx, options)
	require.NoError(t, err)
	endWithTest(t, first.node)
	for range 3 {
		_, err := first.Transact(ctx, Transaction{To: alice, Value: big.NewInt(10)})
		require.NoError(t, err)
	}
	before := blockHashes(t, first)
	require.NoError(t, first.Stop(ctx))

	second, err := StartAnvil(ctx, options)
	require.NoError(t, err)
	endWithTest(t, second.node)
	require.Equal(t, before, blockHashes(t, second))
	for block, want := range map[string]int64{"0x0": 0, "0x1": 10, "0x2": 20, "latest": 30} {
		got, err := second.Balance(ctx, alice, block)
		require.NoError(t, err)
		require.Equal(t, big.NewInt(want).String(), got.String(), block)
	}
	_, err = second.Transact(ctx, Transaction{To: bob, Value: big.NewInt(7)})
	require.NoError(t, err)
	require.NoError(t, second.SaveState(ctx))
	saved := blockHashes(t, second)
	require.NoError(t, second.Reorg(ctx, 3))
	require.Equal(t, []int64{10}, wei(t, second, alice))

	require.NoError(t, second.Kill(ctx))
	require.NoError(t, second.Restart(ctx))
	require.Equal(t, saved, blockHashes(t, second))
	require.Equal(t, []int64{30, 7}, wei(t, second, alice, bob))
	_, err = second.Balance(ctx, alice, "0x1") // refused, not made up
	require.ErrorContains(t, err, "BlockOutOfRange")
	left, err := filepath.Glob(filepath.Join(dir, "state.json.*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// The first block stays what it is, however often anvil begins from a state: it
// would have begun with another one each time, of the second in which it starts.
func TestAnvilKeepsGenesis(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := EthereumOptions{Bin: testProgram(t, "TALLYD_ANVIL", "anvil"), Dir: dir, StateFile: filepath.Join(dir, "state.json")}
	ctx := t.Context()
	first, err := StartAnvil(ctx, options)
	require.NoError(t, err)
	endWithTest(t, first.node)
	genesis := timeOfGenesis(t, first)
	require.NoError(t, first.Stop(ctx))
	state, err := os.ReadFile(options.StateFile)
	require.NoError(t, err)
	const old = "0x5"
	quoted := func(text string) []byte { return []byte(`"timestamp":"` + text + `"`) }
	require.Equal(t, 1, bytes.Count(state, quoted(genesis)))
	require.NoError(t, os.WriteFile(options.StateFile, bytes.Replace(state, quoted(genesis), quoted(old), 1), 0o600))
	for range 3 {
		next, err := StartAnvil(ctx, options)
		require.NoError(t, err)
		endWithTest(t, next.node)
		require.Equal(t, old, timeOfGenesis(t, next))
		require.NoError(t, next.Stop(ctx))
		state, err = os.ReadFile(options.StateFile)
		require.NoError(t, err)
		require.Equal(t, 1, bytes.Count(state, []byte(`"header":`)), "no other one is kept")
	}
}

func timeOfGenesis(t *testing.T, e *Ethereum) string {
	t.Helper()
	var block struct {
		Timestamp string `json:"timestamp"`
	}
	require.NoError(t, e.Call(t.Context(), "eth_getBlockByNumber", &block, "0x0", false))
	return block.Timestamp
}

func TestReplay(t *testing.T) {
	t.Parallel()
	e := TestAnvil(t)
	ctx := t.Context()
	// Two transactions in one block, then a block with nothing, then one more.
	require.NoError(t, e.AutoMine(ctx, false))
	var raws []string
	for n, to := range []string{alice, bob} {
		hash, err := e.Send(ctx, Transaction{From: e.Accounts[n], To: to, Value: big.NewInt(3)})
		require.NoError(t, err)
		raw, err := e.Raw(ctx, hash)
		require.NoError(t, err)
		raws = append(raws, raw)
	}
	require.NoError(t, e.Mine(ctx, 1))
	require.NoError(t, e.AutoMine(ctx, true))
	require.NoError(t, e.Mine(ctx, 1))
	_, err := e.Transact(ctx, Transaction{To: alice, Value: big.NewInt(4)})
	require.NoError(t, err)
	first := blockHashes(t, e)
	branch, err := e.Branch(ctx, 3)
	require.NoError(t, err)

	require.NoError(t, e.Rollback(ctx, 3))
	require.Equal(t, []int64{0, 0}, wei(t, e, alice, bob))
	_, err = e.Transact(ctx, Transaction{To: bob, Value: big.NewInt(9)})
	require.NoError(t, err)
	require.NoError(t, e.Rollback(ctx, 1))
	require.NoError(t, e.Replay(ctx, branch))
	require.Equal(t, first, blockHashes(t, e))
	require.Equal(t, []int64{7, 3}, wei(t, e, alice, bob))

	require.NoError(t, e.ReorgTo(ctx, 3, []string{raws[1], raws[0]}))
	other, err := e.Branch(ctx, 3)
	require.NoError(t, err)
	require.Equal(t, []string{branch[0].Transactions[1], branch[0].Transactions[0]}, other[0].Transactions)
	require.Equal(t, []int64{3, 3}, wei(t, e, alice, bob))
}

func TestGethRestart(t *testing.T) {
	t.Parallel()
	e := TestGeth(t)
	_, err := e.Transact(t.Context(), Transaction{To: alice, Value: big.NewInt(10)})
	require.NoError(t, err)
	before := blockHashes(t, e)
	require.NoError(t, e.Stop(t.Context()))
	require.NoError(t, e.Restart(t.Context()))
	require.Equal(t, before, blockHashes(t, e))
	require.Equal(t, []int64{10}, wei(t, e, alice))
}

func tokens(t *testing.T, e *Ethereum, token, holder string) *big.Int {
	t.Helper()
	n, err := e.TokenBalance(t.Context(), token, holder, "latest")
	require.NoError(t, err)
	return n
}

func wei(t *testing.T, e *Ethereum, addresses ...string) []int64 {
	t.Helper()
	var balances []int64
	for _, a := range addresses {
		n, err := e.Balance(t.Context(), a, "latest")
		require.NoError(t, err)
		balances = append(balances, n.Int64())
	}
	return balances
}

func blockHashes(t *testing.T, e *Ethereum) string {
	t.Helper()
	height, err := e.Height(t.Context())
	require.NoError(t, err)
	var hashes strings.Builder
	for n := range height + 1 {
		var block struct{ Hash string }
		require.NoError(t, e.Call(t.Context(), "eth_getBlockByNumber", &block, "0x"+big.NewInt(int64(n)).Text(16), false))
		hashes.WriteString(block.Hash)
	}
	return hashes.String()
}
