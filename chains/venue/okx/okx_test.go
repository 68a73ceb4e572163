package okx_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
	"time"

	"tallyd/chains/venue"
	"tallyd/chains/venue/okx"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret", venue.FieldPassphrase: "test-passphrase"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: okx.Venue(), Login: login()}.Vectors(t)
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, okx.Venue(), login())
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	const trading = "GET /api/v5/account/balance"
	none := map[string]string{trading: `{"code":"0","msg":"","data":[{"details":[]}]}`}
	venuetest.Recordings(t, okx.Venue(), login(), map[string]venuetest.Use{
		"fetchBalance funding balance":   {Ask: "balances", Route: "GET /api/v5/asset/balances", With: none},
		"fetchBalance spot balance":      {Ask: "balances", Route: trading},
		"fetchMyTrades Fetch spot trade": {Ask: "trades", Route: "GET /api/v5/trade/fills-history"},
		"fetchLedger fetch ledger":       {Ask: "ledger", Route: "GET /api/v5/account/bills-archive"},
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: okx.Venue(), Login: login(), Handler: handler, Timed: true,
		Revoked: venuetest.Reply{Status: http.StatusUnauthorized, Body: `{"code":"50111","msg":"Invalid OK-ACCESS-KEY","data":[]}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"code":"50011","msg":"Too Many Requests","data":[]}`},
	})
}

// handler is OKX.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, answer func(q url.Values) []any) {
		mux.HandleFunc("GET "+path, func(rw http.ResponseWriter, r *http.Request) {
			at := r.Header.Get("OK-ACCESS-TIMESTAMP")
			signed := base64.StdEncoding.EncodeToString(venuetest.MAC(sha256.New, "test-api-secret", at+"GET"+venuetest.Target(r)))
			sent, _ := venue.ParseMoment(at)
			say := func(status int, code string, data []any) {
				venuetest.JSON(rw, status, map[string]any{"code": code, "msg": "", "data": data})
			}
			switch {
			case path == "/api/v5/public/time":
				say(http.StatusOK, "0", answer(nil))
			case r.Header.Get("OK-ACCESS-SIGN") != signed || r.Header.Get("OK-ACCESS-PASSPHRASE") != "test-passphrase":
				say(http.StatusUnauthorized, "50113", []any{})
			case w.Now().Sub(sent).Abs() > 30*time.Second:
				say(http.StatusUnauthorized, "50102", []any{})
			default:
				say(http.StatusOK, "0", answer(r.URL.Query()))
			}
		})
	}
	serve("/api/v5/public/time", func(url.Values) []any { return []any{map[string]any{"ts": venue.Millis(w.Now())}} })
	serve("/api/v5/account/config", func(url.Values) []any {
		return []any{map[string]any{"uid": "1", "ip": "192.0.2.1", "perm": "read_only"}}
	})
	serve("/api/v5/account/balance", func(url.Values) []any {
		return []any{map[string]any{"details": []any{map[string]any{"ccy": "BTC", "eq": "2", "cashBal": "2", "availBal": "1.5", "availEq": "1.5"}}}}
	})
	serve("/api/v5/asset/balances", func(url.Values) []any { return []any{} })
	serve("/api/v5/finance/savings/balance", func(url.Values) []any { return []any{} })
	serve("/api/v5/finance/staking-defi/orders-active", func(url.Values) []any { return []any{} })
	serve("/api/v5/asset/asset-valuation", func(url.Values) []any { return []any{map[string]any{"totalBal": "2", "details": map[string]any{}}} })
	byTime := func(path string, stream venue.Stream, write func(venuetest.Row) map[string]any) {
		serve(path, func(q url.Values) []any {
			before, _ := venue.ParseMoment(q.Get("before"))
			after, _ := venue.ParseMoment(q.Get("after"))
			page, _ := w.Page(w.Between(stream, before.Add(time.Millisecond), after.Add(-time.Millisecond)), 0, 100)
			return venuetest.Write(page, write)
		})
	}
	byTime("/api/v5/asset/deposit-history", venue.Deposits, func(r venuetest.Row) map[string]any {
		state := "2"
		if r.Pending {
			state = "0"
		}
		return map[string]any{"depId": r.ID, "ccy": r.Code, "chain": "BTC-Bitcoin", "amt": r.Amount, "to": "bc1q", "txId": r.TxHash, "state": state, "ts": venue.Millis(r.At)}
	})
	byTime("/api/v5/asset/withdrawal-history", venue.Withdrawals, func(r venuetest.Row) map[string]any {
		state := "2"
		if r.Pending {
			state = "0"
		}
		return map[string]any{"wdId": r.ID, "ccy": r.Code, "chain": "BTC-Bitcoin", "amt": venuetest.Positive(r.Amount), "fee": "0", "txId": r.TxHash, "state": state, "ts": venue.Millis(r.At)}
	})
	byTime("/api/v5/asset/bills-history", venue.FundingBook, func(r venuetest.Row) map[string]any {
		return map[string]any{"billId": r.ID, "ccy": r.Code, "balChg": r.Amount, "type": "130", "ts": venue.Millis(r.At)}
	})
	byBill := func(path string, stream venue.Stream, write func(venuetest.Row) map[string]any) {
		serve(path, func(q url.Values) []any {
			rows := venuetest.After(w.BetweenText(stream, q.Get("begin"), q.Get("end")), q.Get("after"))
			page, _ := w.Page(rows, 0, 100)
			return venuetest.Write(page, write)
		})
	}
	byBill("/api/v5/account/bills-archive", venue.Ledger, func(r venuetest.Row) map[string]any {
		return map[string]any{"billId": r.ID, "ccy": r.Code, "balChg": r.Amount, "type": "1", "ts": venue.Millis(r.At)}
	})
	byBill("/api/v5/trade/fills-history", venue.Trades, func(r venuetest.Row) map[string]any {
		return map[string]any{"billId": r.ID, "tradeId": r.ID, "instId": "BTC-USDT", "side": "buy", "fillSz": r.Amount, "fillPx": "2", "fee": "0", "feeCcy": "BTC", "ts": venue.Millis(r.At)}
	})
	return mux
}
