package gate_test

import (
	"crypto/sha512"
	"encoding/hex"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/gate"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: gate.Venue(), Login: login()}.Vectors(t)
}

// The example of the venue's own page on signing.
func TestExampleOfTheReference(t *testing.T) {
	t.Parallel()
	dialect, err := gate.Venue().Dialect(venue.NewCredentials(map[string]string{venue.FieldKey: "key", venue.FieldSecret: "secret"}))
	require.NoError(t, err)
	r := venue.Request{Method: http.MethodGet, Path: "/api/v4/futures/orders", Query: "contract=BTC_USD&status=finished&limit=50", Header: http.Header{}}
	require.NoError(t, dialect.Sign(&r, venue.Stamp{Time: time.Unix(1541993715, 0)}))
	require.Equal(t, "55f84ea195d6fe57ce62464daaa7c3c02fa9d1dde954e4c898289c9a2407a3d6fb3faf24deff16790d726b66ac9f74526668b13bd01029199cc4fcc522418b8a", r.Header.Get("SIGN"))
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, gate.Venue(), login())
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	venuetest.Recordings(t, gate.Venue(), login(), map[string]venuetest.Use{
		"fetchMyTrades Spot trade": {Ask: "trades", Route: "GET /api/v4/spot/my_trades"},
		"fetchMyTrades Swap trade": {Skip: "a fill of a contract moves none of the coins it names"},
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: gate.Venue(), Login: login(), Handler: handler, Timed: true, Burst: 1_100, Empty: []string{"[]"},
		Revoked: venuetest.Reply{Status: http.StatusUnauthorized, Body: `{"label":"INVALID_KEY","message":"Invalid key provided"}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"label":"TOO_MANY_REQUESTS","message":"Request Rate limit Exceeded"}`},
	})
}

// handler is Gate.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, answer func(q url.Values) any) {
		mux.HandleFunc("GET /api/v4"+path, func(rw http.ResponseWriter, r *http.Request) {
			at := r.Header.Get("Timestamp")
			hash := sha512.Sum512(nil)
			signed := "GET\n" + r.URL.Path + "\n" + r.URL.RawQuery + "\n" + hex.EncodeToString(hash[:]) + "\n" + at
			sent, _ := venue.ParseMoment(at)
			q := r.URL.Query()
			from, _ := venue.ParseMoment(q.Get("from"))
			to, _ := venue.ParseMoment(q.Get("to"))
			say := func(label string) {
				venuetest.JSON(rw, http.StatusBadRequest, map[string]any{"label": label, "message": ""})
			}
			switch {
			case path == "/spot/time":
				venuetest.JSON(rw, http.StatusOK, answer(nil))
			case r.Header.Get("SIGN") != hex.EncodeToString(venuetest.MAC(sha512.New, "test-api-secret", signed)):
				say("INVALID_SIGNATURE")
			case w.Now().Sub(sent).Abs() > time.Minute:
				say("REQUEST_EXPIRED")
			case to.Sub(from) > 30*24*time.Hour:
				say("INVALID_PARAM_VALUE")
			default:
				venuetest.JSON(rw, http.StatusOK, answer(q))
			}
		})
	}
	none := func(url.Values) any { return []any{} }
	serve("/spot/time", func(url.Values) any { return map[string]any{"server_time": w.Now().UnixMilli()} })
	serve("/account/main_keys", func(url.Values) any {
		return []any{map[string]any{"state": 1, "user_id": 1, "key": "test***key", "perms": []any{map[string]any{"name": "spot", "read_only": true}}, "ip_whitelist": []string{"192.0.2.1"}}}
	})
	serve("/spot/accounts", func(url.Values) any {
		return []any{map[string]any{"currency": "BTC", "available": "1.5", "locked": "0.5"}}
	})
	serve("/unified/unified_mode", func(url.Values) any { return map[string]any{"mode": "classic"} })
	serve("/margin/accounts", none)
	serve("/earn/uni/lends", none)
	serve("/earn/staking/assets", none)
	serve("/futures/usdt/accounts", func(url.Values) any {
		return map[string]any{"label": "USER_NOT_FOUND", "message": "please transfer funds first to create futures account"}
	})
	serve("/futures/btc/accounts", func(url.Values) any {
		return map[string]any{"label": "USER_NOT_FOUND", "message": "please transfer funds first to create futures account"}
	})
	serve("/wallet/total_balance", func(url.Values) any {
		return map[string]any{"total": map[string]any{"amount": "1", "currency": "USDT"}}
	})
	transfers := func(stream venue.Stream) func(url.Values) any {
		return func(q url.Values) any {
			page, _ := w.Page(w.BetweenText(stream, q.Get("from"), q.Get("to")), venuetest.Number(q.Get("offset")), venuetest.Number(q.Get("limit")))
			return venuetest.Write(page, func(r venuetest.Row) map[string]any {
				status := "DONE"
				if r.Pending {
					status = "PEND"
				}
				return map[string]any{"id": r.ID, "timestamp": venue.Seconds(r.At), "currency": r.Code, "amount": venuetest.Positive(r.Amount), "txid": r.TxHash, "status": status, "chain": "BTC"}
			})
		}
	}
	serve("/wallet/deposits", transfers(venue.Deposits))
	serve("/wallet/withdrawals", transfers(venue.Withdrawals))
	paged := func(stream venue.Stream, write func(venuetest.Row) map[string]any) func(url.Values) any {
		return func(q url.Values) any {
			limit := venuetest.Number(q.Get("limit"))
			page, _ := w.Page(w.BetweenText(stream, q.Get("from"), q.Get("to")), (venuetest.Number(q.Get("page"))-1)*limit, limit)
			return venuetest.Write(page, write)
		}
	}
	serve("/spot/account_book", paged(venue.Ledger, func(r venuetest.Row) map[string]any {
		return map[string]any{"id": r.ID, "time": r.At.UnixMilli(), "currency": r.Code, "change": r.Amount, "type": "deposit"}
	}))
	serve("/spot/my_trades", paged(venue.Trades, func(r venuetest.Row) map[string]any {
		return map[string]any{"id": r.ID, "create_time_ms": venue.Millis(r.At) + ".000000", "currency_pair": "BTC_USDT", "side": "buy", "amount": r.Amount, "price": "2", "fee": "0", "fee_currency": "BTC"}
	}))
	return mux
}
