package bitget_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
	"time"

	"tallyd/chains/venue"
	"tallyd/chains/venue/bitget"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret", venue.FieldPassphrase: "test-passphrase"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: bitget.Venue(), Login: login(), Foreign: []string{"X-CHANNEL-API-CODE"}}.Vectors(t)
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, bitget.Venue(), login())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: bitget.Venue(), Login: login(), Handler: handler, Timed: true, Burst: 600,
		Revoked: venuetest.Reply{Status: http.StatusBadRequest, Body: `{"code":"40012","msg":"apikey/password is incorrect","data":null}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"code":"429","msg":"Too many requests","data":null}`},
	})
}

// handler is Bitget.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, answer func(q url.Values) any) {
		mux.HandleFunc("GET "+path, func(rw http.ResponseWriter, r *http.Request) {
			at := r.Header.Get("ACCESS-TIMESTAMP")
			signed := base64.StdEncoding.EncodeToString(venuetest.MAC(sha256.New, "test-api-secret", at+"GET"+venuetest.Target(r)))
			sent, _ := venue.ParseMoment(at)
			q := r.URL.Query()
			from, _ := venue.ParseMoment(q.Get("startTime"))
			to, _ := venue.ParseMoment(q.Get("endTime"))
			say := func(status int, code string, data any) {
				venuetest.JSON(rw, status, map[string]any{"code": code, "msg": "", "data": data})
			}
			switch {
			case path == "/api/v2/public/time":
				say(http.StatusOK, "00000", map[string]any{"serverTime": venue.Millis(w.Now())})
			case r.Header.Get("ACCESS-SIGN") != signed || r.Header.Get("ACCESS-PASSPHRASE") != "test-passphrase":
				say(http.StatusBadRequest, "40009", nil)
			case w.Now().Sub(sent).Abs() > 30*time.Second:
				say(http.StatusBadRequest, "40008", nil)
			case to.Sub(from) > 90*24*time.Hour:
				say(http.StatusBadRequest, "40020", nil)
			default:
				say(http.StatusOK, "00000", answer(q))
			}
		})
	}
	none := func(url.Values) any { return []any{} }
	serve("/api/v2/public/time", nil)
	serve("/api/v2/spot/account/info", func(url.Values) any {
		return map[string]any{"userId": "1", "ips": "192.0.2.1", "authorities": []string{"readonly"}}
	})
	serve("/api/v2/spot/account/assets", func(url.Values) any {
		return []any{map[string]any{"coin": "BTC", "available": "1.5", "frozen": "0.5", "locked": "0"}}
	})
	for _, path := range []string{
		"/api/v2/account/funding-assets", "/api/v2/earn/account/assets", "/api/v2/margin/crossed/account/assets",
		"/api/v2/margin/isolated/account/assets", "/api/v2/mix/account/accounts",
	} {
		serve(path, none)
	}
	serve("/api/v2/account/all-account-balance", func(url.Values) any {
		return []any{map[string]any{"accountType": "spot", "usdtBalance": "1"}}
	})
	paged := func(path, id string, stream venue.Stream, write func(venuetest.Row) map[string]any) {
		serve(path, func(q url.Values) any {
			rows := venuetest.After(w.BetweenText(stream, q.Get("startTime"), q.Get("endTime")), q.Get("idLessThan"))
			page, _ := w.Page(rows, 0, venuetest.Number(q.Get("limit")))
			return venuetest.Write(page, func(r venuetest.Row) map[string]any {
				row := write(r)
				row[id], row["cTime"] = r.ID, venue.Millis(r.At)
				return row
			})
		})
	}
	transfer := func(r venuetest.Row) map[string]any {
		status := "success"
		if r.Pending {
			status = "pending"
		}
		return map[string]any{"tradeId": r.TxHash, "coin": r.Code, "size": venuetest.Positive(r.Amount), "fee": "0", "status": status, "dest": "on_chain", "chain": "BTC"}
	}
	paged("/api/v2/spot/wallet/deposit-records", "orderId", venue.Deposits, transfer)
	paged("/api/v2/spot/wallet/withdrawal-records", "orderId", venue.Withdrawals, transfer)
	paged("/api/v2/spot/account/bills", "billId", venue.Ledger, func(r venuetest.Row) map[string]any {
		return map[string]any{"coin": r.Code, "groupType": "transfer", "businessType": "x", "size": r.Amount, "fees": "0"}
	})
	return mux
}
