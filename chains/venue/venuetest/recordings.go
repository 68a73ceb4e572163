package venuetest

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
)

// Use says how a recorded answer is read. The recordings are another client's:
// what it made of an answer stands beside each.
type Use struct {
	Ask   string // balances, or a stream with an optional cursor
	Route string // method and path that gave the answer

	// With are further answers that the reading needs, by method and path.
	With map[string]string

	// Without are parts of the answer that lead to others, which were not
	// recorded.
	Without []string

	// Skip says why an answer is not read at all.
	Skip string

	// Ours are values that differ from the recorded reading, by code or id,
	// and Why says why ours are right.
	Ours map[string]string
	Why  string
}

// Recordings holds a connector against the recorded answers in the shared data
// folder, all of them, and skips where that is not there.
func Recordings(t *testing.T, v venue.Venue, login map[string]string, uses map[string]Use) {
	t.Helper()
	text, err := os.ReadFile(Shared(t, "data/exchanges/response/"+v.Name+".json"))
	require.NoError(t, err)
	var file struct {
		Methods map[string][]recording `json:"methods"`
	}
	require.NoError(t, json.Unmarshal(text, &file))
	for method, recordings := range file.Methods {
		for i, r := range recordings {
			name := method + " " + r.Description
			use, known := uses[name]
			require.True(t, known, "nothing is said of the recording %q", name)
			t.Run(name+" "+string(rune('a'+i)), func(t *testing.T) {
				t.Parallel()
				if use.Skip != "" {
					t.Log("not read: " + use.Skip)
					return
				}
				synctest.Test(t, func(t *testing.T) {
					<-time.After(time.Until(today()))
					r.compare(t, v, login, use)
				})
			})
		}
	}
}

type recording struct {
	Description string          `json:"description"`
	Answer      json.RawMessage `json:"httpResponse"`
	Parsed      json.RawMessage `json:"parsedResponse"`
}

func (r recording) compare(t *testing.T, v venue.Venue, login map[string]string, use Use) {
	t.Helper()
	var answer bytes.Buffer
	require.NoError(t, json.Compact(&answer, r.Answer))
	text := answer.String()
	for _, part := range use.Without {
		require.Contains(t, text, part)
		text = strings.Replace(text, part, "", 1)
	}
	fact := Fact{Answers: map[string]json.RawMessage{use.Route: json.RawMessage(text)}}
	for route, body := range use.With {
		fact.Answers[route] = json.RawMessage(body)
	}
	account := Answering(t, v, login, fact)
	if use.Ask == "balances" {
		r.compareBalances(t, account, use)
		return
	}
	stream, cursor, _ := strings.Cut(use.Ask, " ")
	page, err := account.(venue.Historian).Page(t.Context(), venue.Query{
		Stream: venue.Stream(stream), Cursor: cursor, Range: venue.Range{From: today().Add(-24 * time.Hour), To: today()},
		Codes: []string{"BTC", "LTC", "USDT"},
	})
	require.NoError(t, err)
	r.compareRows(t, page.Movements, use)
}

// compareBalances compares the total of each code, and what is free and used where
// both sides say so.
func (r recording) compareBalances(t *testing.T, account venue.Account, use Use) {
	t.Helper()
	balances, err := account.Balances(t.Context())
	require.NoError(t, err)
	var sides map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(r.Parsed, &sides))
	ours := map[string]venue.Holding{}
	for _, h := range balances.Holdings {
		if sum, found := ours[h.Code]; found {
			h.Total, h.Available, h.Locked = h.Total.Add(sum.Total), h.Available.Add(sum.Available), h.Locked.Add(sum.Locked)
		}
		ours[h.Code] = h
	}
	compared := 0
	for code, text := range sides {
		var theirs struct{ Free, Used, Total *venue.Decimal }
		if strings.ToUpper(code) != code || json.Unmarshal(text, &theirs) != nil || theirs.Total == nil {
			continue
		}
		compared++
		if own, differs := use.Ours[code]; differs {
			require.NotEmpty(t, use.Why)
			require.Equal(t, own, ours[code].Total.String(), code)
			continue
		}
		zero := venue.NewDecimal(0, 0)
		require.True(t, ours[code].Total.Or(zero).Equal(*theirs.Total), "%s: ours %s, recorded %s", code, ours[code].Total, *theirs.Total)
		if theirs.Free != nil && ours[code].Available.Known() {
			require.True(t, ours[code].Available.Equal(*theirs.Free), "free %s: ours %s, recorded %s", code, ours[code].Available, *theirs.Free)
		}
	}
	for code := range ours {
		_, recorded := sides[code]
		require.True(t, recorded, "%s is not in the recording", code)
	}
	require.Positive(t, compared+len(use.Ours)+boolOf(string(sides["total"]) == "{}"))
}

