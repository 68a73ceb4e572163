package venuetest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// HTX answers as HTX does, whose lists rise or fall, for one login of which the
// secret is "test-api-secret" and the key whatever it likes.
func HTX(w *World, falling bool) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, answer func(q url.Values) any) {
		mux.HandleFunc("GET "+path, func(rw http.ResponseWriter, r *http.Request) {
			if path == "/v1/common/timestamp" {
				JSON(rw, http.StatusOK, map[string]any{"status": "ok", "data": w.Now().UnixMilli()})
				return
			}
			params, signature, _ := strings.Cut(r.URL.RawQuery, "&Signature=")
			pairs := strings.Split(params, "&")
			q := r.URL.Query()
			sent, _ := time.Parse("2006-01-02T15:04:05", q.Get("Timestamp"))
			signed := base64.StdEncoding.EncodeToString(MAC(sha256.New, "test-api-secret", "GET\n"+r.Host+"\n"+r.URL.Path+"\n"+params))
			from, _ := venue.ParseMoment(q.Get("startTime"))
			to, _ := venue.ParseMoment(q.Get("endTime"))
			say := func(code, msg string) {
				JSON(rw, http.StatusOK, map[string]any{"status": "error", "err-code": code, "err-msg": msg, "data": nil})
			}
			switch {
			case signature != url.QueryEscape(signed) || !slices.IsSorted(pairs):
				say("api-signature-not-valid", "Signature not valid: Verification failure")
			case w.Now().Sub(sent).Abs() > 5*time.Minute:
				say("api-signature-not-valid", "Signature not valid: Invalid submission time or incorrect time format")
			case to.Sub(from) > 10*24*time.Hour:
				say("invalid-time-range", "")
			default:
				JSON(rw, http.StatusOK, answer(q))
			}
		})
	}
	ok := func(data any) map[string]any { return map[string]any{"status": "ok", "data": data} }
	ok2 := func(data any) map[string]any { return map[string]any{"code": 200, "data": data} }
	serve("/v1/common/timestamp", nil)
	serve("/v2/user/uid", func(url.Values) any { return ok2(1) })
	serve("/v2/user/api-key", func(q url.Values) any {
		return ok2([]any{map[string]any{"accessKey": q.Get("AccessKeyId"), "permission": "readOnly", "ipAddresses": "192.0.2.1", "validDays": -1}})
	})
	serve("/v1/account/accounts", func(url.Values) any {
		return ok([]any{map[string]any{"id": 7, "type": "spot", "state": "working"}, map[string]any{"id": 8, "type": "otc", "state": "working"}})
	})
	serve("/v1/account/accounts/7/balance", func(url.Values) any {
		list := []any{}
		for _, h := range w.Held(Held{Code: "btc", Available: "1.5", Locked: "0.5"}) {
			list = append(list, map[string]any{"currency": h.Code, "type": "trade", "balance": h.Available}, map[string]any{"currency": h.Code, "type": "frozen", "balance": h.Locked})
		}
		return ok(map[string]any{"list": list})
	})
	serve("/v1/account/accounts/8/balance", func(url.Values) any { return ok(map[string]any{"list": []any{}}) })
	serve("/v2/account/asset-valuation", func(url.Values) any { return ok2(map[string]any{"balance": "2"}) })
	serve("/v1/query/deposit-withdraw", func(q url.Values) any {
		stream, done, waiting := venue.Deposits, "safe", "confirming"
		if q.Get("type") == "withdraw" {
			stream, done, waiting = venue.Withdrawals, "confirmed", "pass"
		}
		rows := w.Rows(stream)
		if falling {
			slices.Reverse(rows)
		}
		start := 0
		for i, row := range rows {
			if row.ID == q.Get("from") {
				start = i
			}
		}
		page, _ := w.Page(rows, start, Number(q.Get("size")))
		return ok(Write(page, func(r Row) map[string]any {
			state := done
			switch {
			case r.Pending:
				state = waiting
			case r.Reversed:
				state = "orphan"
			}
			id, _ := strconv.Atoi(r.ID)
			return map[string]any{"id": id, "currency": "btc", "chain": "btc", "tx-hash": r.TxHash, "amount": Positive(r.Amount), "fee": 0, "state": state, "created-at": r.At.UnixMilli()}
		}))
	})
	serve("/v2/account/ledger", func(q url.Values) any {
		offset := Number(q.Get("fromId"))
		limit := Number(q.Get("limit"))
		page, more := w.Page(w.BetweenText(venue.Transfers, q.Get("startTime"), q.Get("endTime")), offset, limit)
		answer := ok2(Write(page, func(r Row) map[string]any {
			return map[string]any{"currency": "btc", "transactAmt": r.Amount, "transactType": "transfer", "transferType": "x", "transactId": r.ID, "transactTime": r.At.UnixMilli()}
		}))
		if more {
			answer["nextId"] = offset + limit
		}
		return answer
	})
	return mux
}
