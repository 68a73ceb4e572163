package bitmart_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/bitmart"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret", venue.FieldMemo: "test-memo"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: bitmart.Venue(), Login: login(), Foreign: []string{"X-BM-BROKER-ID"}}.Vectors(t)
}

// The venue's own client signs an empty text where there is no body, and the body
// where there is one. The values are its algorithm's, computed once more.
func TestSignsTheBody(t *testing.T) {
	t.Parallel()
	dialect, err := bitmart.Venue().Dialect(venue.NewCredentials(map[string]string{venue.FieldKey: "k", venue.FieldSecret: "test-secret", venue.FieldMemo: "my_memo"}))
	require.NoError(t, err)
	for body, want := range map[string]string{
		"": "f1d97f96dd64848cd30dfc65c89b4ef7e16eddc0bd39de6d0f727b278e67393b",
		`{"symbol":"BTC_USDT","side":"buy","type":"limit","size":"0.001","price":"60000"}`: "f60217cf597d2519ed25cfc015b3f66e3757b0c3b3747602456ee6b429ef09f7",
	} {
		r := venue.Request{Method: http.MethodPost, Body: body, Header: http.Header{}}
		require.NoError(t, dialect.Sign(&r, venue.Stamp{Time: time.UnixMilli(1709971200000)}))
		require.Equal(t, want, r.Header.Get("X-BM-SIGN"))
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, bitmart.Venue(), login())
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	none := `{"code":1000,"message":"OK","data":{"wallet":[]}}`
	venuetest.Recordings(t, bitmart.Venue(), login(), map[string]venuetest.Use{
		"fetchBalance spot balance":                                  {Ask: "balances", Route: "GET /spot/v1/wallet"},
		"fetchBalance swap balance":                                  {Ask: "balances", Route: "GET /contract/private/assets-detail", With: map[string]string{"GET /spot/v1/wallet": none}},
		"fetchDeposits fetch USDT deposits":                          {Ask: "deposits", Route: "GET /account/v2/deposit-withdraw/history"},
		"fetchDeposits Fetch deposits for USDT with since and until": {Ask: "deposits", Route: "GET /account/v2/deposit-withdraw/history"},
		"fetchMyTrades spot trades":                                  {Ask: "trades", Route: "POST /spot/v4/query/trades"},
		"fetchLedger fetch ledger with code and limit arguments":     {Ask: "ledger", Route: "GET /contract/private/transaction-history"},
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: bitmart.Venue(), Login: login(), Handler: handler, Timed: true,
		Revoked: venuetest.Reply{Status: http.StatusUnauthorized, Body: `{"code":30002,"message":"Header X-BM-KEY not found: test-api-key","data":{}}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"code":30013,"message":"Request too many requests","data":{}}`},
	})
}

