package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyd/chains/venue/venuetest"
	"tallyd/config"
)

// The logins that the mock venues know.
const (
	blinkKey      = "blink_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01"
	bitmartKey    = "bitmart-key-of-the-tests"
	bitmartSecret = "bitmart-secret-of-the-tests"
	bitmartMemo   = "bitmart-memo-of-the-tests"
)

// exchanges are Blink and BitMart on this machine, with one account each.
type exchanges struct {
	*httptest.Server

	mu       sync.Mutex
	keys     map[string][]string // scopes of the keys of Blink, by text
	windDown string              // status that Blink tells of the account; "" for none
	down     bool                // answers nothing but a page of the network
	sats     int64
	cents    int64
	rows     []blinkRow
	spot     string // what BitMart holds of BTC
	asked    []string
}

// blinkRow is one transaction at Blink, in the smallest unit.
type blinkRow struct {
	id, currency, via, tx string
	amount, fee           int64
	at                    time.Time
	pending               bool
}

func newExchanges(t testing.TB) *exchanges {
	t.Helper()
	e := &exchanges{keys: map[string][]string{blinkKey: {"READ"}}, sats: 150_000, cents: 1_250, spot: "1.5"}
	e.Server = httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(e.Close)
	return e
}

// settings returns settings in which these stand for the real ones.
func (e *exchanges) settings() config.Venues {
	return config.Venues{
		Balances: "@every 3s", History: "@every 1s", Concurrency: 4, Patience: 2 * time.Second, Timeout: 5 * time.Second,
		BaseURLs: []config.BaseURL{
			{Venue: "blink", URL: config.NewURL(e.URL)},
			{Venue: "bitmart", URL: config.NewURL(e.URL)},
		},
	}
}

// set changes the venues while they may be asked.
func (e *exchanges) set(change func(*exchanges)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(e)
}

// count returns how often a path was asked.
func (e *exchanges) count(path string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(e.asked), func(p string) bool { return p != path }))
}

func (e *exchanges) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.URL.Path)
	switch {
	case e.down:
		venuetest.Say(w, venuetest.Reply{Status: http.StatusServiceUnavailable, Body: "<html>maintenance</html>"})
	case r.URL.Path == "/graphql":
		e.blink(w, r, body)
	default:
		e.bitmart(w, r, string(body))
	}
}

func (e *exchanges) blink(w http.ResponseWriter, r *http.Request, body []byte) {
	scopes, known := e.keys[r.Header.Get("X-API-KEY")]
	var q struct{ Query string }
	if !known || json.Unmarshal(body, &q) != nil {
		venuetest.JSON(w, http.StatusUnauthorized, map[string]any{"error": map[string]any{"code": 401, "status": "Unauthorized"}})
		return
	}
	data := func(members map[string]any) { venuetest.JSON(w, http.StatusOK, map[string]any{"data": members}) }
	mine := func(account map[string]any) { data(map[string]any{"me": map[string]any{"defaultAccount": account}}) }
	switch {
	case strings.Contains(q.Query, "tallydCheck"):
		data(map[string]any{
			"authorization": map[string]any{"scopes": scopes}, "me": map[string]any{"defaultAccount": map[string]any{"id": "blink-account", "level": "TWO"}},
		})
	case strings.Contains(q.Query, "tallydWindDown"):
		if e.windDown == "" {
			data(map[string]any{"windDown": nil})
			return
		}
		data(map[string]any{"windDown": map[string]any{"status": e.windDown, "receiveDisabledAt": 1790000000, "finalDeadline": 1800000000}})
	case strings.Contains(q.Query, "tallydBalances"):
		mine(map[string]any{"wallets": []any{
			map[string]any{"id": "w1", "walletCurrency": "BTC", "balance": e.sats}, map[string]any{"id": "w2", "walletCurrency": "USD", "balance": e.cents},
		}})
	case strings.Contains(q.Query, "tallydPending"):
		mine(map[string]any{"pendingIncomingTransactions": blinkNodes(e.rows, true)})
	default:
		edges := []any{}
		for _, node := range blinkNodes(e.rows, false) {
			edges = append(edges, map[string]any{"cursor": "c", "node": node})
		}
		mine(map[string]any{"transactions": map[string]any{"pageInfo": map[string]any{"hasNextPage": false, "endCursor": "c"}, "edges": edges}})
	}
}

// blinkNodes returns the rows that are pending, or those that are not, the newest
// first.
func blinkNodes(rows []blinkRow, pending bool) []any {
	nodes := []any{}
	for _, row := range slices.Backward(rows) {
		if row.pending != pending {
			continue
		}
		status := "SUCCESS"
		if pending {
			status = "PENDING"
		}
		via := map[string]any{"__typename": "SettlementVia" + row.via}
		if row.via == "OnChain" {
			via["transactionHash"], via["vout"] = row.tx, 0
		}
		nodes = append(nodes, map[string]any{
			"id": row.id, "createdAt": row.at.Unix(), "status": status, "memo": nil, "settlementAmount": row.amount, "settlementFee": row.fee,
			"settlementCurrency": row.currency, "initiationVia": map[string]any{"__typename": "InitiationVia" + row.via}, "settlementVia": via,
		})
	}
	return nodes
}

func (e *exchanges) bitmart(w http.ResponseWriter, r *http.Request, body string) {
	say := func(status, code int, message string, data any) {
		venuetest.JSON(w, status, map[string]any{"code": code, "message": message, "trace": "0", "data": data})
	}
	mac := hmac.New(sha256.New, []byte(bitmartSecret))
	_, _ = io.WriteString(mac, r.Header.Get("X-BM-TIMESTAMP")+"#"+bitmartMemo+"#"+body)
	switch {
	case r.URL.Path == "/system/time":
		say(http.StatusOK, 1000, "OK", map[string]any{"server_time": time.Now().UnixMilli()})
	case r.Header.Get("X-BM-KEY") != bitmartKey:
		say(http.StatusUnauthorized, 30002, "Header X-BM-KEY not found", nil)
	// Balances need the key alone; the signature is looked at where trades are read.
	case r.URL.Path == "/spot/v4/query/trades" && r.Header.Get("X-BM-SIGN") != hex.EncodeToString(mac.Sum(nil)):
		say(http.StatusUnauthorized, 30005, "Header X-BM-SIGN is wrong", nil)
	case r.URL.Path == "/spot/v1/wallet":
		say(http.StatusOK, 1000, "OK", map[string]any{"wallet": []any{map[string]any{"id": "BTC", "available": e.spot, "frozen": "0", "total": e.spot}}})
	case r.URL.Path == "/account/v1/wallet":
		say(http.StatusOK, 1000, "OK", map[string]any{"wallet": []any{map[string]any{"currency": "BTC", "available": e.spot, "frozen": "0"}}})
	case r.URL.Path == "/spot/v1/margin/isolated/account":
		say(http.StatusOK, 1000, "OK", map[string]any{"symbols": []any{}})
	case r.URL.Path == "/account/v2/deposit-withdraw/history":
		say(http.StatusOK, 1000, "OK", map[string]any{"records": []any{}})
	case r.URL.Path == "/newearn/cloud/v1/earn":
		say(http.StatusOK, 1000, "OK", map[string]any{"saved": "7"})
	default:
		say(http.StatusOK, 1000, "OK", []any{})
	}
}
