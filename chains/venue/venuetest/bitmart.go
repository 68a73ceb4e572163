package venuetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// BitMart answers as BitMart does, for one login of which the secret is
// "test-api-secret", the memo "test-memo" and the key whatever it likes.
func BitMart(w *World) http.Handler {
	mux := http.NewServeMux()
	ok := func(rw http.ResponseWriter, data any) {
		JSON(rw, http.StatusOK, map[string]any{"code": 1000, "message": "OK", "trace": "0", "data": data})
	}
	mux.HandleFunc("GET /system/time", func(rw http.ResponseWriter, _ *http.Request) {
		ok(rw, map[string]any{"server_time": w.Now().UnixMilli()})
	})
	mux.HandleFunc("GET /spot/v1/wallet", func(rw http.ResponseWriter, _ *http.Request) {
		wallet := []any{}
		for _, h := range w.Held(Held{Code: "BTC", Available: "1.5", Locked: "0.5"}) {
			wallet = append(wallet, map[string]any{"id": h.Code, "name": h.Code, "available": h.Available, "frozen": h.Locked, "total": Plus(h.Available, h.Locked)})
		}
		ok(rw, map[string]any{"wallet": wallet})
	})
	mux.HandleFunc("GET /account/v1/wallet", func(rw http.ResponseWriter, _ *http.Request) {
		wallet := []any{}
		for _, h := range w.Held(Held{Code: "BTC", Available: "1.5", Locked: "0.5"}) {
			wallet = append(wallet, map[string]any{"currency": h.Code, "available": h.Available, "frozen": h.Locked})
		}
		ok(rw, map[string]any{"wallet": wallet})
	})
	mux.HandleFunc("GET /spot/v1/margin/isolated/account", func(rw http.ResponseWriter, _ *http.Request) {
		ok(rw, map[string]any{"symbols": []any{}})
	})
	mux.HandleFunc("GET /contract/private/assets-detail", func(rw http.ResponseWriter, _ *http.Request) { ok(rw, []any{}) })
	mux.HandleFunc("GET /newearn/cloud/v1/earn", func(rw http.ResponseWriter, _ *http.Request) { ok(rw, map[string]any{"total": "0"}) })
	mux.HandleFunc("GET /contract/private/transaction-history", func(rw http.ResponseWriter, r *http.Request) {
		rows := []any{}
		for _, row := range bitmartRows(w, venue.Ledger, r.FormValue("start_time"), r.FormValue("end_time"), 1000) {
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
			JSON(rw, http.StatusBadRequest, map[string]any{"code": 60067, "message": "StartTime and endTime should be less than 90 days"})
			return
		}
		records := []any{}
		for _, row := range bitmartRows(w, stream, r.FormValue("startTime"), r.FormValue("endTime"), min(limit, 100)) {
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
		if bitmartRefuses(w, rw, r, string(body)) {
			return
		}
		var q struct {
			StartTime, EndTime venue.Text
			Limit              int
		}
		_ = venue.Decode(body, &q)
		rows := []any{}
		for _, row := range bitmartRows(w, venue.Trades, string(q.StartTime), string(q.EndTime), q.Limit) {
			rows = append(rows, map[string]any{
				"tradeId": row.ID, "orderId": "9" + row.ID, "symbol": row.Code + "_USDT", "side": "buy", "orderMode": "spot", "price": "2", "size": row.Amount,
				"notional": row.Amount, "fee": "0.01", "feeCoinName": "USDT", "createTime": row.At.UnixMilli(),
			})
		}
		ok(rw, rows)
	})
	return mux
}

// bitmartRefuses answers a request whose signature or time is wrong.
func bitmartRefuses(w *World, rw http.ResponseWriter, r *http.Request, body string) bool {
	at, _ := strconv.ParseInt(r.Header.Get("X-BM-TIMESTAMP"), 10, 64)
	mac := hmac.New(sha256.New, []byte("test-api-secret"))
	_, _ = io.WriteString(mac, r.Header.Get("X-BM-TIMESTAMP")+"#test-memo#"+body)
	switch {
	case w.Now().Sub(time.UnixMilli(at)).Abs() > time.Minute:
		JSON(rw, http.StatusUnauthorized, map[string]any{"code": 30007, "message": "Header X-BM-TIMESTAMP range"})
	case r.Header.Get("X-BM-SIGN") != hex.EncodeToString(mac.Sum(nil)):
		JSON(rw, http.StatusUnauthorized, map[string]any{"code": 30005, "message": "Header X-BM-SIGN is wrong"})
	default:
		return false
	}
	return true
}

func bitmartRows(w *World, stream venue.Stream, from, to string, limit int) []Row {
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
