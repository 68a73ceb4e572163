package gemini_test

import (
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/gemini"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "account-testkey", venue.FieldSecret: "test-api-secret"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: gemini.Venue(), Login: login(), Unsigned: func(_ venuetest.Vector, r *venue.Request) { r.Body = "" }}.Vectors(t)
}

func TestMasterKeysAreRefused(t *testing.T) {
	t.Parallel()
	_, err := gemini.Venue().Dialect(venue.NewCredentials(map[string]string{venue.FieldKey: "master-secretkey", venue.FieldSecret: "x"}))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secretkey")
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, gemini.Venue(), login())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: gemini.Venue(), Login: login(), Handler: handler, Empty: []string{"[]"},
		Revoked: venuetest.Reply{Status: http.StatusBadRequest, Body: `{"result":"error","reason":"InvalidApiKey","message":"Invalid API key"}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"result":"error","reason":"RateLimit","message":"Requests were made too frequently"}`},
	})
}

// handler is Gemini.
func handler(w *venuetest.World) http.Handler {
	var mu sync.Mutex
	var last uint64
	mux := http.NewServeMux()
	type question struct {
		Request        string `json:"request"`
		Nonce          string `json:"nonce"`
		LimitTransfers int    `json:"limit_transfers"`
		Timestamp      int64  `json:"timestamp"`
	}
	serve := func(path string, answer func(q question) any) {
		mux.HandleFunc("POST "+path, func(rw http.ResponseWriter, r *http.Request) {
			payload := r.Header.Get("X-GEMINI-PAYLOAD")
			raw, _ := base64.StdEncoding.DecodeString(payload)
			var q question
			_ = json.Unmarshal(raw, &q)
			nonce, _ := strconv.ParseUint(q.Nonce, 10, 64)
			mu.Lock()
			rises := nonce > last
			last = max(last, nonce)
			mu.Unlock()
			say := func(reason string) {
				venuetest.JSON(rw, http.StatusBadRequest, map[string]any{"result": "error", "reason": reason})
			}
			switch {
			case r.Header.Get("X-GEMINI-SIGNATURE") != hex.EncodeToString(venuetest.MAC(sha512.New384, "test-api-secret", payload)):
				say("InvalidSignature")
			case q.Request != path:
				say("EndpointMismatch")
			case !rises:
				say("InvalidNonce")
			default:
				venuetest.JSON(rw, http.StatusOK, answer(q))
			}
		})
	}
	serve("/v1/roles", func(question) any {
		return map[string]any{"isAuditor": true, "isTrader": false, "isFundManager": false}
	})
	serve("/v1/balances", func(question) any {
		return []any{map[string]any{"type": "exchange", "currency": "BTC", "amount": "2", "available": "1.5"}}
	})
	serve("/v1/balances/staking", func(question) any { return []any{} })
	serve("/v1/notionalbalances/usd", func(question) any { return []any{map[string]any{"currency": "BTC", "amountNotional": "2"}} })
	serve("/v1/transfers", func(q question) any {
		rows := w.Between(venue.Transfers, time.UnixMilli(q.Timestamp), time.Time{})
		slices.Reverse(rows) // from that time on
		page, _ := w.Page(rows, 0, min(q.LimitTransfers, 50))
		return venuetest.Write(page, func(r venuetest.Row) map[string]any {
			kind := "Deposit"
			if r.Amount[0] == '-' {
				kind = "Withdrawal"
			}
			id, _ := strconv.Atoi(r.ID)
			return map[string]any{"type": kind, "status": "Complete", "timestampms": r.At.UnixMilli(), "eid": id, "currency": r.Code, "amount": venuetest.Positive(r.Amount), "txHash": r.TxHash}
		})
	})
	return mux
}