// handler is BitMart.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	ok := func(rw http.ResponseWriter, data any) {
		venuetest.JSON(rw, http.StatusOK, map[string]any{"code": 1000, "message": "OK", "trace": "0", "data": data})
	}
	mux.HandleFunc("GET /system/time", func(rw http.ResponseWriter, _ *http.Request) {
		ok(rw, map[string]any{"server_time": w.Now().UnixMilli()})
	})
	mux.HandleFunc("GET /spot/v1/wallet", func(rw http.ResponseWriter, _ *http.Request) {
		ok(rw, map[string]any{"wallet": []any{map[string]any{"id": "BTC", "name": "Bitcoin", "available": "1.5", "frozen": "0.5", "total": "2.0"}}})
	})
	mux.HandleFunc("GET /account/v1/wallet", func(rw http.ResponseWriter, _ *http.Request) {
		ok(rw, map[string]any{"wallet": []any{map[string]any{"currency": "BTC", "available": "1.5", "frozen": "0.5"}}})
	})
	mux.HandleFunc("GET /spot/v1/margin/isolated/account", func(rw http.ResponseWriter, _ *http.Request) {
		ok(rw, map[string]any{"symbols": []any{}})
	})
	mux.HandleFunc("GET /contract/private/assets-detail", func(rw http.ResponseWriter, _ *http.Request) { ok(rw, []any{}) })
	mux.HandleFunc("GET /newearn/cloud/v1/earn", func(rw http.ResponseWriter, _ *http.Request) { ok(rw, map[string]any{"total": "0"}) })
	mux.HandleFunc("GET /contract/private/transaction-history", func(rw http.ResponseWriter, r *http.Request) {
		rows := []any{}
		for _, row := range between(w, venue.Ledger, r.FormValue("start_time"), r.FormValue("end_time"), 1000) {
			rows = append(rows, map[string]any{"time": row.At.UnixMilli(), "type": "Funding Fee", "amount": row.Amount, "asset": row.Code, "symbol": "LTCUSDT", "tran_id": row.ID, "flow_type": "3"})
		}
		ok(rw, rows)
	})
	mux.HandleFunc("GET /account/v2/deposit-withdraw/history", func(rw http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.FormValue("N"))
		stream := venue.Deposits
		if r.FormValue("operation_type") == "withdraw" {
			stream = venue.Withdrawals
		}
		if span(r.FormValue("startTime"), r.FormValue("endTime")) > 90*24*time.Hour {
			venuetest.JSON(rw, http.StatusBadRequest, map[string]any{"code": 60067, "message": "StartTime and endTime should be less than 90 days"})
			return
		}
		records := []any{}
		for _, row := range between(w, stream, r.FormValue("startTime"), r.FormValue("endTime"), min(limit, 100)) {
			record := map[string]any{
				"withdraw_id": "", "deposit_id": "", "operation_type": r.FormValue("operation_type"), "currency": row.Code, "apply_time": row.At.UnixMilli(),
				"arrival_amount": strings.TrimPrefix(row.Amount, "-"), "fee": "0", "status": 3, "address": "bc1q", "address_memo": "", "tx_id": row.TxHash,
			}
			if row.Pending {
				record["status"], record["tx_id"] = 1, ""
			}
			record[r.FormValue("operation_type")+"_id"] = row.ID
			records = append(records, record)
		}
		ok(rw, map[string]any{"records": records})
	})
	mux.HandleFunc("POST /spot/v4/query/trades", func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if refuse(w, rw, r, string(body)) {
			return
		}
		var q struct {
			StartTime, EndTime venue.Text
			Limit              int
		}
		_ = venue.Decode(body, &q)
		rows := []any{}
		for _, row := range between(w, venue.Trades, string(q.StartTime), string(q.EndTime), q.Limit) {
			rows = append(rows, map[string]any{
				"tradeId": row.ID, "orderId": "9" + row.ID, "symbol": row.Code + "_USDT", "side": "buy", "orderMode": "spot", "price": "2", "size": row.Amount,
				"notional": row.Amount, "fee": "0.01", "feeCoinName": "USDT", "createTime": row.At.UnixMilli(),
			})
		}
		ok(rw, rows)
	})
	return mux
}

// refuse answers a request whose signature or time is wrong.
func refuse(w *venuetest.World, rw http.ResponseWriter, r *http.Request, body string) bool {
	at, _ := strconv.ParseInt(r.Header.Get("X-BM-TIMESTAMP"), 10, 64)
	mac := hmac.New(sha256.New, []byte("test-api-secret"))
	_, _ = io.WriteString(mac, r.Header.Get("X-BM-TIMESTAMP")+"#test-memo#"+body)
	switch {
	case w.Now().Sub(time.UnixMilli(at)).Abs() > time.Minute:
		venuetest.JSON(rw, http.StatusUnauthorized, map[string]any{"code": 30007, "message": "Header X-BM-TIMESTAMP range"})
	case r.Header.Get("X-BM-SIGN") != hex.EncodeToString(mac.Sum(nil)):
		venuetest.JSON(rw, http.StatusUnauthorized, map[string]any{"code": 30005, "message": "Header X-BM-SIGN is wrong"})
	default:
		return false
	}
	return true
}

func between(w *venuetest.World, stream venue.Stream, from, to string, limit int) []venuetest.Row {
	start, _ := venue.ParseMoment(from)
	end, _ := venue.ParseMoment(to)
	rows := w.Between(stream, start, end)
	return rows[:min(limit, len(rows))]
}

func span(from, to string) time.Duration {
	start, _ := venue.ParseMoment(from)
	end, _ := venue.ParseMoment(to)
	return end.Sub(start)
}
