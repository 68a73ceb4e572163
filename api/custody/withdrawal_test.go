package custody_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/chainstest"
	"tallyd/indexer"
	vaults "tallyd/indexer/custody"
)

// bank is a node that builds payments by the simplest rules: coins in their order, a
// fee of 1000. What signs writes "signed " before the payload.
type bank struct{ *node }

func (bank) EstimateFee(context.Context, int, chains.Amount) (chains.FeeEstimate, error) {
	return chains.FeeEstimate{FeeRate: chains.FeeRate{Max: chains.NewAmount(7)}, Basis: "estimatesmartfee"}, nil
}

func (b bank) BuildPayment(_ context.Context, order chains.PaymentOrder) (chains.Draft, error) {
	return b.build(order, chains.NewAmount(1000))
}

func (bank) build(order chains.PaymentOrder, fee chains.Amount) (chains.Draft, error) {
	need, have := order.To.Amount.Add(fee), chains.Amount{}
	if order.To.Amount.Cmp(chains.NewAmount(300)) < 0 {
		return chains.Draft{}, chains.ErrDust
	}
	if fee.Cmp(order.Ceiling) > 0 {
		return chains.Draft{}, chains.ErrFeeTooHigh
	}
	payment := &chains.PaymentDraft{Outputs: []chains.DraftOutput{{Output: order.To}}}
	for _, coin := range order.Coins {
		if have.Cmp(need) < 0 {
			payment.Inputs, have = append(payment.Inputs, chains.DraftInput{Coin: coin}), have.Add(coin.Amount)
		}
	}
	if have.Cmp(need) < 0 {
		return chains.Draft{}, &chains.ShortageError{Asset: chainstest.FakeAsset, Have: have, Need: need}
	}
	if rest := have.Sub(need); rest.Sign() > 0 {
		order.Change.Amount = rest
		payment.Outputs = append(payment.Outputs, chains.DraftOutput{Output: order.Change, Change: true})
	}
	return chains.Draft{
		Chain: "bip122:fake", Format: chains.FormatPSBT, Payload: uuid.NewString(), Paths: make([]string, len(payment.Inputs)),
		Fee: fee, Rate: order.Rate, Payment: payment,
	}, nil
}

func (b bank) Bump(_ context.Context, draft chains.Draft, bump chains.Bump) (chains.Draft, error) {
	order := chains.PaymentOrder{To: draft.Payment.Outputs[0].Output, Change: draft.Payment.Outputs[1].Output, Ceiling: bump.Ceiling, Rate: bump.Rate}
	for _, in := range draft.Payment.Inputs {
		order.Coins = append(order.Coins, in.Coin)
	}
	return b.build(order, draft.Fee.Add(chains.NewAmount(1000)))
}

func (bank) Check(draft chains.Draft, signed string, ceiling chains.Amount) (chains.Signed, error) {
	switch payload, ok := strings.CutPrefix(signed, "signed "); {
	case draft.Fee.Cmp(ceiling) > 0:
		return chains.Signed{}, &chains.MismatchError{Code: chains.FeeOverLimit, Field: "fee"}
	case !ok:
		return chains.Signed{}, &chains.MismatchError{Code: chains.Malformed, Got: "it is not hex"}
	case payload == "":
		return chains.Signed{}, &chains.MismatchError{Code: chains.Unsigned, Field: "inputs[0]"}
	case payload != draft.Payload:
		return chains.Signed{}, &chains.MismatchError{Code: chains.Differs, Field: "outputs[0].amount", Want: "1", Got: "2"}
	}
	return chains.Signed{Raw: []byte(signed), ID: txOf(draft.Payload).ID()}, nil
}

func txOf(payload string) chainstest.Tx { return chainstest.Tx{Name: payload} }

func (bank) Broadcast(context.Context, []byte) error { return nil }

func (bank) Lookup(context.Context, chains.Hash) (chains.Sighting, error) {
	return chains.Sighting{}, chains.ErrNotFound
}

