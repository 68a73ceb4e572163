package main

import (
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

// BenchmarkReceived mines a payment to a connected address, and waits until a
// receiver of webhooks has got the event: from the moment the node says that it has
// the block.
func BenchmarkReceived(b *testing.B) {
	b.Run("bitcoind", func(b *testing.B) {
		node, miner := localnode.TestBitcoind(b)
		_, err := node.Generate(b.Context(), 110)
		require.NoError(b, err)
		ann, err := localnode.NewWallet("ann", node.Params)
		require.NoError(b, err)
		s, came := hooked(b, map[string]config.Chain{"btc": bitcoinChain(node)})
		a := s.connect("btc", ann.Address(localnode.P2WPKH))
		s.eventually("it is level", func() bool { return a.balance().level })
		var took []time.Duration
		for range b.N {
			_, err := miner.Pay(b.Context(), node, localnode.Payment{To: []*wire.TxOut{wire.NewTxOut(10_000, ann.Script(localnode.P2WPKH))}})
			require.NoError(b, err)
			await(b, came, "transfer.pending")
			_, err = node.Generate(b.Context(), 1)
			require.NoError(b, err)
			began := time.Now()
			took = append(took, await(b, came, "transfer.confirmed").Sub(began))
		}
		reportTimes(b, "", took)
	})
	b.Run("anvil", func(b *testing.B) {
		node := localnode.TestAnvil(b)
		require.NoError(b, node.Mine(b.Context(), 1))
		chain := ethereumChain(b, node, "0x00000000000000000000000000000000000000aa")
		chain.Upstreams[0].Websocket = config.NewURL(node.WebSocket)
		s, came := hooked(b, map[string]config.Chain{"eth": chain})
		const ann = "0x00000000000000000000000000000000beef0001"
		a := s.connect("eth", ann)
		s.eventually("it is level", func() bool { return a.balance().level })
		require.NoError(b, node.AutoMine(b.Context(), false))
		var took []time.Duration
		for range b.N {
			_, err := node.Send(b.Context(), localnode.Transaction{To: ann, Value: big.NewInt(7)})
			require.NoError(b, err)
			require.NoError(b, node.Mine(b.Context(), 1))
			began := time.Now()
			took = append(took, await(b, came, "transfer.confirmed").Sub(began))
		}
		reportTimes(b, "", took)
	})
}

// arrival is an event as it reached the receiver.
type arrival struct {
	kind string
	at   time.Time
}

// hooked starts a daemon that sends every event to a receiver in this process.
func hooked(b *testing.B, chains map[string]config.Chain) (*stack, <-chan arrival) {
	b.Helper()
	came := make(chan arrival, 1000)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		at := time.Now()
		var message struct{ Type string }
		if json.NewDecoder(r.Body).Decode(&message) == nil {
			came <- arrival{message.Type, at}
		}
	}))
	b.Cleanup(receiver.Close)
	s := newStack(b, chains)
	s.cfg.Webhooks = loopback()
	s.start()
	status, made := s.call("POST", "/v1/webhooks/endpoints", "X-API-Key", testMaster, map[string]any{"url": receiver.URL})
	require.Equal(b, http.StatusCreated, status, made)
	return s, came
}

// await waits for an event of a kind, and returns when it came.
func await(b *testing.B, came <-chan arrival, kind string) time.Time {
	b.Helper()
	end := time.NewTimer(patience)
	defer end.Stop()
	for {
		select {
		case a := <-came:
			if a.kind == kind {
				return a.at
			}
		case <-end.C:
			require.Fail(b, "not in time: "+kind)
		}
	}
}
