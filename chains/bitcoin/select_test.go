package bitcoin

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
)

// scriptsOf are scripts of every kind that is spent.
func scriptsOf() map[kind][]byte {
	key := slices.Concat([]byte{2}, make([]byte, 32))
	return map[kind][]byte{
		kindWitness:    scriptWitness(0, make([]byte, 20)),
		kindTaproot:    scriptWitness(1, make([]byte, 32)),
		kindPubKeyHash: scriptPubKeyHash(make([]byte, 20)),
		kindPubKey:     scriptPubKey(key),
	}
}

// pool draws coins as customers make them: many equal, many small, some large.
func pool(params Params) *rapid.Generator[[]spendable] {
	return rapid.Custom(func(t *rapid.T) []spendable {
		keys := newKeyring(params)
		scripts := scriptsOf()
		values := rapid.OneOf(
			rapid.Int64Range(1, 3_000), rapid.Int64Range(1, 10_000_000), rapid.Int64Range(1, 1e12),
			rapid.SampledFrom([]int64{10_000, 20_000, 50_000, 100_000}),
		)
		coins := make([]spendable, rapid.IntRange(0, 60).Draw(t, "coins"))
		for i := range coins {
			coin := chains.Coin{
				Amount: chains.NewAmount(values.Draw(t, "value")),
				Script: scripts[rapid.SampledFrom([]kind{kindWitness, kindTaproot, kindPubKeyHash, kindPubKey}).Draw(t, "kind")],
			}
			binary.BigEndian.PutUint32(coin.Outpoint.Tx[:], uint32(i))
			var err error
			coins[i], err = keys.spendable(coin)
			require.NoError(t, err)
		}
		return coins
	})
}

// TestSelection checks what every choice of coins must keep: nothing is lost,
// nothing is paid twice, the rate is paid and not much more, and no output is dust.
func TestSelection(t *testing.T) {
	t.Parallel()
	params, err := ParamsByName("mainnet")
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		coins := pool(params).Draw(t, "pool")
		scripts := scriptsOf()
		want := wanted{
			asset: "btc", params: params,
			rate:   rapid.OneOf(rapid.Int64Range(1000, 5000), rapid.Int64Range(1000, 500_000)).Draw(t, "rate"),
			to:     scripts[rapid.SampledFrom([]kind{kindWitness, kindTaproot, kindPubKeyHash}).Draw(t, "to")],
			change: scriptWitness(0, slices.Repeat([]byte{7}, 20)),
		}
		var total int64
		for _, coin := range coins {
			total += coin.value
		}
		least := params.dust(want.to)
		want.amount = rapid.OneOf(rapid.Int64Range(least, least+100_000), rapid.Int64Range(least, max(least, total))).Draw(t, "amount")
		picked, err := want.choose(coins)
		if err != nil {
			checkShortage(t, want, coins, err)
			return
		}
		checkChoice(t, want, coins, picked)
		shuffled := rapid.Permutation(coins).Draw(t, "shuffled")
		again, err := want.choose(shuffled)
		require.NoError(t, err)
		require.Equal(t, picked, again, "the order of the pool does not matter")
	})
}

func checkChoice(t *rapid.T, want wanted, coins []spendable, picked chosen) {
	var sum int64
	seen := map[chains.Outpoint]bool{}
	var frame weigher
	for _, coin := range picked.coins {
		require.False(t, seen[coin.Outpoint], "no coin is spent twice")
		seen[coin.Outpoint] = true
		require.True(t, slices.ContainsFunc(coins, func(c spendable) bool { return c.Outpoint == coin.Outpoint && c.value == coin.value }))
		sum += coin.value
		frame.spend(coin)
	}
	require.Equal(t, sum, want.amount+picked.change+picked.fee, "inputs are outputs and fee")
	frame.pay(want.to)
	if picked.change > 0 {
		frame.pay(want.change)
		require.GreaterOrEqual(t, picked.change, want.params.dust(want.change))
		require.Equal(t, frame.fee(want.rate), picked.fee, "with change the rate is paid to the unit")
	}
	require.Equal(t, frame.vsize(), picked.vsize)
	require.LessOrEqual(t, frame.weight(), int64(maxWeight))
	require.GreaterOrEqual(t, picked.fee, frame.fee(want.rate))
	now, later := want.changeCost()
	most := frame.fee(want.rate) + now + max(later, want.params.dust(want.change)) + 1 + want.rate/250
	require.LessOrEqual(t, picked.fee, most, "what is given away is worth no output")
}

func checkShortage(t *rapid.T, want wanted, coins []spendable, err error) {
	var short *chains.ShortageError
	require.ErrorAs(t, err, &short)
	require.Negative(t, short.Have.Cmp(short.Need))
	var frame weigher
	sum := -want.amount
	for _, c := range candidates(coins, want.rate) {
		frame.spend(c.spendable)
		sum += c.value
	}
	frame.pay(want.to)
	require.Less(t, sum, frame.fee(want.rate), "all coins together do not suffice")
}