// work carries out what waits.
func (d *desk) work() {
	d.Helper()
	payer := &vaults.Payer{Source: bank{d.node}, Payouts: d.Store, Coins: d.Store, Config: vaults.PayerConfig{MaxFee: chains.NewAmount(5000), Blocks: 3}}
	for {
		moved, err := payer.Step(d.Context())
		require.NoError(d, err)
		if !moved {
			return
		}
	}
}

// rich opens a wallet with 1.5 and lets withdrawals go to friend.
func newRich(t *testing.T) (*desk, answer) {
	t.Helper()
	d := newDesk(t)
	d.key()
	wallet := d.wallet()
	d.mine("ab", pays("1", wallet.text("depositAddress"), 150_000_000))
	d.mine("abc")
	require.Equal(t, "0 1.5 0", d.balance(wallet))
	d.made("/address-book", `{"network":"btc","address":"friend"}`)
	_, err := d.Pool().Exec(t.Context(), "UPDATE address_book SET usable_at = now() - interval '1 second'")
	require.NoError(t, err)
	return d, wallet
}

func withdrawal(wallet answer, to, amount string) string {
	return `{"sourceWalletId":"` + wallet.text("id") + `","destinationAddress":"` + to + `","amount":"` + amount + `"}`
}

// The road of a withdrawal as a custody backend sees it.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	d, wallet := newRich(t)
	estimate := d.call("GET", "/transactions/fee-estimate?sourceWalletId="+wallet.text("id"), "")
	require.Equal(t, 200, estimate.status, estimate.raw)
	require.Equal(t, "0.00000001", estimate.text("estimatedFee"), "141 bytes at 7 for 1000")
	require.Equal(t, "0.00005", estimate.text("maxFee"))
	require.Equal(t, "estimatesmartfee", estimate.text("basis"))

	order := withdrawal(wallet, "Friend", "0.5")
	made := d.made("/transactions/withdraw", order, "Idempotency-Key", "w1")
	again := d.made("/transactions/withdraw", order, "Idempotency-Key", "w1")
	require.Equal(t, made.text("id"), again.text("id"))
	require.Equal(t, 400, d.call("POST", "/transactions/withdraw", withdrawal(wallet, "friend", "0.6"), "Idempotency-Key", "w1").status)
	require.Equal(t, 400, d.call("POST", "/transactions/withdraw", order).status, "without a key")
	require.Equal(t, "Submitted", made.text("status"))
	require.Equal(t, "friend", made.text("destinationAddress"), "in canonical spelling")
	require.Equal(t, "0 1 0.5", d.balance(wallet))
	path := "/v1/transactions/" + made.text("id")
	early := d.call("GET", path+"/signing", "")
	require.Equal(t, 409, early.status)
	require.Equal(t, "nothing_to_sign", early.text("code"))

	d.work()
	signing := d.call("GET", path+"/signing", "")
	require.Equal(t, 200, signing.status, signing.raw)
	require.Equal(t, "psbt", signing.text("format"))
	require.Len(t, signing.body["paths"], 1)
	require.EqualValues(t, 1, signing.body["draft"])
	signed := `{"signed":"signed ` + signing.text("payload") + `"}`
	accepted := d.call("POST", path+"/signing", signed)
	require.Equal(t, 200, accepted.status, accepted.raw)
	require.Equal(t, "Broadcasting", accepted.text("status"))
	require.Equal(t, 200, d.call("POST", path+"/signing", signed).status, "the same bytes again")
	require.Equal(t, "too_late", d.call("POST", path+"/cancel", "").text("code"))
	d.work()
	shown := d.call("GET", path+"/withdrawal", "")
	require.Equal(t, "Confirming", shown.text("status"))
	require.Equal(t, txOf(signing.text("payload")).ID().String(), shown.text("txHash"))
	require.Nil(t, shown.body["height"])

	// A replacement is wanted, built and signed, and that is what is mined.
	bumped := d.call("POST", path+"/bump", "")
	require.Equal(t, "replacement_wanted", bumped.text("reason"), bumped.raw)
	d.work()
	replacement := d.call("GET", path+"/signing", "")
	require.EqualValues(t, 2, replacement.body["draft"])
	require.Equal(t, 200, d.call("POST", path+"/signing", `{"signed":"signed `+replacement.text("payload")+`","draft":2}`).status)
	d.work()
	tx := txOf(replacement.text("payload"))
	tx.Spends = []chains.Outpoint{pays("1", "", 0).Out(0)}
	tx.Pays = []chainstest.Pay{{Script: "friend", Amount: 50_000_000}, {Script: "xpuba/1/0", Amount: 99_998_000}}
	d.mine("abcd", tx)
	d.mine("abcde")
	d.work()
	done := d.call("GET", path+"/withdrawal", "")
	require.Equal(t, "Completed", done.text("status"))
	require.Equal(t, "0.00002", done.text("networkFee"))
	require.EqualValues(t, 3, done.body["height"])
	require.EqualValues(t, 2, done.body["confirmations"])
	require.Equal(t, "0 1 0", d.balance(wallet))
	require.Equal(t, "too_late", d.call("POST", path+"/bump", "").text("code"))
	require.Equal(t, "too_late", d.call("POST", path+"/cancel", "").text("code"))

	funds := d.call("GET", "/v1/custody/funds/btc", "")
	require.Equal(t, 200, funds.status, funds.raw)
	require.Equal(t, "0.99998", funds.list("assets")[0]["balance"])
	require.Len(t, d.call("GET", "/transactions?kind=Withdrawal", "").list("transactions"), 1)
	require.Empty(t, d.call("GET", "/transactions?kind=Sweep,GasTopUp,NonceFill", "").list("transactions"))
}

