package bitcoin_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

func TestEstimateFee(t *testing.T) {
	t.Parallel()
	number := func(text string) json.RawMessage { return json.RawMessage(text) }
	for name, tt := range map[string]struct {
		smart, plain, pool any // answers; nil for an unknown method
		want               int64
		basis              string
		capped             bool
	}{
		"Smart":       {smart: map[string]any{"feerate": number("0.00012345"), "blocks": 2}, want: 12_345, basis: "estimatesmartfee"},
		"NoOpinion":   {smart: map[string]any{"errors": []string{"Insufficient data"}, "blocks": 2}, plain: number("0.0002"), want: 20_000, basis: "estimatefee"},
		"Btcd":        {plain: number("1.5e-05"), want: 1500, basis: "estimatefee"},
		"BtcdQuiet":   {plain: number("0"), want: 1000, basis: "relay minimum"},
		"Dogecoin":    {smart: map[string]any{"feerate": number("-1")}, plain: number("-1"), want: 1000, basis: "relay minimum"},
		"Nothing":     {want: 1000, basis: "relay minimum"},
		"FullMempool": {pool: map[string]any{"mempoolminfee": number("0.00005000"), "minrelaytxfee": number("0.00001000")}, want: 5000, basis: "relay minimum"},
		"BelowRelay":  {smart: map[string]any{"feerate": number("0.00000100")}, want: 1000, basis: "estimatesmartfee"},
		"AboveLimit":  {smart: map[string]any{"feerate": number("21000000.0")}, want: 50_000, basis: "estimatesmartfee", capped: true},
		"Rubbish":     {smart: map[string]any{"feerate": "lots"}, plain: number("3e99999"), want: 1000, basis: "relay minimum"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeNode(t)
			for method, answer := range map[string]any{"estimatesmartfee": tt.smart, "estimatefee": tt.plain, "getmempoolinfo": tt.pool} {
				if answer != nil {
					fake.set(method, answer)
				}
			}
			got, err := open(t, fake.spec()).EstimateFee(t.Context(), 6, chains.NewAmount(50_000))
			if name == "Rubbish" {
				require.Error(t, err, "what is no number is a fault of the node")
				return
			}
			require.NoError(t, err)
			require.Equal(t, chains.NewAmount(tt.want).String(), got.Max.String())
			require.Equal(t, tt.basis, got.Basis)
			require.Equal(t, tt.capped, got.Capped)
		})
	}
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		got, err := open(t, node.spec()).EstimateFee(t.Context(), 2, chains.NewAmount(50_000))
		require.NoError(t, err)
		require.Equal(t, "1000", got.Max.String(), "a quiet chain has no opinion")
		require.Equal(t, "relay minimum", got.Basis)
	})
}
