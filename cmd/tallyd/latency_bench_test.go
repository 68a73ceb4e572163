package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

// soon waits until done is true, and looks often: what is measured is not the wait
// between two looks.
func soon(b *testing.B, what string, done func() bool) {
	b.Helper()
	const look = 2 * time.Millisecond // less would wear out a caller's budget
	tick := time.NewTicker(look)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		require.True(b, time.Now().Before(end), "not in time: "+what)
	}
}

// reportTimes reports how long things took, under what they are called.
func reportTimes(b *testing.B, what string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(ms(took[len(took)/2]), what+"p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), what+"p99-ms")
	b.ReportMetric(ms(took[len(took)-1]), what+"max-ms")
}

// BenchmarkConnect connects an address that 100 transactions have paid, over
// HTTP, and waits until its balance is there and its whole past with it. Each
// address is connected once: nothing of it is known before.
func BenchmarkConnect(b *testing.B) {
	b.Run("bitcoin", func(b *testing.B) {
		node, miner := localnode.TestBitcoind(b)
		_, err := node.Generate(b.Context(), 110)
		require.NoError(b, err)
		var wallets []string
		var payment localnode.Payment
		for n := range b.N {
			wallet, err := localnode.NewWallet(fmt.Sprint("connect ", n), node.Params)
			require.NoError(b, err)
			wallets = append(wallets, wallet.Address(localnode.P2WPKH))
			payment.To = append(payment.To, wire.NewTxOut(10_000, wallet.Script(localnode.P2WPKH)))
		}
		payment.Fee = 100_000
		for range 100 {
			_, err := miner.Pay(b.Context(), node, payment)
			require.NoError(b, err)
			_, err = node.Generate(b.Context(), 1)
			require.NoError(b, err)
		}
		s := newStack(b, map[string]config.Chain{"btc": bitcoinChain(node)})
		benchmarkConnect(b, s, "btc", wallets, "1000000")
	})
	b.Run("evm", func(b *testing.B) {
		node := localnode.TestAnvil(b)
		require.NoError(b, node.AutoMine(b.Context(), false))
		var wallets []string
		for n := range b.N {
			wallets = append(wallets, fmt.Sprintf("0x%040x", 0xbeef0000+n))
		}
		for range 100 {
			for _, wallet := range wallets {
				// Of little gas, so that a block holds one to each.
				require.NoError(b, node.Call(b.Context(), "eth_sendTransaction", nil, map[string]string{
					"from": node.Accounts[0], "to": wallet, "value": "0x7", "gas": "0x5208",
				}))
			}
			require.NoError(b, node.Mine(b.Context(), 1))
		}
		s := newStack(b, map[string]config.Chain{"eth": ethereumChain(b, node, "0x00000000000000000000000000000000000000aa")})
		benchmarkConnect(b, s, "eth", wallets, "700")
	})
}

func benchmarkConnect(b *testing.B, s *stack, chain string, wallets []string, holds string) {
	b.Helper()
	s.start()
	var balance, history []time.Duration
	for _, wallet := range wallets {
		_, token := s.user()
		began := time.Now()
		a := s.connectFor(token, chain, wallet)
		var got held
		soon(b, "the balance is there", func() bool {
			got = a.balance()
			return got.state["last_sync"] != nil
		})
		balance = append(balance, time.Since(began))
		require.Contains(b, got.amounts, nativeOf(got))
		require.Equal(b, holds, got.amounts[nativeOf(got)])
		soon(b, "the whole past is there", func() bool {
			return a.balance().state["history"].(map[string]any)["status"] == "complete"
		})
		history = append(history, time.Since(began))
		// Each ends where the next begins.
		status, page := s.call("GET", "/v1/onchain/"+chain+"/account/"+a.id+"/transactions?limit=500", "Authorization", "Bearer "+token, nil)
		require.Equal(b, 200, status, page)
		require.Len(b, page["transactions"], 100)
	}
	reportTimes(b, "balance-", balance)
	reportTimes(b, "history-", history)
}

// nativeOf returns the asset of a balance that is no token.
func nativeOf(h held) string {
	for asset := range h.amounts {
		if !isToken(asset) {
			return asset
		}
	}
	return ""
}

// BenchmarkNumbered mines a payment to a connected address, and waits until its
// event stands in the feed, numbered.
func BenchmarkNumbered(b *testing.B) {
	for name, start := range map[string]func(testing.TB) (*localnode.Bitcoin, *localnode.Wallet){
		"bitcoind": localnode.TestBitcoind, "btcd": localnode.TestBtcd,
	} {
		b.Run(name, func(b *testing.B) {
			node, miner := start(b)
			_, err := node.Generate(b.Context(), 110)
			require.NoError(b, err)
			ann, err := localnode.NewWallet("ann", node.Params)
			require.NoError(b, err)
			s := newStack(b, map[string]config.Chain{"btc": bitcoinChain(node)})
			s.start()
			a := s.connect("btc", ann.Address(localnode.P2WPKH))
			s.eventually("it is level", func() bool { return a.balance().level })
			next := int64(0)
			var took []time.Duration
			for range b.N {
				_, err := miner.Pay(b.Context(), node, localnode.Payment{To: []*wire.TxOut{wire.NewTxOut(10_000, ann.Script(localnode.P2WPKH))}})
				require.NoError(b, err)
				next = s.told1(b, next, "transfer.pending")
				_, err = node.Generate(b.Context(), 1)
				require.NoError(b, err)
				began := time.Now()
				next = s.told1(b, next, "transfer.confirmed")
				took = append(took, time.Since(began))
			}
			reportTimes(b, "", took)
		})
	}
	b.Run("anvil", func(b *testing.B) {
		node := localnode.TestAnvil(b)
		require.NoError(b, node.Mine(b.Context(), 1))
		chain := ethereumChain(b, node, "0x00000000000000000000000000000000000000aa")
		chain.Upstreams[0].Websocket = config.NewURL(node.WebSocket)
		s := newStack(b, map[string]config.Chain{"eth": chain})
		s.start()
		const ann = "0x00000000000000000000000000000000beef0001"
		a := s.connect("eth", ann)
		s.eventually("it is level", func() bool { return a.balance().level })
		require.NoError(b, node.AutoMine(b.Context(), false))
		next := int64(0)
		var took []time.Duration
		for range b.N {
			_, err := node.Send(b.Context(), localnode.Transaction{To: ann, Value: big.NewInt(7)})
			require.NoError(b, err)
			require.NoError(b, node.Mine(b.Context(), 1))
			began := time.Now()
			next = s.told1(b, next, "transfer.confirmed")
			took = append(took, time.Since(began))
		}
		reportTimes(b, "", took)
	})
}

// told1 waits for the next event of a kind after a number, and returns its number.
func (s *stack) told1(b *testing.B, after int64, kind string) int64 {
	b.Helper()
	soon(b, kind, func() (found bool) {
		_, answer := s.call("GET", "/v1/events?after="+strconv.FormatInt(after, 10), "X-API-Key", testMaster, nil)
		for _, one := range answer["events"].([]any) {
			event := one.(map[string]any)
			if !found && event["type"] == kind {
				number, err := event["seq"].(json.Number).Int64()
				require.NoError(b, err)
				after, found = number, true
			}
		}
		return found
	})
	return after
}

// BenchmarkResume kills the only daemon, starts another at once and mines a
// payment, and waits until its event stands in the feed: the time from the kill
// on.
func BenchmarkResume(b *testing.B) {
	node, miner := localnode.TestBitcoind(b)
	_, err := node.Generate(b.Context(), 110)
	require.NoError(b, err)
	ann, err := localnode.NewWallet("ann", node.Params)
	require.NoError(b, err)
	m := &mortal{stack: &stack{t: b}, mortality: mortality{
		Database: migratedDatabase(b), Node: node.URL, User: node.User, Password: node.Password,
	}}
	m.begin()
	b.Cleanup(func() { _ = m.in.Close() })
	m.await()
	m.levelAt(110)
	_, token := m.user()
	a := m.connectFor(token, "btc", ann.Address(localnode.P2WPKH))
	m.eventually("it is level", func() bool { return a.balance().level })
	next := int64(0)
	var took []time.Duration
	for n := range b.N {
		require.NoError(b, m.command.Process.Kill())
		began := time.Now()
		_ = m.command.Wait() // it says that it was killed
		_, err := miner.Pay(b.Context(), node, localnode.Payment{To: []*wire.TxOut{wire.NewTxOut(10_000, ann.Script(localnode.P2WPKH))}})
		require.NoError(b, err)
		_, err = node.Generate(b.Context(), 1)
		require.NoError(b, err)
		m.begin()
		m.await()
		next = m.told1(b, next, "transfer.confirmed")
		took = append(took, time.Since(began))
		m.eventually("it holds all", func() bool { return total(a.balance().amounts) == strconv.Itoa(10_000*(n+1)) })
	}
	reportTimes(b, "", took)
	m.end()
}