func boolOf(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reading is one row as the other client read it. Its numbers are kept as text:
// what it rounded is rounded here in the same way.
type reading struct {
	ID, TxID, Currency, Status, Type, Symbol, Side, Direction string
	Timestamp                                                 int64
	Amount, Cost                                              json.Number
	Address                                                   string
	Fee                                                       *struct {
		Cost     json.Number
		Currency string
	}
}

func (r recording) compareRows(t *testing.T, movements []venue.Movement, use Use) {
	t.Helper()
	var rows []reading
	decoder := json.NewDecoder(bytes.NewReader(r.Parsed))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&rows))
	require.NotEmpty(t, rows)
	byID := map[string]venue.Movement{}
	for _, m := range movements {
		byID[m.ID] = m
	}
	for _, row := range rows {
		m, found := byID[row.ID]
		require.True(t, found, "row %s", row.ID)
		require.Equal(t, row.Timestamp, m.Time.UnixMilli(), row.ID)
		if row.Status == "ok" {
			require.Equal(t, venue.Settled, m.Status, row.ID)
		}
		if row.TxID != "" {
			require.Equal(t, row.TxID, m.TxHash, row.ID)
		}
		if row.Address != "" {
			require.Equal(t, row.Address, m.Address, row.ID)
		}
		if own, differs := use.Ours[row.ID]; differs {
			require.NotEmpty(t, use.Why)
			require.Equal(t, own, MovementLine(m), row.ID)
			continue
		}
		row.compareLegs(t, m)
	}
}

func (row reading) compareLegs(t *testing.T, m venue.Movement) {
	t.Helper()
	base, quote, isTrade := strings.Cut(row.Symbol, "/")
	amount, cost, fee := number(t, row.Amount), number(t, row.Cost), venue.NewDecimal(0, 0)
	if row.Fee != nil && row.Fee.Cost != "" {
		fee = number(t, row.Fee.Cost).Abs()
	}
	sign := func(d venue.Decimal, out bool) venue.Decimal {
		if out {
			return d.Abs().Neg()
		}
		return d.Abs()
	}
	want := map[string]venue.Decimal{}
	switch {
	case isTrade:
		want[base], want[quote] = sign(amount, row.Side == "sell"), sign(cost, row.Side == "buy")
	case row.Direction != "":
		want[row.Currency] = sign(amount, row.Direction == "out")
	default:
		want[row.Currency] = sign(amount, row.Type == "withdrawal")
	}
	got, paid := map[string]venue.Decimal{}, venue.NewDecimal(0, 0)
	for _, leg := range m.Legs {
		if leg.Fee {
			paid = paid.Add(leg.Amount.Abs())
			continue
		}
		code := strings.ToUpper(leg.Code) // some venues write them small
		got[code] = got[code].Or(venue.NewDecimal(0, 0)).Add(leg.Amount)
	}
	for code, amount := range want {
		require.True(t, got[code].Equal(amount), "%s of %s: ours %s, recorded %s", code, row.ID, got[code], amount)
	}
	require.Len(t, got, len(want), row.ID)
	// The other client rounds fees to the precision of their coin.
	require.Negative(t, paid.Sub(fee).Abs().Sub(venue.NewDecimal(1, 7)).Sign(), "fee of %s: ours %s, recorded %s", row.ID, paid, fee)
}

func number(t *testing.T, n json.Number) venue.Decimal {
	t.Helper()
	if n == "" {
		return venue.Decimal{}
	}
	d, err := venue.ParseDecimal(n.String())
	require.NoError(t, err)
	return d
}
