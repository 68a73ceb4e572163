package localnode

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"
)

func eachBitcoin(t *testing.T, test func(t *testing.T, b *Bitcoin, w *Wallet)) {
	t.Helper()
	for name, start := range map[string]func(testing.TB) (*Bitcoin, *Wallet){"btcd": TestBtcd, "bitcoind": TestBitcoind} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, w := start(t)
			test(t, b, w)
		})
	}
}

// Every kind of address is paid from every other and the payments are mined.
func TestWalletPays(t *testing.T) {
	t.Parallel()
	eachBitcoin(t, func(t *testing.T, b *Bitcoin, w *Wallet) {
		t.Helper()
		ctx := t.Context()
		_, err := b.Generate(ctx, 110)
		require.NoError(t, err)

		for _, kind := range []Kind{P2PKH, P2TR, P2WPKH} {
			tx, err := w.Pay(ctx, b, Payment{To: []*wire.TxOut{wire.NewTxOut(40e8, w.Script(kind))}, Change: kind})
			require.NoError(t, err)
			spend, err := w.Pay(ctx, b, Payment{Inputs: w.CoinsOf(tx), To: []*wire.TxOut{wire.NewTxOut(10e8, w.Script(kind))}})
			require.NoError(t, err)
			hashes, err := b.Generate(ctx, 1)
			require.NoError(t, err)
			hash, err := chainhash.NewHashFromStr(hashes[0])
			require.NoError(t, err)
			block, err := b.Block(ctx, *hash)
			require.NoError(t, err)
			require.Equal(t, []chainhash.Hash{tx.TxHash(), spend.TxHash()}, txids(block)[1:])
		}
	})
}

// The scripts other rooms write: a replacement, a branch on which the payment
// stands elsewhere, and one without it.
func TestBranches(t *testing.T) {
	t.Parallel()
	eachBitcoin(t, func(t *testing.T, b *Bitcoin, w *Wallet) {
		t.Helper()
		ctx := t.Context()
		_, err := b.Generate(ctx, 110)
		require.NoError(t, err)
		fork, err := b.Tip(ctx)
		require.NoError(t, err)
		stranger, err := NewWallet("stranger", b.Params)
		require.NoError(t, err)
		before, err := w.Coins(ctx, b)
		require.NoError(t, err)
		require.Len(t, before, 11)

		paid, err := w.Pay(ctx, b, Payment{To: []*wire.TxOut{wire.NewTxOut(1e8, stranger.Script(P2WPKH))}, Replaceable: true})
		require.NoError(t, err)
		child, err := w.Build(ctx, b, Payment{Inputs: w.CoinsOf(paid)})
		require.NoError(t, err)
		replaced, err := w.Pay(ctx, b, Payment{Inputs: before[:1], Fee: 1e6, To: []*wire.TxOut{wire.NewTxOut(1e8, w.Script(P2TR))}})
		require.NoError(t, err)
		mempool, err := b.Mempool(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{replaced.TxHash().String()}, mempool)

		// The replaced payment is mined all the same, with its child.
		first, err := b.Mine(ctx, w.Script(P2PKH), paid, child)
		require.NoError(t, err)
		require.Equal(t, first.BlockHash(), tip(t, b))
		coins, err := stranger.Coins(ctx, b)
		require.NoError(t, err)
		require.Len(t, coins, 1)

		// A longer branch that holds the payment one block later, at another place.
		empty, err := b.MineEmpty(ctx, fork, w.Script(P2PKH), 1)
		require.NoError(t, err)
		require.Equal(t, first.BlockHash(), tip(t, b))
		other, err := w.Build(ctx, b, Payment{Inputs: before[1:2]})
		require.NoError(t, err)
		second, err := b.MineOn(ctx, empty, w.Script(P2PKH), other, paid)
		require.NoError(t, err)
		require.Equal(t, second.BlockHash(), tip(t, b))
		require.Equal(t, paid.TxHash(), txids(second)[2])

		// And one that mines the replacement.
		third, err := b.MineOn(ctx, fork, w.Script(P2PKH), replaced)
		require.NoError(t, err)
		last, err := b.MineEmpty(ctx, third.BlockHash(), w.Script(P2PKH), 2)
		require.NoError(t, err)
		require.Equal(t, last, tip(t, b))
		coins, err = stranger.Coins(ctx, b)
		require.NoError(t, err)
		require.Empty(t, coins)

		// Back to the second branch by decree.
		require.NoError(t, b.Invalidate(ctx, third.BlockHash()))
		require.Equal(t, second.BlockHash(), tip(t, b))
		require.NoError(t, b.Reconsider(ctx, third.BlockHash()))
		require.Equal(t, last, tip(t, b))

		_, err = b.MineOn(ctx, last, w.Script(P2PKH), paid) // its coin is spent
		require.Error(t, err)
	})
}

