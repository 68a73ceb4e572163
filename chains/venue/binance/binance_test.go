package binance_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/binance"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	bare := func(params string) string {
		_, params, _ = strings.Cut(params+"&", "&")
		params, _, _ = strings.Cut("&"+params, "&recvWindow=")
		return strings.TrimPrefix(params, "&")
	}
	venuetest.Signer{Venue: binance.Venue(), Login: login(), Unsigned: func(_ venuetest.Vector, r *venue.Request) {
		r.Query, r.Body = bare(r.Query), bare(r.Body)
	}}.Vectors(t)
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, binance.Venue(), login())
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	const spot, wallets = "GET /api/v3/account", "GET /sapi/v1/asset/wallet/balance"
	none := `{"balances":[]}`
	wallet := func(name string) string { return `[{"activate":true,"balance":"1","walletName":"` + name + `"}]` }
	pairs := map[string]string{spot: none, "GET /api/v3/exchangeInfo": `{"symbols":[{"symbol":"LTCUSDT","baseAsset":"LTC","quoteAsset":"USDT"}]}`}
	owed := "what is borrowed on cross margin, and its interest, is not the user's"
	venuetest.Recordings(t, binance.Venue(), login(), map[string]venuetest.Use{
		"fetchBalance Spot balance":        {Ask: "balances", Route: spot},
		"fetchBalance Linear swap balance": {Ask: "balances", Route: "GET /fapi/v3/account", With: map[string]string{spot: none, wallets: wallet("USD-M Futures")}},
		"fetchBalance fetch papi balance": {
			Ask: "balances", Route: "GET /papi/v1/balance", With: map[string]string{spot: none, wallets: wallet("Portfolio Margin")},
			Ours: map[string]string{"USDT": "136.0343262", "USDC": "-0.00017186"}, Why: owed,
		},
		"fetchBalance fetch linear papi balance": {
			Ask: "balances", Route: "GET /papi/v1/balance", With: map[string]string{spot: none, wallets: wallet("Portfolio Margin")},
			Ours: map[string]string{"USDT": "136.03440325", "ETH": "0.00057786", "LTC": "0.000636", "ADA": "10.0325"},
			Why:  "the recording shows the part for linear contracts alone; " + owed,
		},
		"fetchWithdrawals fetchWithdrawals":               {Ask: "withdrawals", Route: "GET /sapi/v1/capital/withdraw/history"},
		"fetchDeposits fetchDeposits":                     {Ask: "deposits", Route: "GET /sapi/v1/capital/deposit/hisrec"},
		"fetchMyTrades Spot private trade":                {Ask: "trades", Route: "GET /api/v3/myTrades", With: pairs},
		"fetchMyTrades spot porfolioMargin private trade": {Ask: "trades", Route: "GET /api/v3/myTrades", With: pairs},
		"fetchMyTrades Swap private trade":                {Skip: "a fill of a contract moves none of the coins it names; what it wins or loses is in the balance of the futures wallet"},
	})
}

// A ban names the time of its end in words.
func TestBan(t *testing.T) {
	t.Parallel()
	dialect, err := binance.Venue().Dialect(venue.NewCredentials(login()))
	require.NoError(t, err)
	err = dialect.Fault(venue.Answer{Status: http.StatusTeapot, Body: []byte(`{"code":-1003,"msg":"Way too many requests; IP banned until 1795780800000. Please use"}`)})
	e, ok := err.(*venue.Error) //nolint:errorlint // made a line above
	require.True(t, ok)
	require.Equal(t, venue.Banned, e.Reason)
	require.Equal(t, time.UnixMilli(1795780800000).UTC(), e.Until)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: binance.Venue(), Login: login(), Handler: handler, Timed: true, Burst: 1_100, Codes: []string{"BTC", "USDT"},
		Revoked: venuetest.Reply{Status: http.StatusUnauthorized, Body: `{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"code":-1003,"msg":"Too many requests."}`},
	})
}

