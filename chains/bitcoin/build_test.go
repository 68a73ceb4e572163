package bitcoin_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
)

// TestBuildPaymentRefuses lists the orders that are not met.
func TestBuildPaymentRefuses(t *testing.T) {
	t.Parallel()
	source, alice := offline(t), newSigner(t)
	good := func() chains.PaymentOrder {
		return chains.PaymentOrder{
			Coins: alice.funded(source, "wpkh", "tr"), To: worth(recipient(t, source), 50_000),
			Change: alice.output(source, "wpkh", chains.BranchChange, 0), Rate: satPerByte(2), Ceiling: most, Tip: 110,
		}
	}
	_, err := source.BuildPayment(t.Context(), good())
	require.NoError(t, err)
	both := func(o *chains.PaymentOrder) { o.To.Amount = chains.NewAmount(150_000) } // takes both coins
	for name, tt := range map[string]struct {
		change func(o *chains.PaymentOrder)
		is     error
		says   string
	}{
		"Dust":         {change: func(o *chains.PaymentOrder) { o.To.Amount = chains.NewAmount(293) }, is: chains.ErrDust},
		"Zero":         {change: func(o *chains.PaymentOrder) { o.To.Amount = chains.Amount{} }, is: chains.ErrDust},
		"Negative":     {change: func(o *chains.PaymentOrder) { o.To.Amount = chains.NewAmount(-5) }, says: "no amount"},
		"Enormous":     {change: func(o *chains.PaymentOrder) { o.To.Amount = chains.NewAmount(1 << 62) }, says: "no amount"},
		"RateTooLow":   {change: func(o *chains.PaymentOrder) { o.Rate.Max = chains.NewAmount(999) }, is: chains.ErrFeeTooLow},
		"RateMad":      {change: func(o *chains.PaymentOrder) { o.Rate.Max = chains.NewAmount(1 << 60) }, says: "no rate"},
		"RateNegative": {change: func(o *chains.PaymentOrder) { o.Rate.Max = chains.NewAmount(-1) }, says: "no rate"},
		"Ceiling":      {change: func(o *chains.PaymentOrder) { o.Ceiling = chains.NewAmount(100) }, is: chains.ErrFeeTooHigh},
		"Twice":        {change: func(o *chains.PaymentOrder) { o.Coins[1].Outpoint = o.Coins[0].Outpoint }, says: "given twice"},
		"ForeignKey":   {change: func(o *chains.PaymentOrder) { both(o); o.Coins[0].Key.Index++ }, says: "another script"},
		"OtherKind":    {change: func(o *chains.PaymentOrder) { both(o); o.Coins[0].Key = o.Coins[1].Key }, says: "another script"},
		"ForeignChange": {change: func(o *chains.PaymentOrder) {
			o.Change.Key = alice.output(source, "tr", chains.BranchChange, 0).Key
		}, says: "another script"},
		"PrivateKey": {change: func(o *chains.PaymentOrder) { o.Coins[0].Key.Wallet = alice.secret("wpkh") }, says: "private key"},
		"ToChange":   {change: func(o *chains.PaymentOrder) { o.To.Script = o.Change.Script }, says: "the one for change"},
		"NoScript":   {change: func(o *chains.PaymentOrder) { o.To.Script = nil }, is: chains.ErrUnsupported},
		"Data":       {change: func(o *chains.PaymentOrder) { o.To.Script = chains.Hex("\x6a\x02hi") }, is: chains.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			order := good()
			tt.change(&order)
			_, err := source.BuildPayment(t.Context(), order)
			require.Error(t, err)
			require.ErrorContains(t, err, tt.says)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			require.NotContains(t, err.Error(), "prv")
		})
	}
	short := good()
	short.Coins[0].Coinbase, short.Coins[0].Height, short.To.Amount = true, 12, chains.NewAmount(150_000)
	_, err = source.BuildPayment(t.Context(), short)
	var shortage *chains.ShortageError
	require.ErrorAs(t, err, &shortage, "the coinbase at height 12 can be spent at 112")
	short.Tip = 111
	_, err = source.BuildPayment(t.Context(), short)
	require.NoError(t, err)
	// A coin whose signature has no known size is left out, and stops nothing.
	foreign := good()
	foreign.Coins[0].Key, foreign.Coins[0].Script = nil, append(chains.Hex{0, 32}, make([]byte, 32)...)
	draft, err := source.BuildPayment(t.Context(), foreign)
	require.NoError(t, err)
	require.Len(t, draft.Payment.Inputs, 1)
	require.Equal(t, foreign.Coins[1].Outpoint, draft.Payment.Inputs[0].Outpoint)
	foreign.To.Amount = chains.NewAmount(150_000)
	_, err = source.BuildPayment(t.Context(), foreign)
	require.ErrorAs(t, err, &shortage)
	cash, err := bitcoin.Open(t.Context(), chains.Spec{Network: "bitcoincash", Upstreams: []chains.Upstream{{URL: "http://127.0.0.1:1"}}}, nop)
	require.NoError(t, err)
	t.Cleanup(cash.Close)
	_, err = cash.(chains.CoinBuilder).BuildPayment(t.Context(), good())
	require.ErrorIs(t, err, chains.ErrUnsupported)
}

// TestBuildPaymentWithinCeiling has one coin that needs no change and leaves more to the
// fee than may be paid, and one that makes change for less.
func TestBuildPaymentWithinCeiling(t *testing.T) {
	t.Parallel()
	source, alice := offline(t), newSigner(t)
	order := chains.PaymentOrder{
		Coins: alice.funded(source, "wpkh", "wpkh"), To: worth(recipient(t, source), 50_000),
		Change: alice.output(source, "wpkh", chains.BranchChange, 0), Rate: satPerByte(2), Ceiling: most, Tip: 110,
	}
	order.Coins[0].Amount = chains.NewAmount(50_400)
	draft, err := source.BuildPayment(t.Context(), order)
	require.NoError(t, err)
	require.Equal(t, "400", draft.Fee.String())
	order.Ceiling = chains.NewAmount(300)
	draft, err = source.BuildPayment(t.Context(), order)
	require.NoError(t, err)
	require.Equal(t, "282", draft.Fee.String())
	require.Len(t, draft.Payment.Outputs, 2)
}
