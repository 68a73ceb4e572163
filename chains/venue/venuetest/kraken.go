package venuetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"tallyd/chains/venue"
)

// Kraken answers as Kraken does, for one login of which the secret is
// "test-api-secret" and the key whatever it likes.
func Kraken(w *World) http.Handler {
	var mu sync.Mutex
	var last uint64
	mux := http.NewServeMux()
	serve := func(path string, answer func(form url.Values) any) {
		mux.HandleFunc("POST /0/private/"+path, func(rw http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			form, _ := url.ParseQuery(string(body))
			nonce, _ := strconv.ParseUint(form.Get("nonce"), 10, 64)
			mu.Lock()
			rises := nonce > last
			last = max(last, nonce)
			mu.Unlock()
			hash := sha256.Sum256([]byte(form.Get("nonce") + string(body)))
			mac := hmac.New(sha512.New, []byte("test-api-secret"))
			mac.Write(append([]byte(r.URL.Path), hash[:]...))
			switch {
			case r.Header.Get("API-Sign") != base64.StdEncoding.EncodeToString(mac.Sum(nil)):
				JSON(rw, http.StatusOK, map[string]any{"error": []string{"EAPI:Invalid signature"}})
			case !rises:
				JSON(rw, http.StatusOK, map[string]any{"error": []string{"EAPI:Invalid nonce"}})
			default:
				JSON(rw, http.StatusOK, map[string]any{"error": []string{}, "result": answer(form)})
			}
		})
	}
	serve("GetApiKeyInfo", func(url.Values) any {
		return map[string]any{"permissions": []string{"query-funds", "query-ledger"}, "iban": "AA88", "validUntil": "0", "ipAllowlist": []string{"192.0.2.1"}}
	})
	serve("BalanceEx", func(url.Values) any {
		balances := map[string]any{}
		for _, h := range w.Held(Held{Code: "XXBT", Available: "1", Locked: "0.5"}) {
			balances[h.Code] = map[string]any{"balance": Plus(h.Available, h.Locked), "hold_trade": h.Locked}
		}
		return balances
	})
	serve("Ledgers", func(form url.Values) any {
		rows := krakenRows(w, venue.Ledger, form)
		offset, _ := strconv.Atoi(form.Get("ofs"))
		page, _ := w.Page(rows, offset, 50)
		ledger := map[string]any{}
		for _, row := range page {
			ledger[row.ID] = map[string]any{"refid": "T" + row.ID, "time": row.At.Unix(), "type": "transfer", "subtype": "", "aclass": "currency", "asset": "XXBT", "amount": row.Amount, "fee": "0"}
		}
		return map[string]any{"ledger": ledger, "count": len(rows)}
	})
	transfers := func(stream venue.Stream, name string) func(url.Values) any {
		return func(form url.Values) any {
			offset, _ := strconv.Atoi(strings.TrimPrefix(form.Get("cursor"), "true"))
			page, more := w.Page(krakenRows(w, stream, form), offset, 100)
			list := []any{}
			for _, row := range page {
				status, txid := "Success", row.TxHash
				if row.Pending {
					status, txid = "Pending", ""
				}
				list = append(list, map[string]any{
					"method": "Bitcoin", "aclass": "currency", "asset": "XXBT", "refid": row.ID, "txid": txid, "info": "bc1q",
					"amount": strings.TrimPrefix(row.Amount, "-"), "fee": "0", "time": row.At.Unix(), "status": status,
				})
			}
			result := map[string]any{name: list, "next_cursor": nil}
			if more {
				result["next_cursor"] = strconv.Itoa(offset + 100)
			}
			return result
		}
	}
	serve("DepositStatus", transfers(venue.Deposits, "deposit"))
	serve("WithdrawStatus", transfers(venue.Withdrawals, "withdrawals"))
	return mux
}

// krakenRows returns the rows of the range in a form: start is left out, end is in.
func krakenRows(w *World, stream venue.Stream, form url.Values) []Row {
	start, _ := venue.ParseMoment(form.Get("start"))
	end, _ := venue.ParseMoment(form.Get("end"))
	rows := w.Between(stream, start, end)
	for len(rows) > 0 && rows[len(rows)-1].At.Equal(start) {
		rows = rows[:len(rows)-1]
	}
	return rows
}
