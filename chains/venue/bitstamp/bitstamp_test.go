package bitstamp_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"

	"tallyd/chains/venue"
	"tallyd/chains/venue/bitstamp"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: bitstamp.Venue(), Login: login(), Random: uuid.MustParse("11111111-2222-3333-4444-555555555555")}.Vectors(t)
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, bitstamp.Venue(), login())
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	venuetest.Recordings(t, bitstamp.Venue(), login(), map[string]venuetest.Use{
		"fetchMyTrades default": {Ask: "transactions", Route: "POST /api/v2/user_transactions/"},
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: bitstamp.Venue(), Login: login(), Handler: handler, Timed: true, Burst: 1_100, Empty: []string{"[]"}, Final: []venue.Stream{venue.Transactions},
		Revoked: venuetest.Reply{Status: http.StatusForbidden, Body: `{"status":"error","reason":"Invalid API key","code":"API0011"}`},
		Slow:    venuetest.Reply{Status: http.StatusBadRequest, Body: `{"status":"error","reason":"Request rate limit exceeded","code":"400.002"}`},
	})
}

// handler is Bitstamp.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, answer func(q url.Values) any) {
		mux.HandleFunc("POST /api/v2/"+path+"/{$}", func(rw http.ResponseWriter, r *http.Request) {
			body := venuetest.Body(r)
			h := r.Header
			signed := h.Get("X-Auth") + "POST" + r.Host + r.URL.Path + h.Get("Content-Type") + h.Get("X-Auth-Nonce") + h.Get("X-Auth-Timestamp") + "v2" + body
			at, _ := venue.ParseMoment(h.Get("X-Auth-Timestamp"))
			say := func(code, reason string) {
				venuetest.JSON(rw, http.StatusForbidden, map[string]any{"status": "error", "code": code, "reason": reason})
			}
			switch {
			case body == "":
				say("API0020", "Empty body")
			case h.Get("X-Auth-Signature") != hex.EncodeToString(venuetest.MAC(sha256.New, "test-api-secret", signed)):
				say("API0005", "Invalid signature")
			case w.Now().Sub(at).Abs() > 150*time.Second:
				say("API0017", "Invalid timestamp")
			default:
				q, _ := url.ParseQuery(body)
				venuetest.JSON(rw, http.StatusOK, answer(q))
			}
		})
	}
	serve("account_balances", func(url.Values) any {
		return []any{map[string]any{"currency": "btc", "total": "2", "available": "1.5", "reserved": "0.5"}}
	})
	page := func(stream venue.Stream, q url.Values) []venuetest.Row {
		rows, _ := w.Page(w.Between(stream, time.Time{}, w.Now()), venuetest.Number(q.Get("offset")), venuetest.Number(q.Get("limit")))
		return rows
	}
	serve("user_transactions", func(q url.Values) any {
		return venuetest.Write(page(venue.Transactions, q), func(r venuetest.Row) map[string]any {
			return map[string]any{"id": r.ID, "datetime": r.At.Format("2006-01-02 15:04:05.000000"), "type": "0", "fee": "0", "btc": r.Amount, "usd": 0}
		})
	})
	serve("crypto-transactions", func(q url.Values) any {
		return map[string]any{"withdrawals": []any{}, "deposits": venuetest.Write(page(venue.Deposits, q), func(r venuetest.Row) map[string]any {
			status := "COMPLETED"
			if r.Pending {
				status = "PENDING"
			}
			return map[string]any{"id": r.ID, "network": "bitcoin", "currency": "BTC", "txid": r.TxHash, "amount": r.Amount, "datetime": r.At.Unix(), "status": status}
		})}
	})
	serve("withdrawal-requests", func(q url.Values) any {
		since := w.Now().Add(-time.Duration(venuetest.Number(q.Get("timedelta"))) * time.Second)
		rows, _ := w.Page(w.Between(venue.Withdrawals, since, w.Now()), venuetest.Number(q.Get("offset")), venuetest.Number(q.Get("limit")))
		return venuetest.Write(rows, func(r venuetest.Row) map[string]any {
			status := 2
			if r.Pending {
				status = 0
			}
			return map[string]any{"id": r.ID, "datetime": r.At.Format(time.DateTime), "type": 16, "currency": "BTC", "amount": venuetest.Positive(r.Amount), "status": status, "transaction_id": r.TxHash}
		})
	})
	return mux
}