// What a caller can get wrong, and what it hears of it. Nothing changes.
func TestWithdrawalProblems(t *testing.T) {
	t.Parallel()
	d, wallet := newRich(t)
	d.made("/address-book", `{"network":"btc","address":"soon"}`)
	id := wallet.text("id")
	none := uuid.NewString()
	before := len(d.events())
	for _, tt := range []struct {
		name, body  string
		status      int
		code, field string
	}{
		{"NotInBook", withdrawal(wallet, "stranger", "1"), 400, "destination_not_allowed", "destinationAddress"},
		{"CoolingOff", withdrawal(wallet, "soon", "1"), 400, "destination_not_allowed", "destinationAddress"},
		{"OwnAddress", withdrawal(wallet, wallet.text("depositAddress"), "1"), 400, "destination_not_allowed", "destinationAddress"},
		{"NoAddress", withdrawal(wallet, "bad1", "1"), 400, "invalid_input", "destinationAddress"},
		{"TooMuch", withdrawal(wallet, "friend", "1.50000001"), 400, "insufficient_funds", "generalErrors"},
		{"Zero", withdrawal(wallet, "friend", "0"), 400, "invalid_input", "amount"},
		{"Negative", withdrawal(wallet, "friend", "-1"), 400, "invalid_input", "amount"},
		{"TooPrecise", withdrawal(wallet, "friend", "0.000000001"), 400, "invalid_input", "amount"},
		{"NotANumber", withdrawal(wallet, "friend", "1e3"), 400, "invalid_input", "amount"},
		{"NoWallet", strings.Replace(withdrawal(wallet, "friend", "1"), id, none, 1), 404, "not_found", "sourceWalletId"},
		{"FeeOfNothing", strings.Replace(withdrawal(wallet, "friend", "1"), "}", `,"maxFee":"0"}`, 1), 400, "invalid_input", "maxFee"},
		{"FeeUnderAnotherName", strings.Replace(withdrawal(wallet, "friend", "1"), "}", `,"max_fee":"1"}`, 1), 400, "invalid_input", "max_fee"},
	} {
		a := d.call("POST", "/transactions/withdraw", tt.body, "Idempotency-Key", "k"+tt.name)
		require.Equal(t, tt.status, a.status, "%s: %s", tt.name, a.raw)
		require.Equal(t, tt.code, a.text("code"), tt.name)
		require.Contains(t, a.body["errors"], tt.field, tt.name)
	}
	for _, path := range []string{"/cancel", "/bump", "/signing"} {
		require.Equal(t, 404, d.call("POST", "/transactions/"+none+path, `{"signed":"x"}`).status, path)
	}
	require.Equal(t, 404, d.call("GET", "/transactions/"+none+"/signing", "").status)
	require.Equal(t, 404, d.call("GET", "/transactions/"+none+"/withdrawal", "").status)
	estimate := d.call("GET", "/transactions/fee-estimate?sourceWalletId="+none, "")
	require.Equal(t, 404, estimate.status)
	require.Equal(t, map[string]any{"sourceWalletId": []any{"no such wallet"}}, estimate.body["errors"])
	require.Equal(t, "0 1.5 0", d.balance(wallet))
	require.Len(t, d.events(), before)
}

