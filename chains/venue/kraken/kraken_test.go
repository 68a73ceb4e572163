package kraken_test

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
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/kraken"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: base64.StdEncoding.EncodeToString([]byte("test-api-secret"))}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: kraken.Venue(), Login: login(), Unsigned: func(_ venuetest.Vector, r *venue.Request) {
		_, r.Body, _ = strings.Cut(r.Body+"&", "&")
		r.Body = strings.TrimSuffix(r.Body, "&")
	}}.Vectors(t)
}

// The example of the venue's own page on signing. Its body is an order, which
// tallyd could not send.
func TestExampleOfTheReference(t *testing.T) {
	t.Parallel()
	dialect, err := kraken.Venue().Dialect(venue.NewCredentials(map[string]string{
		venue.FieldKey: "k", venue.FieldSecret: "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
	}))
	require.NoError(t, err)
	r := venue.Request{Path: "/0/private/AddOrder", Body: "ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25", Header: http.Header{}}
	require.NoError(t, dialect.Sign(&r, venue.Stamp{Nonce: 1616492376594}))
	require.Equal(t, "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==", r.Header.Get("API-Sign"))
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, kraken.Venue(), login())
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	venuetest.Recordings(t, kraken.Venue(), login(), map[string]venuetest.Use{
		"fetchDeposits fetchDeposits":       {Ask: "deposits", Route: "POST /0/private/DepositStatus"},
		"fetchWithdrawals fetchWithdrawals": {Ask: "withdrawals", Route: "POST /0/private/WithdrawStatus"},
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: kraken.Venue(), Login: login(), Handler: handler,
		Revoked: venuetest.Reply{Status: http.StatusOK, Body: `{"error":["EAPI:Invalid key"]}`},
		Slow:    venuetest.Reply{Status: http.StatusOK, Body: `{"error":["EAPI:Rate limit exceeded"]}`},
	})
}

// handler is Kraken.
func handler(w *venuetest.World) http.Handler {
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
				venuetest.JSON(rw, http.StatusOK, map[string]any{"error": []string{"EAPI:Invalid signature"}})
			case !rises:
				venuetest.JSON(rw, http.StatusOK, map[string]any{"error": []string{"EAPI:Invalid nonce"}})
			default:
				venuetest.JSON(rw, http.StatusOK, map[string]any{"error": []string{}, "result": answer(form)})
			}
		})
	}
	serve("GetApiKeyInfo", func(url.Values) any {
		return map[string]any{"permissions": []string{"query-funds", "query-ledger"}, "iban": "AA88", "validUntil": "0", "ipAllowlist": []string{"192.0.2.1"}}
	})
	serve("BalanceEx", func(url.Values) any {
		return map[string]any{"XXBT": map[string]any{"balance": "1.5", "hold_trade": "0.5"}}
	})
	serve("Ledgers", func(form url.Values) any {
		rows := between(w, venue.Ledger, form)
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
			page, more := w.Page(between(w, stream, form), offset, 100)
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

// between returns the rows of the range in a form: start is left out, end is in.
func between(w *venuetest.World, stream venue.Stream, form url.Values) []venuetest.Row {
	start, _ := venue.ParseMoment(form.Get("start"))
	end, _ := venue.ParseMoment(form.Get("end"))
	rows := w.Between(stream, start, end)
	for len(rows) > 0 && rows[len(rows)-1].At.Equal(start) {
		rows = rows[:len(rows)-1]
	}
	return rows
}
