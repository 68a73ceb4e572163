package main

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
)

func TestBalance(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) (*localnode.Bitcoin, *localnode.Wallet){
		"Unspent": localnode.TestBitcoind, // by scantxoutset
		"Filters": localnode.TestBtcd,     // which has none
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node, miner := start(t)
			w := newBitcoinWorld(t, node, miner)
			w.pay(5_000_000_000-123_456_789, 0)
			w.pay(700_001, 0, 1)
			w.generate(1)
			w.payFrom(w.people[0], localnode.Payment{}, 100_000, 2) // spends, and pays change back
			w.generate(1)
			path := settingsFile(t, bitcoinPart(node, "regtest", node.Password))
			var scripts [][]byte
			for _, person := range w.people {
				scripts = append(scripts, person.Script(localnode.P2WPKH))
			}
			truth := oracle(t.Context(), t, node, scripts...)
			height, err := node.Height(t.Context())
			require.NoError(t, err)
			tip, err := node.Tip(t.Context())
			require.NoError(t, err)
			for i, person := range w.people {
				out, err := tallyd(t, "balance", "btc", person.Address(localnode.P2WPKH), "-c", path)
				require.NoError(t, err)
				whole := fmt.Sprintf(`(?m)^\d+(\.\d+)? +\S+ +%d +%d +%s +\S+$`, truth[i], height, tip)
				require.Regexp(t, whole, out)
				require.NotZero(t, truth[i])
			}
			stranger, err := localnode.NewWallet("stranger", node.Params)
			require.NoError(t, err)
			out, err := tallyd(t, "balance", "btc", stranger.Address(localnode.P2WPKH), "-c", path)
			require.NoError(t, err)
			require.Regexp(t, fmt.Sprintf(`(?m)^0 +\S+ +0 +%d +%s `, height, tip), out)
		})
	}
}

func TestBalanceOfState(t *testing.T) {
	t.Parallel()
	node := localnode.TestAnvil(t)
	token, err := node.DeployToken(t.Context(), localnode.Token{Symbol: "TST", Decimals: 6, Supply: big.NewInt(1e15)})
	require.NoError(t, err)
	const person = "0x00000000000000000000000000000000beef0000"
	for _, tx := range []localnode.Transaction{
		{To: person, Value: big.NewInt(1_000_000_000_000_000_001)},
		{To: token, Data: localnode.TransferData(person, big.NewInt(1_500_000))},
	} {
		_, err := node.Transact(t.Context(), tx)
		require.NoError(t, err)
	}
	path := settingsFile(t, fmt.Sprintf(
		"chains: {eth: {family: evm, environment: test, network: 31337, upstreams: [{url: %q}], tokens: [{symbol: TST, contract: %q, decimals: 6}]}}",
		node.URL, token))
	out, err := tallyd(t, "balance", "eth", person, "-c", path)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^1\.000000000000000001 +ETH +1000000000000000001 +\d+ +\S+ +proven$`, out)
	require.Regexp(t, `(?m)^1\.5 +TST +1500000 +\d+ +\S+ +\S+$`, out)
}
