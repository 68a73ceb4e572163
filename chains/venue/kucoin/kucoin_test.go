package kucoin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
	"time"

	"tallyd/chains/venue"
	"tallyd/chains/venue/kucoin"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret", venue.FieldPassphrase: "test-passphrase"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: kucoin.Venue(), Login: login(), Foreign: []string{"KC-API-PARTNER", "KC-API-PARTNER-SIGN", "KC-API-PARTNER-VERIFY"}}.Vectors(t)
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, kucoin.Venue(), login())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: kucoin.Venue(), Login: login(), Handler: handler, Timed: true, Burst: 600,
		Revoked: venuetest.Reply{Status: http.StatusUnauthorized, Body: `{"code":"400003","msg":"KC-API-KEY not exists"}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"code":"429000","msg":"Too many requests"}`},
		Match: func(r venuetest.Row, m venue.Movement) bool {
			if m.Kind == venue.Deposit && m.ID == "" {
				return m.TxHash == r.TxHash
			}
			return m.ID == r.ID
		},
	})
}

// handler is KuCoin.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, answer func(q url.Values) any) {
		mux.HandleFunc("GET "+path, func(rw http.ResponseWriter, r *http.Request) {
			at := r.Header.Get("KC-API-TIMESTAMP")
			b64 := func(text string) string {
				return base64.StdEncoding.EncodeToString(venuetest.MAC(sha256.New, "test-api-secret", text))
			}
			sent, _ := venue.ParseMoment(at)
			say := func(status int, code string, data any) {
				venuetest.JSON(rw, status, map[string]any{"code": code, "data": data})
			}
			switch {
			case path == "/api/v1/timestamp":
				say(http.StatusOK, "200000", w.Now().UnixMilli())
			case r.Header.Get("KC-API-PASSPHRASE") != b64("test-passphrase"):
				say(http.StatusUnauthorized, "400004", nil)
			case r.Header.Get("KC-API-SIGN") != b64(at+"GET"+venuetest.Target(r)):
				say(http.StatusUnauthorized, "400005", nil)
			case w.Now().Sub(sent).Abs() > 5*time.Second:
				say(http.StatusUnauthorized, "400002", nil)
			default:
				rw.Header().Set("Gw-Ratelimit-Limit", "2000")
				rw.Header().Set("Gw-Ratelimit-Remaining", "1990")
				say(http.StatusOK, "200000", answer(r.URL.Query()))
			}
		})
	}
	serve("/api/v1/timestamp", nil)
	serve("/api/v1/user/api-key", func(url.Values) any {
		return map[string]any{"uid": 1, "permission": "General", "ipWhitelist": "192.0.2.1"}
	})
	serve("/api/v1/accounts", func(url.Values) any {
		return []any{map[string]any{"currency": "BTC", "type": "main", "balance": "2", "available": "1.5", "holds": "0.5"}}
	})
	serve("/api/v3/margin/accounts", func(url.Values) any { return map[string]any{"accounts": []any{}} })
	serve("/api/v3/isolated/accounts", func(url.Values) any { return map[string]any{"assets": []any{}} })
	serve("/api/v1/earn/hold-assets", func(url.Values) any { return map[string]any{"items": []any{}, "totalPage": 0} })
	serve("/api/v1/account-overview", func(q url.Values) any {
		return map[string]any{"currency": q.Get("currency"), "accountEquity": 0, "availableBalance": 0}
	})
	serve("/api/ua/v1/account/mode", func(url.Values) any { return map[string]any{"accountMode": "CLASSIC"} })
	paged := func(path string, stream venue.Stream, write func(venuetest.Row) map[string]any) {
		serve(path, func(q url.Values) any {
			size := min(venuetest.Number(q.Get("pageSize")), 500)
			rows := w.BetweenText(stream, q.Get("startAt"), q.Get("endAt"))
			page, _ := w.Page(rows, (venuetest.Number(q.Get("currentPage"))-1)*size, size)
			return map[string]any{"items": venuetest.Write(page, write), "totalPage": (len(rows) + size - 1) / size}
		})
	}
	transfer := func(r venuetest.Row) map[string]any {
		status, hash := "SUCCESS", r.TxHash+"@bc1q"
		if r.Pending {
			status, hash = "PROCESSING", ""
		}
		return map[string]any{"currency": r.Code, "chain": "btc", "status": status, "address": "bc1q", "amount": venuetest.Positive(r.Amount), "fee": "0", "walletTxId": hash, "createdAt": r.At.UnixMilli()}
	}
	paged("/api/v1/deposits", venue.Deposits, transfer)
	paged("/api/v1/withdrawals", venue.Withdrawals, func(r venuetest.Row) map[string]any {
		row := transfer(r)
		row["id"] = r.ID
		return row
	})
	paged("/api/v1/accounts/ledgers", venue.Ledger, func(r venuetest.Row) map[string]any {
		return map[string]any{"id": r.ID, "currency": r.Code, "amount": r.Amount, "fee": "0", "accountType": "MAIN", "bizType": "Transfer", "direction": "in", "createdAt": r.At.UnixMilli()}
	})
	serve("/api/v1/hf/accounts/ledgers", func(url.Values) any { return []any{} })
	return mux
}