func TestBitcoindServesREST(t *testing.T) {
	t.Parallel()
	b, _ := TestBitcoind(t)
	hashes, err := b.Generate(t.Context(), 1)
	require.NoError(t, err)
	for _, path := range []string{"/rest/block/", "/rest/spenttxouts/"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+path+hashes[0]+".bin", nil)
		require.NoError(t, err)
		resp, err := b.http.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
	}
}

// A chain outlives the node's end, also a killed one, and the password is in no
// file that others may read, and in no log.
func TestBitcoinRestart(t *testing.T) {
	t.Parallel()
	simnet := func(t testing.TB) (*Bitcoin, *Wallet) {
		t.Helper()
		w, err := NewWallet("miner", &chaincfg.SimNetParams)
		require.NoError(t, err)
		b, err := startSimnet(t.Context(), testProgram(t, "TALLYD_BTCD", "btcd"), t.TempDir())
		require.NoError(t, err)
		endWithTest(t, b.node)
		return b, w
	}
	for name, start := range map[string]func(testing.TB) (*Bitcoin, *Wallet){"btcd": simnet, "bitcoind": TestBitcoind} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, w := start(t)
			ctx := t.Context()
			_, err := b.Generate(ctx, 310)
			require.NoError(t, err)
			_, err = w.Pay(ctx, b, Payment{To: []*wire.TxOut{wire.NewTxOut(1e8, w.Script(P2TR))}})
			require.NoError(t, err)
			_, err = b.Generate(ctx, 1)
			require.NoError(t, err)
			before := tip(t, b)

			require.NoError(t, b.Stop(ctx))
			require.NoError(t, b.Restart(ctx))
			require.Equal(t, before, tip(t, b))
			require.NoError(t, b.Kill(ctx))
			require.NoError(t, b.Restart(ctx))
			_, err = b.Generate(ctx, 1)
			require.NoError(t, err)

			dir := b.command.Dir
			require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				raw, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				if name := entry.Name(); name != "btcd.conf" && name != "bitcoin.conf" {
					require.NotContains(t, string(raw), b.Password, path)
				}
				return nil
			}))
		})
	}
}

// Two nodes that know each other agree on the longer branch.
func TestPeers(t *testing.T) {
	t.Parallel()
	a, _ := TestBtcd(t)
	b, _ := TestBitcoind(t)
	_, err := b.Generate(t.Context(), 3)
	require.NoError(t, err)
	require.NoError(t, b.Call(t.Context(), "addnode", nil, a.Peer, "add"))
	want := tip(t, b)
	level, err := Until(t.Context(), startTime, func() bool { got, err := a.Tip(context.WithoutCancel(t.Context())); return err == nil && got == want })
	require.NoError(t, err)
	require.True(t, level)
}

func tip(t *testing.T, b *Bitcoin) chainhash.Hash {
	t.Helper()
	hash, err := b.Tip(t.Context())
	require.NoError(t, err)
	return hash
}

func txids(block *wire.MsgBlock) []chainhash.Hash {
	ids := make([]chainhash.Hash, 0, len(block.Transactions))
	for _, tx := range block.Transactions {
		ids = append(ids, tx.TxHash())
	}
	return ids
}