func TestSelectionPicksCoinsWithoutChange(t *testing.T) {
	t.Parallel()
	params, err := ParamsByName("mainnet")
	require.NoError(t, err)
	keys := newKeyring(params)
	var coins []spendable
	for i, value := range []int64{1_000_000, 60_000, 41_000, 30_000, 9_000, 200} {
		coin, err := keys.spendable(chains.Coin{
			Outpoint: chains.Outpoint{Vout: uint32(i)}, Amount: chains.NewAmount(value), Script: scriptWitness(0, make([]byte, 20)),
		})
		require.NoError(t, err)
		coins = append(coins, coin)
	}
	want := wanted{params: params, rate: 1000, to: scriptWitness(0, make([]byte, 20)), change: scriptWitness(1, make([]byte, 32))}
	for name, tt := range map[string]struct {
		amount int64
		vouts  []uint32 // of the coins that are spent
		change bool
	}{
		"Exact":     {amount: 60_000 + 9_000 - 180, vouts: []uint32{1, 4}}, // two inputs, one output: 178 virtual bytes, reckoned input by input
		"Nearly":    {amount: 60_000 + 9_000 - 180 - 90, vouts: []uint32{1, 4}},
		"NotNearly": {amount: 55_000, vouts: []uint32{0}, change: true},
		"Most":      {amount: 1_050_000, vouts: []uint32{0, 1}, change: true},
		"AllOfThem": {amount: 1_140_000 - 400, vouts: []uint32{0, 1, 2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := want
			want.amount = tt.amount
			picked, err := want.choose(coins)
			require.NoError(t, err)
			var vouts []uint32
			for _, coin := range picked.coins {
				vouts = append(vouts, coin.Outpoint.Vout)
			}
			slices.Sort(vouts)
			require.Equal(t, tt.vouts, vouts)
			require.Equal(t, tt.change, picked.change > 0)
		})
	}
}

// TestSelectionMakesNoSmallChange walks the rest of one coin across what is worth an
// output: at a low rate what is no dust, at a high one what pays for its spending.
func TestSelectionMakesNoSmallChange(t *testing.T) {
	t.Parallel()
	params, err := ParamsByName("mainnet")
	require.NoError(t, err)
	const (
		without = 110 // virtual bytes of one input and one output
		with    = 153 // and change to taproot
	)
	coin, err := newKeyring(params).spendable(chains.Coin{Amount: chains.NewAmount(1_000_000), Script: scriptWitness(0, make([]byte, 20))})
	require.NoError(t, err)
	for _, tt := range []struct {
		rate, least int64
	}{
		{rate: 1000, least: 330},
		{rate: 50_000, least: 50 * 231 / 4},
	} {
		want := wanted{params: params, rate: tt.rate, to: scriptWitness(0, make([]byte, 20)), change: scriptWitness(1, make([]byte, 32))}
		require.InDelta(t, tt.least, want.leastChange(), 1)
		// A little more than the least, since coins are reckoned one by one.
		for _, rest := range []int64{want.leastChange() - 1, want.leastChange() + tt.rate/500} {
			want.amount = 1_000_000 - with*tt.rate/1000 - rest
			picked, err := want.choose([]spendable{coin})
			require.NoError(t, err)
			if rest < want.leastChange() {
				require.Zero(t, picked.change)
				require.Equal(t, int64(without), picked.vsize)
				continue
			}
			require.Equal(t, rest, picked.change)
			require.Equal(t, int64(with), picked.vsize)
		}
	}
}

// TestSelectionEnds checks that a pool made to be searched for ever is not, and
// that a transaction never grows beyond what nodes relay.
func TestSelectionEnds(t *testing.T) {
	t.Parallel()
	params, err := ParamsByName("mainnet")
	require.NoError(t, err)
	keys := newKeyring(params)
	coins := make([]spendable, 20_000)
	for i := range coins {
		coins[i], err = keys.spendable(chains.Coin{
			Outpoint: chains.Outpoint{Vout: uint32(i)}, Amount: chains.NewAmount(100_000 + 2*int64(i)), Script: scriptWitness(0, make([]byte, 20)),
		})
		require.NoError(t, err)
	}
	want := wanted{params: params, rate: 1000, to: scriptWitness(0, make([]byte, 20)), change: scriptWitness(1, make([]byte, 32)), amount: 150_000_001}
	picked, err := want.choose(coins)
	require.NoError(t, err)
	require.True(t, picked.fits())
	want.amount = 1_000_000_000
	_, err = want.choose(coins)
	var short *chains.ShortageError
	require.ErrorAs(t, err, &short, "there is enough, but not in one transaction")
	require.Negative(t, short.Have.Cmp(short.Need))
}

// TestDust holds the thresholds of Bitcoin Core, Litecoin Core and Dogecoin Core.
func TestDust(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		chain  string
		script []byte
		least  int64
	}{
		{"mainnet", scriptPubKeyHash(make([]byte, 20)), 546},
		{"mainnet", scriptScriptHash(make([]byte, 20)), 540},
		{"mainnet", scriptWitness(0, make([]byte, 20)), 294},
		{"mainnet", scriptWitness(0, make([]byte, 32)), 330},
		{"mainnet", scriptWitness(1, make([]byte, 32)), 330},
		{"litecoin", scriptPubKeyHash(make([]byte, 20)), 5460},
		{"dogecoin", scriptPubKeyHash(make([]byte, 20)), 1_000_000},
	} {
		params, err := ParamsByName(tt.chain)
		require.NoError(t, err)
		require.Equal(t, tt.least, params.dust(tt.script), "%s %x", tt.chain, tt.script)
	}
}

func TestRates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0.00001000": "1000", "0.00001": "1000", "1e-05": "1000", "1E-8": "1", "0.000000001": "1", "0": "0", "1": "100000000", "12.5": "1250000000",
	} {
		got, err := parseRate(text, 8)
		require.NoError(t, err, text)
		require.Equal(t, want, got.String(), text)
	}
	for _, text := range []string{"", "-1", "-1e-5", "x", "1e100", "1e-999999999", "0.00000000000000000000000000000000001"} {
		_, err := parseRate(text, 8)
		require.Error(t, err, text)
	}
}
