package bybit_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"tallyd/chains/venue"
	"tallyd/chains/venue/bybit"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: bybit.Venue(), Login: login()}.Vectors(t)
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, bybit.Venue(), login())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: bybit.Venue(), Login: login(), Handler: handler, Timed: true,
		Revoked: venuetest.Reply{Status: http.StatusOK, Body: `{"retCode":10003,"retMsg":"API key is invalid.","result":{}}`},
		Slow:    venuetest.Reply{Status: http.StatusOK, Body: `{"retCode":10006,"retMsg":"Too many visits!","result":{}}`},
	})
}

// handler is Bybit.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, answer func(q url.Values) any) {
		mux.HandleFunc("GET /v5/"+path, func(rw http.ResponseWriter, r *http.Request) {
			at := r.Header.Get("X-BAPI-TIMESTAMP")
			signed := hex.EncodeToString(venuetest.MAC(sha256.New, "test-api-secret", at+"test-api-key"+r.Header.Get("X-BAPI-RECV-WINDOW")+r.URL.RawQuery))
			sent, _ := venue.ParseMoment(at)
			age := w.Now().Sub(sent)
			q := r.URL.Query()
			from, _ := venue.ParseMoment(q.Get("startTime"))
			to, _ := venue.ParseMoment(q.Get("endTime"))
			say := func(code int, result any) {
				venuetest.JSON(rw, http.StatusOK, map[string]any{"retCode": code, "retMsg": "", "result": result})
			}
			switch {
			case path == "market/time":
				say(0, answer(nil))
			case r.Header.Get("X-BAPI-SIGN") != signed:
				say(10004, map[string]any{})
			case age > 5*time.Second || age < -time.Second:
				say(10002, map[string]any{})
			case to.Sub(from) > 30*24*time.Hour || path == "account/transaction-log" && to.Sub(from) > 7*24*time.Hour:
				say(10001, map[string]any{})
			default:
				rw.Header().Set("X-Bapi-Limit", "100")
				rw.Header().Set("X-Bapi-Limit-Status", "98")
				say(0, answer(q))
			}
		})
	}
	serve("market/time", func(url.Values) any { return map[string]any{"timeNano": strconv.FormatInt(w.Now().UnixNano(), 10)} })
	serve("user/query-api", func(url.Values) any { return map[string]any{"readOnly": 1, "userID": 1, "ips": []string{"192.0.2.1"}} })
	serve("account/wallet-balance", func(url.Values) any {
		return map[string]any{"list": []any{map[string]any{"coin": []any{map[string]any{"coin": "BTC", "equity": "2", "walletBalance": "2", "locked": "0.5"}}}}}
	})
	serve("asset/transfer/query-account-coins-balance", func(url.Values) any { return map[string]any{"balance": []any{}} })
	serve("earn/position", func(url.Values) any { return map[string]any{"list": []any{}} })
	paged := func(path, list string, stream venue.Stream, write func(venuetest.Row) map[string]any) {
		serve(path, func(q url.Values) any {
			from, to := q.Get("startTime"), q.Get("endTime")
			if from == "" { // the trap: nothing said is the last 30 days
				from = venue.Millis(w.Now().AddDate(0, 0, -30))
			}
			raw, _ := base64.StdEncoding.DecodeString(q.Get("cursor"))
			offset := venuetest.Number(string(raw))
			page, more := w.Page(w.BetweenText(stream, from, to), offset, min(venuetest.Number(q.Get("limit")), 50))
			result := map[string]any{list: venuetest.Write(page, write), "nextPageCursor": ""}
			if more {
				result["nextPageCursor"] = base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(offset + 50)))
			}
			return result
		})
	}
	paged("asset/deposit/query-record", "rows", venue.Deposits, func(r venuetest.Row) map[string]any {
		status := 3
		if r.Pending {
			status = 1
		}
		return map[string]any{"id": r.ID, "coin": r.Code, "chain": "BTC", "amount": r.Amount, "txID": r.TxHash, "status": status, "successAt": venue.Millis(r.At), "txIndex": "0"}
	})
	serve("asset/deposit/query-internal-record", func(url.Values) any { return map[string]any{"rows": []any{}, "nextPageCursor": ""} })
	paged("asset/withdraw/query-record", "rows", venue.Withdrawals, func(r venuetest.Row) map[string]any {
		status := "success"
		if r.Pending {
			status = "Pending"
		}
		return map[string]any{"withdrawId": r.ID, "withdrawType": 0, "coin": r.Code, "chain": "BTC", "amount": venuetest.Positive(r.Amount), "withdrawFee": "0", "txID": r.TxHash, "status": status, "createTime": venue.Millis(r.At)}
	})
	paged("account/transaction-log", "list", venue.Ledger, func(r venuetest.Row) map[string]any {
		return map[string]any{"id": r.ID, "type": "TRANSFER_IN", "currency": r.Code, "change": r.Amount, "transactionTime": venue.Millis(r.At)}
	})
	return mux
}
