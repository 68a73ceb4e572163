package cryptocom_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tallyd/chains/venue"
	"tallyd/chains/venue/cryptocom"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: cryptocom.Venue(), Login: login(), Unsigned: func(_ venuetest.Vector, r *venue.Request) {
		_, params, _ := strings.Cut(r.Body, `"params":`)
		r.Body, _, _ = strings.Cut(params, `,"api_key"`)
	}}.Vectors(t)
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, cryptocom.Venue(), login())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: cryptocom.Venue(), Login: login(), Handler: handler, Timed: true,
		Revoked: venuetest.Reply{Status: http.StatusUnauthorized, Body: `{"id":1,"method":"private/user-balance","code":40101,"message":"Unauthorised"}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"id":1,"method":"private/user-balance","code":42901,"message":"Requests have exceeded rate limits"}`},
	})
}

// handler is Crypto.com.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	type params struct {
		StartTS   venue.Text `json:"start_ts"`
		EndTS     venue.Text `json:"end_ts"`
		StartTime venue.Text `json:"start_time"`
		EndTime   venue.Text `json:"end_time"`
		PageSize  int        `json:"page_size"`
		Page      int        `json:"page"`
		Limit     int        `json:"limit"`
	}
	serve := func(method string, answer func(p params) any) {
		mux.HandleFunc("POST /exchange/v1/"+method, func(rw http.ResponseWriter, r *http.Request) {
			var q struct {
				ID, Method, Sig, Nonce string
				APIKey                 string `json:"api_key"`
				Params                 map[string]json.Number
			}
			body := venuetest.Body(r)
			_ = json.Unmarshal([]byte(body), &q)
			var names []string
			for name := range q.Params {
				names = append(names, name)
			}
			slices.Sort(names)
			var text strings.Builder
			text.WriteString(q.Method + q.ID + q.APIKey)
			for _, name := range names {
				text.WriteString(name + q.Params[name].String())
			}
			var whole struct{ Params params }
			_ = json.Unmarshal([]byte(body), &whole)
			sent, _ := venue.ParseMoment(q.Nonce)
			say := func(code int, result any) {
				venuetest.JSON(rw, http.StatusOK, map[string]any{"id": q.ID, "method": q.Method, "code": code, "result": result})
			}
			switch {
			case q.Method != method || q.Sig != hex.EncodeToString(venuetest.MAC(sha256.New, "test-api-secret", text.String()+q.Nonce)):
				say(40101, nil)
			case w.Now().Sub(sent).Abs() > time.Minute:
				say(40102, nil)
			default:
				say(0, answer(whole.Params))
			}
		})
	}
	serve("private/user-balance", func(params) any {
		return map[string]any{"data": []any{map[string]any{"position_balances": []any{map[string]any{"instrument_name": "BTC", "quantity": "2", "reserved_qty": "0.5"}}}}}
	})
	transfers := func(name string, stream venue.Stream, done, waiting string) func(params) any {
		return func(p params) any {
			page, _ := w.Page(w.BetweenText(stream, string(p.StartTS), string(p.EndTS)), p.Page*p.PageSize, p.PageSize)
			return map[string]any{name: venuetest.Write(page, func(r venuetest.Row) map[string]any {
				status := done
				if r.Pending {
					status = waiting
				}
				return map[string]any{"id": r.ID, "currency": r.Code, "amount": venuetest.Positive(r.Amount), "fee": 0, "status": status, "txid": r.TxHash, "create_time": r.At.UnixMilli()}
			})}
		}
	}
	serve("private/get-deposit-history", transfers("deposit_list", venue.Deposits, "1", "3"))
	serve("private/get-withdrawal-history", transfers("withdrawal_list", venue.Withdrawals, "5", "1"))
	serve("private/get-trades", func(p params) any {
		page, _ := w.Page(w.BetweenText(venue.Trades, string(p.StartTime), string(p.EndTime)), 0, p.Limit)
		return map[string]any{"data": venuetest.Write(page, func(r venuetest.Row) map[string]any {
			return map[string]any{"trade_id": r.ID, "instrument_name": "BTC_USD", "side": "BUY", "traded_quantity": r.Amount, "traded_price": "2", "fees": "0", "fee_instrument_name": "USD", "create_time": r.At.UnixMilli()}
		})}
	})
	return mux
}