// Two calls at once with one Idempotency-Key are one withdrawal, and of several that
// want all there is one gets it.
func TestWithdrawRaces(t *testing.T) {
	t.Parallel()
	d, wallet := newRich(t)
	const callers = 6
	race := func(body string, key func(int) string) (made []string, refused map[string]int) {
		var answers [callers]answer
		var calls sync.WaitGroup
		for n := range callers {
			calls.Go(func() { answers[n] = d.call("POST", "/transactions/withdraw", body, "Idempotency-Key", key(n)) })
		}
		calls.Wait()
		refused = map[string]int{}
		for _, a := range answers {
			if a.status < 300 {
				made = append(made, a.text("id"))
			} else {
				refused[strconv.Itoa(a.status)+" "+a.text("code")]++
			}
		}
		return made, refused
	}
	made, refused := race(withdrawal(wallet, "friend", "0.5"), func(int) string { return "same" })
	require.NotEmpty(t, made)
	for _, id := range made {
		require.Equal(t, made[0], id)
	}
	delete(refused, "409 request_running")
	require.Empty(t, refused, "who comes while the first is carried out may try again")
	require.Equal(t, "0 1 0.5", d.balance(wallet))

	made, refused = race(withdrawal(wallet, "friend", "1"), func(n int) string { return "other-" + strconv.Itoa(n) })
	require.Len(t, made, 1)
	require.Equal(t, map[string]int{"400 insufficient_funds": callers - 1}, refused)
	require.Equal(t, "0 0 1.5", d.balance(wallet))
	require.Len(t, d.call("GET", "/transactions?kind=Withdrawal", "").list("transactions"), 2)
}