// handler is Binance.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	signed := func(pattern string, answer func(q url.Values) any) {
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			params := r.URL.RawQuery
			if r.Method == http.MethodPost {
				body, _ := io.ReadAll(r.Body)
				params = string(body)
			}
			text, signature, _ := strings.Cut(params, "&signature=")
			mac := hmac.New(sha256.New, []byte("test-api-secret"))
			_, _ = io.WriteString(mac, text)
			q, _ := url.ParseQuery(params)
			at, _ := venue.ParseMoment(q.Get("timestamp"))
			age := w.Now().Sub(at)
			switch {
			case r.Header.Get("X-MBX-APIKEY") != "test-api-key":
				venuetest.JSON(rw, http.StatusUnauthorized, map[string]any{"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."})
			case signature != hex.EncodeToString(mac.Sum(nil)):
				venuetest.JSON(rw, http.StatusBadRequest, map[string]any{"code": -1022, "msg": "Signature for this request is not valid."})
			case age > 10*time.Second || age < -time.Second:
				venuetest.JSON(rw, http.StatusBadRequest, map[string]any{"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."})
			default:
				rw.Header().Set("X-Mbx-Used-Weight-1m", "20")
				venuetest.JSON(rw, http.StatusOK, answer(q))
			}
		})
	}
	mux.HandleFunc("GET /api/v3/time", func(rw http.ResponseWriter, _ *http.Request) {
		venuetest.JSON(rw, http.StatusOK, map[string]any{"serverTime": w.Now().UnixMilli()})
	})
	mux.HandleFunc("GET /api/v3/exchangeInfo", func(rw http.ResponseWriter, _ *http.Request) {
		venuetest.JSON(rw, http.StatusOK, map[string]any{"symbols": []any{
			map[string]any{"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT"}, map[string]any{"symbol": "ETHUSDT", "baseAsset": "ETH", "quoteAsset": "USDT"},
		}})
	})
	signed("GET /api/v3/account", func(url.Values) any {
		return map[string]any{"uid": 1, "balances": []any{map[string]any{"asset": "BTC", "free": "1.5", "locked": "0.5"}}}
	})
	signed("GET /sapi/v1/account/apiRestrictions", func(url.Values) any {
		return map[string]any{"ipRestrict": true, "createTime": 1698645219000, "enableReading": true, "enableWithdrawals": false}
	})
	signed("GET /sapi/v1/asset/wallet/balance", func(url.Values) any {
		return []any{
			map[string]any{"activate": true, "balance": "1", "walletName": "Spot"},
			map[string]any{"activate": true, "balance": "0", "walletName": "Cross Margin"},
			map[string]any{"activate": false, "balance": "0", "walletName": "Options"},
		}
	})
	empty := func(url.Values) any { return map[string]any{"rows": []any{}, "total": 0} }
	signed("GET /sapi/v1/simple-earn/flexible/position", empty)
	signed("GET /sapi/v1/simple-earn/locked/position", empty)
	signed("GET /sapi/v1/margin/account", func(url.Values) any { return map[string]any{"userAssets": []any{}} })
	signed("POST /sapi/v1/asset/get-funding-asset", func(url.Values) any { return []any{} })
	signed("GET /sapi/v1/capital/deposit/hisrec", func(q url.Values) any {
		return rows(w, venue.Deposits, q, 90, func(r venuetest.Row) any {
			status := 1
			if r.Pending {
				status = 0
			}
			return map[string]any{"id": r.ID, "amount": r.Amount, "coin": r.Code, "network": "BTC", "status": status, "address": "bc1q", "txId": r.TxHash, "insertTime": r.At.UnixMilli(), "transferType": 0}
		})
	})
	signed("GET /sapi/v1/capital/withdraw/history", func(q url.Values) any {
		return rows(w, venue.Withdrawals, q, 90, func(r venuetest.Row) any {
			status := 6
			if r.Pending {
				status = 4
			}
			return map[string]any{"id": r.ID, "amount": strings.TrimPrefix(r.Amount, "-"), "transactionFee": "0", "coin": r.Code, "network": "BTC", "status": status, "txId": r.TxHash, "applyTime": r.At.Format(time.DateTime)}
		})
	})
	signed("GET /sapi/v1/convert/tradeFlow", func(q url.Values) any {
		all := between(w, venue.Converts, q)
		page, more := w.Page(all, 0, 1000)
		list := []any{}
		for _, r := range page {
			list = append(list, map[string]any{"orderId": r.ID, "orderStatus": "SUCCESS", "fromAsset": "USDT", "fromAmount": "1", "toAsset": r.Code, "toAmount": "1", "createTime": r.At.UnixMilli()})
		}
		return map[string]any{"list": list, "moreData": more}
	})
	signed("GET /sapi/v1/asset/assetDividend", func(q url.Values) any {
		page, _ := w.Page(between(w, venue.Rewards, q), 0, 500)
		list := []any{}
		for _, r := range page {
			list = append(list, map[string]any{"id": r.ID, "amount": r.Amount, "asset": r.Code, "divTime": r.At.UnixMilli(), "enInfo": "x", "tranId": 1})
		}
		return map[string]any{"rows": list, "total": len(list)}
	})
	signed("GET /sapi/v1/asset/dribblet", func(url.Values) any { return map[string]any{"total": 0, "userAssetDribblets": []any{}} })
	signed("GET /sapi/v1/fiat/orders", func(q url.Values) any {
		list := []any{}
		if q.Get("transactionType") == "0" {
			number, _ := strconv.Atoi(q.Get("page"))
			q.Set("startTime", q.Get("beginTime"))
			page, _ := w.Page(between(w, venue.Fiat, q), (number-1)*500, 500)
			for _, r := range page {
				list = append(list, map[string]any{"orderNo": r.ID, "fiatCurrency": "EUR", "amount": strings.TrimPrefix(r.Amount, "-"), "totalFee": "0", "status": "Successful", "createTime": r.At.UnixMilli()})
			}
		}
		return map[string]any{"code": "000000", "data": list, "success": true}
	})
	signed("GET /sapi/v1/fiat/payments", func(url.Values) any {
		return map[string]any{"code": "000000", "data": []any{}, "success": true}
	})
	signed("GET /api/v3/myTrades", func(q url.Values) any {
		list := []any{}
		from, _ := strconv.ParseInt(q.Get("fromId"), 10, 64)
		all := between(w, venue.Trades, q)
		for i := len(all) - 1; i >= 0 && len(list) < 1000; i-- { // the oldest first
			if id, _ := strconv.ParseInt(all[i].ID, 10, 64); id >= from {
				r := all[i]
				list = append(list, map[string]any{"symbol": q.Get("symbol"), "id": id, "orderId": 1, "qty": r.Amount, "quoteQty": "2", "commission": "0", "commissionAsset": "BNB", "time": r.At.UnixMilli(), "isBuyer": true})
			}
		}
		return list
	})
	return mux
}

func between(w *venuetest.World, stream venue.Stream, q url.Values) []venuetest.Row {
	start, _ := venue.ParseMoment(q.Get("startTime"))
	end, _ := venue.ParseMoment(q.Get("endTime"))
	return w.Between(stream, start, end)
}

// rows answers with a page by offset; a range that is too wide is refused.
func rows(w *venuetest.World, stream venue.Stream, q url.Values, days int, write func(venuetest.Row) any) any {
	start, _ := venue.ParseMoment(q.Get("startTime"))
	end, _ := venue.ParseMoment(q.Get("endTime"))
	if end.Sub(start) > time.Duration(days)*24*time.Hour {
		return map[string]any{"code": -1100, "msg": "the range is too wide"}
	}
	offset, _ := strconv.Atoi(q.Get("offset"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	page, _ := w.Page(between(w, stream, q), offset, limit)
	list := []any{}
	for _, r := range page {
		list = append(list, write(r))
	}
	return list
}
