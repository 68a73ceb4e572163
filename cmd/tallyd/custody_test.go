package main

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// What the settings say of deposits, in the words of the ledger.
func TestPolicyOf(t *testing.T) {
	t.Parallel()
	chain := chains.Chain{Slug: "eth", ID: "eip155:1", Family: chains.FamilyEVM, Native: chains.Asset{ID: "eip155:1/slip44:60", Decimals: 18}}
	const contract = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
	c := config.DefaultChain(config.FamilyEVM)
	c.Tokens = []config.Token{{Symbol: "USDC", Contract: contract, Decimals: 6}}
	c.Deposits = config.Deposits{Credit: config.Credit{Tag: "safe"}, ReorgLimit: 9, Rules: []config.CreditRule{
		{Asset: contract, From: "0.5", Credit: config.Confirmed(7)},
		{From: "10", Credit: config.Credit{Tag: "finalized"}},
	}}
	policy, err := policyOf(chain, c)
	require.NoError(t, err)
	token := chains.TokenID(chain.ID, contract)
	ether, err := chains.ParseDecimal("10", 18)
	require.NoError(t, err)
	for _, tt := range []struct {
		asset  chains.AssetID
		amount chains.Amount
		want   custody.Threshold
	}{
		{token, chains.NewAmount(499_999), custody.Threshold{Basis: custody.BasisSafe}},
		{token, chains.NewAmount(500_000), custody.Threshold{Basis: custody.BasisDepth, Confirmations: 7}},
		{chain.Native.ID, ether.Sub(chains.NewAmount(1)), custody.Threshold{Basis: custody.BasisSafe}},
		{chain.Native.ID, ether, custody.Threshold{Basis: custody.BasisFinal}},
	} {
		require.Equal(t, tt.want, policy.For(tt.asset, tt.amount), "%s of %s", tt.amount, tt.asset)
	}
	require.EqualValues(t, 9, policy.ReorgLimit)
	require.True(t, followConfig(c).Safe)
	require.False(t, followConfig(config.DefaultChain(config.FamilyEVM)).Safe)
}

// The ledger knows a chain under its policy, or not at all.
func TestRegister(t *testing.T) {
	t.Parallel()
	ledger, err := store.Open(t.Context(), store.Options{URL: migratedDatabase(t), Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(ledger.Close)
	chain := chains.Chain{
		Slug: "btc", ID: "bip122:x", Family: chains.FamilyBitcoin, Environment: chains.Live, Genesis: chains.Hash{1},
		Native: chains.Asset{ID: "bip122:x/slip44:0", Symbol: "BTC", Decimals: 8, Listed: true},
	}
	known := 0
	w := windows{
		Store: ledger, registered: func() { known++ },
		policy: custody.Policy{Default: custody.Threshold{Basis: custody.BasisDepth, Confirmations: 6}},
	}
	require.NoError(t, w.Register(t.Context(), chain, nil))
	require.Equal(t, 1, known)
	policy := func() (confirmations int) {
		const query = `SELECT (policy -> 'default' ->> 'confirmations')::int FROM cursors`
		require.NoError(t, ledger.Pool().QueryRow(t.Context(), query).Scan(&confirmations))
		return confirmations
	}
	require.Equal(t, 6, policy())

	w.policy.Default.Confirmations = 1
	chain.Genesis = chains.Hash{2}
	require.ErrorIs(t, w.Register(t.Context(), chain, nil), indexer.ErrGenesis)
	require.Equal(t, 1, known, "nothing is searched on another network's nodes")
	require.Equal(t, 6, policy())
}

func TestChainResume(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	s.cfg.Redis.URL = config.NewURL("") // what is shown is not a moment old
	s.start()
	chain := chains.Chain{
		Slug: "btc", ID: "bip122:x", Family: chains.FamilyBitcoin, Environment: chains.Live, Genesis: chains.Hash{1},
		Native: chains.Asset{ID: "bip122:x/slip44:0", Symbol: "BTC", Decimals: 8, Listed: true},
	}
	require.NoError(t, s.daemon.store.Register(t.Context(), chain, nil))
	_, err := s.daemon.store.Pool().Exec(t.Context(), "UPDATE cursors SET halted = 'a reorg took back 2 credited deposits'")
	require.NoError(t, err)
	status := func() string {
		out, err := tallyd(t, "status", "--url", s.url, "--key", testMaster)
		require.NoError(t, err)
		return out
	}
	s.eventually("the status shows the halt", func() bool {
		return strings.Contains(status(), "no deposits are credited: a reorg took back 2 credited deposits")
	})
	path := settingsFile(t, databasePart(s.cfg.Database.URL.Reveal()))
	out, err := tallyd(t, "chain", "resume", "btc", "-c", path)
	require.NoError(t, err)
	require.Empty(t, out)
	s.eventually("the status shows none", func() bool { return !strings.Contains(status(), "credited") })
	_, err = tallyd(t, "chain", "resume", "doge", "-c", path)
	require.EqualError(t, err, `no chain "doge" in the database`)
	_, err = tallyd(t, "chain", "resume", "-c", path)
	require.ErrorContains(t, err, "SLUG")
	_, answer := s.call("GET", "/v1/audit?caller=cli", "X-API-Key", testMaster, nil)
	require.Len(t, answer["entries"], 2, "what the operator did is written down, and what was refused")
}