// Signed bytes that are not what was built change nothing, and the field is named.
func TestTamperedSignature(t *testing.T) {
	t.Parallel()
	d, wallet := newRich(t)
	made := d.made("/transactions/withdraw", withdrawal(wallet, "friend", "0.5"), "Idempotency-Key", "w")
	d.work()
	path := "/transactions/" + made.text("id") + "/signing"
	payload := d.call("GET", path, "").text("payload")
	for signed, field := range map[string]string{
		"nonsense":         "signed",
		"signed other":     "signed.outputs[0].amount",
		"signed ":          "signed.inputs[0]",
		"signed" + payload: "signed",
	} {
		a := d.call("POST", path, `{"signed":"`+signed+`"}`)
		require.Equal(t, 400, a.status, a.raw)
		require.Equal(t, "signed_refused", a.text("code"))
		require.Contains(t, a.body["errors"], field)
	}
	require.Equal(t, "signed_refused", d.call("POST", path, `{"signed":"`+strings.Repeat("x", 2<<20)+`"}`).text("code"), "many coins make it long")
	require.Equal(t, "nothing_to_sign", d.call("POST", path, `{"signed":"signed `+payload+`","draft":2}`).text("code"))
	require.Equal(t, "PendingSignature", d.call("GET", "/transactions/"+made.text("id"), "").text("status"))
	require.Equal(t, payload, d.call("GET", path, "").text("payload"))

	// The entry is removed before it is signed.
	entry := d.call("GET", "/address-book", "").list("entries")[0]["id"].(string)
	require.Equal(t, 204, d.call("DELETE", "/address-book/"+entry, "").status)
	a := d.call("POST", path, `{"signed":"signed `+payload+`"}`)
	require.Equal(t, "destination_not_allowed", a.text("code"), a.raw)
	cancelled := d.call("POST", "/transactions/"+made.text("id")+"/cancel", "")
	require.Equal(t, "Cancelled", cancelled.text("status"), cancelled.raw)
	require.Equal(t, "0 1.5 0", d.balance(wallet))
}

// What waits says for what.
func TestWithdrawalWaits(t *testing.T) {
	t.Parallel()
	d, wallet := newRich(t)
	made := d.made("/transactions/withdraw", withdrawal(wallet, "friend", "1.5"), "Idempotency-Key", "w")
	d.work()
	a := d.call("GET", "/transactions/"+made.text("id")+"/withdrawal", "")
	require.Equal(t, "Submitted", a.text("status"))
	require.Equal(t, "pool_low", a.text("reason"))
	require.Contains(t, a.text("shortage"), "150001000")
	require.Equal(t, "1.5", d.call("GET", "/v1/custody/funds/btc", "").list("assets")[0]["waiting"])
	require.Equal(t, http.StatusNotFound, d.call("GET", "/v1/custody/funds/nochain", "").status)
}

// On a chain without accounts there is nothing to sweep.
func TestSweepProblems(t *testing.T) {
	t.Parallel()
	d, wallet := newRich(t)
	sweep := func(address string) string {
		return `{"network":"btc","address":"` + address + `","assetId":"` + coin + `"}`
	}
	own := wallet.text("depositAddress")
	topUp := `{"network":"btc","address":"` + own + `","amount":"0"}`
	refused := func(path, body, code, field string) {
		t.Helper()
		a := d.call("POST", "/v1/custody/"+path, body, "Idempotency-Key", uuid.NewString())
		require.Equal(t, code, a.text("code"), "%s: %s", body, a.raw)
		if field != "" {
			require.Contains(t, a.body["errors"], field, a.raw)
			require.Len(t, a.body["errors"], 1, a.raw)
		}
	}
	refused("sweeps", sweep("stranger"), "not_found", "address")
	refused("sweeps", sweep("bad"), "invalid_input", "address")
	refused("sweeps", sweep(own), "no_treasury", "")
	refused("sweeps", strings.Replace(sweep(own), `"btc"`, `"nochain"`, 1), "not_found", "network")
	refused("gas-topups", topUp, "invalid_input", "")
	refused("gas-topups", strings.Replace(topUp, `"0"`, `"1"`, 1), "no_treasury", "")
	refused("gas-topups", strings.Replace(topUp, "btc", "nochain", 1), "not_found", "network")
	refused("gas-topups", strings.Replace(strings.Replace(topUp, own, "stranger", 1), `"0"`, `"1"`, 1), "not_found", "address")

	require.NoError(t, d.SetTreasury(t.Context(), realm, "btc", indexer.WatchedScript{Script: []byte("till"), Address: "till"}))
	refused("sweeps", strings.Replace(sweep(own), coin, "bip122:fake/token", 1), "not_found", "assetId")
	refused("sweeps", sweep(own), "nothing_there", "address")
	require.Equal(t, "idempotency_key_required", d.call("POST", "/v1/custody/sweeps", sweep("x")).text("code"))
}
