package blink_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"tallyd/chains/venue"
	"tallyd/chains/venue/blink"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string { return map[string]string{venue.FieldKey: "blink_test-api-key"} }

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, blink.Venue(), login())
}

// Every question is a query, and stands in the schemas of Blink.
func TestQueriesFitTheSchemas(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]func(t *testing.T) string{
		"Transcribed": func(*testing.T) string { return "testdata/schema.graphql" },
		"Public":      func(t *testing.T) string { t.Helper(); return venuetest.Shared(t, "contract/blink-public.graphql") },
		"Supergraph":  func(t *testing.T) string { t.Helper(); return venuetest.Shared(t, "contract/blink-supergraph.graphql") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file(t))
			require.NoError(t, err)
			schema, err := gqlparser.LoadSchema(&ast.Source{Name: name, Input: string(text)})
			require.NoError(t, err)
			for _, q := range blink.Queries() {
				document, problems := gqlparser.LoadQueryWithRules(schema, q, rules.NewDefaultRules())
				require.Empty(t, problems, q)
				for _, operation := range document.Operations {
					require.Equal(t, ast.Query, operation.Operation, q)
				}
			}
			_, problems := gqlparser.LoadQueryWithRules(schema, `query { me { authorization { scopes } } }`, rules.NewDefaultRules())
			require.NotEmpty(t, problems, "the schema lets everything through")
		})
	}
}

// The one path could move money: it is the text of the question that is allowed.
func TestNothingElseIsAsked(t *testing.T) {
	t.Parallel()
	world := venuetest.NewWorld()
	transport := venue.NewTransport(venue.TransportOptions{HTTP: world.Wire(handler(world))})
	session, err := transport.Open(blink.Venue(), venue.NewCredentials(login()))
	require.NoError(t, err)
	asks := func(body string) error {
		_, err := session.Ask(t.Context(), venue.Request{Method: http.MethodPost, Path: "/graphql", Body: body})
		return err
	}
	question, err := json.Marshal(blink.Queries()[0])
	require.NoError(t, err)
	require.NoError(t, asks(`{"query":`+string(question)+`}`))
	require.Len(t, world.Asked(), 1)
	for _, body := range []string{
		``, `{}`, `[]`,
		`{"query":"mutation { lnInvoicePaymentSend(input: {walletId: \"w\", paymentRequest: \"ln\"}) { status } }"}`,
		`{"query":"query tallydBalances { me { defaultAccount { wallets { id walletCurrency balance } } } } "}`,
		`{"query":` + string(question) + `,"operationName":"x"}`,
		`{"query":"mutation { x }","query":` + string(question) + `}`,
		`{"query":` + string(question) + `} `,
		`[{"query":` + string(question) + `}]`,
	} {
		require.ErrorIs(t, asks(body), venue.ErrNotAllowed, body)
	}
	require.Len(t, world.Asked(), 1, "something was sent")
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: blink.Venue(), Login: login(), Handler: handler,
		Revoked: venuetest.Reply{Status: http.StatusUnauthorized, Body: `{"error":{"code":401,"status":"Unauthorized","message":"Access credentials are invalid"}}`},
		Slow:    venuetest.Reply{Status: http.StatusOK, Body: `{"errors":[{"message":"Too many requests","extensions":{"code":"TOO_MANY_REQUEST"}}],"data":null}`},
		// A settled row is another one, with the same output on chain.
		Settle: func(w *venuetest.World, stream venue.Stream, row venuetest.Row) {
			w.Forget(stream, row.ID)
			row.ID = "booked-" + row.ID
			w.Happen(stream, row)
		},
	})
}

// handler is Blink.
func handler(w *venuetest.World) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var q struct {
			Query     string
			Variables struct {
				First int
				After string
			}
		}
		if r.URL.Path != "/graphql" || r.Header.Get("X-API-KEY") != login()[venue.FieldKey] || json.Unmarshal(body, &q) != nil {
			venuetest.JSON(rw, http.StatusUnauthorized, map[string]any{"error": map[string]any{"code": 401}})
			return
		}
		mine := func(account map[string]any) {
			venuetest.JSON(rw, http.StatusOK, map[string]any{"data": map[string]any{"me": map[string]any{"defaultAccount": account}}})
		}
		var booked, pending []venuetest.Row
		for _, row := range w.Between(venue.Transactions, w.Now().AddDate(-20, 0, 0), w.Now()) {
			if row.Pending {
				pending = append(pending, row)
			} else {
				booked = append(booked, row)
			}
		}
		switch {
		case strings.Contains(q.Query, "tallydCheck"):
			venuetest.JSON(rw, http.StatusOK, map[string]any{"data": map[string]any{
				"authorization": map[string]any{"scopes": []string{"READ"}}, "me": map[string]any{"defaultAccount": map[string]any{"id": "a"}},
			}})
		case strings.Contains(q.Query, "tallydWindDown"):
			venuetest.JSON(rw, http.StatusOK, map[string]any{"errors": []any{map[string]any{
				"message": `Cannot query field "windDown" on type "Query".`, "extensions": map[string]any{"code": "GRAPHQL_VALIDATION_FAILED"},
			}}})
		case strings.Contains(q.Query, "tallydBalances"):
			mine(map[string]any{"wallets": []any{map[string]any{"id": "w", "walletCurrency": "BTC", "balance": 150}}})
		case strings.Contains(q.Query, "tallydPending"):
			mine(map[string]any{"pendingIncomingTransactions": nodes(pending)})
		default:
			after := 0
			for i, row := range booked {
				if row.ID == q.Variables.After {
					after = i + 1
				}
			}
			page, more := w.Page(booked, after, min(q.Variables.First, 100))
			edges := []any{}
			for _, node := range nodes(page) {
				edges = append(edges, map[string]any{"node": node})
			}
			info := map[string]any{"hasNextPage": more, "endCursor": nil}
			if len(page) > 0 {
				info["endCursor"] = page[len(page)-1].ID
			}
			mine(map[string]any{"transactions": map[string]any{"pageInfo": info, "edges": edges}})
		}
	})
}

func nodes(rows []venuetest.Row) []any {
	list := []any{}
	for _, row := range rows {
		status := "SUCCESS"
		if row.Pending {
			status = "PENDING"
		}
		whole, _, _ := strings.Cut(row.Amount, ".")
		amount, _ := strconv.Atoi(whole)
		list = append(list, map[string]any{
			"id": row.ID, "createdAt": row.At.Unix(), "status": status, "settlementAmount": amount * 100, "settlementFee": 0, "settlementCurrency": "BTC",
			"initiationVia": map[string]any{"__typename": "InitiationViaOnChain", "address": "bc1q"},
			"settlementVia": map[string]any{"__typename": "SettlementViaOnChain", "transactionHash": row.TxHash, "vout": 0},
		})
	}
	return list
}
