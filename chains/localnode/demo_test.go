package localnode

import (
	"context"
	"errors"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/stretchr/testify/require"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	ctx, dir := t.Context(), t.TempDir()
	wallet, err := NewWallet("demo", &chaincfg.SimNetParams)
	require.NoError(t, err)
	b, err := StartBtcd(ctx, BitcoinOptions{
		Bin: testProgram(t, "TALLYD_BTCD", "btcd"), Dir: t.TempDir(), Params: &chaincfg.SimNetParams, MiningAddress: wallet.Address(P2WPKH),
	})
	require.NoError(t, err)
	endWithTest(t, b.node)
	e, err := StartAnvil(ctx, EthereumOptions{Bin: testProgram(t, "TALLYD_ANVIL", "anvil"), Dir: dir, StateFile: filepath.Join(dir, "state.json")})
	require.NoError(t, err)
	endWithTest(t, e.node)

	d := &Demo{Bitcoin: b, Wallet: wallet, Ethereum: e, Every: 20 * time.Millisecond}
	require.NoError(t, d.Prepare(ctx))
	height, err := b.Height(ctx)
	require.NoError(t, err)
	require.EqualValues(t, demoHeight+1, height)
	require.Equal(t, 1, paidTo(t, b, height, d.quickstart))

	running, cancel := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- d.Run(running, func(err error) { t.Errorf("round: %v", err) })
	}()
	// Twelve rounds: three blocks, of which one pays the quickstart's address.
	require.Eventually(t, func() bool { now, err := b.Height(ctx); return err == nil && now >= height+3 }, startTime, 20*time.Millisecond)
	over := errors.New("over")
	cancel(over)
	require.ErrorIs(t, <-ended, over)
	quickstart := 0
	for h := height + 1; h <= height+3; h++ {
		quickstart += paidTo(t, b, h, d.quickstart)
	}
	require.Equal(t, 1, quickstart)
	require.Positive(t, tokens(t, e, d.Token, e.Accounts[1]).Sign())

	// The next run finds the token again.
	require.NoError(t, e.Stop(ctx))
	require.NoError(t, e.Restart(ctx))
	again := &Demo{Ethereum: e}
	require.NoError(t, again.Prepare(ctx))
	require.Equal(t, d.Token, again.Token)
	before := tokens(t, e, d.Token, e.Accounts[1])
	require.NoError(t, again.Step(ctx))
	want := new(big.Int).Add(before, big.NewInt(11e4))
	require.Eventually(t, func() bool {
		got, err := e.TokenBalance(ctx, d.Token, e.Accounts[1], "latest")
		return err == nil && got.Cmp(want) == 0
	}, startTime, 20*time.Millisecond)
}

// paidTo counts the outputs of a block that pay a script.
func paidTo(t *testing.T, b *Bitcoin, height int32, script []byte) int {
	t.Helper()
	hash, err := b.BlockHash(t.Context(), height)
	require.NoError(t, err)
	block, err := b.Block(t.Context(), hash)
	require.NoError(t, err)
	n := 0
	for _, tx := range block.Transactions {
		for _, out := range tx.TxOut {
			if string(out.PkScript) == string(script) {
				n++
			}
		}
	}
	return n
}
