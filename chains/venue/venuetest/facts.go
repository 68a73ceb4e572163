package venuetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
)

// Fact is what a venue was seen or is said to answer, and what tallyd makes of it.
// Facts are in testdata/facts.json of a connector.
type Fact struct {
	Name   string `json:"name"`
	Source string `json:"source"` // address
	Seen   string `json:"seen"`   // date of the source, or the day it was read
	By     string `json:"by"`     // recording or reference
	Why    string `json:"why"`    // what differs from the source's own reading, and why

	// Ask is what is asked of the account: check, balances, value, or a stream.
	Ask    string `json:"ask"`
	Region string `json:"region"`

	// Answers are bodies by method and path. What is not among them is not
	// found.
	Answers map[string]json.RawMessage `json:"answers"`

	// Status is that of the answers, 0 for 200.
	Status int `json:"status"`

	// Expect are lines, in the form that the functions below write.
	Expect []string `json:"expect"`
}

// Facts holds a connector against its facts.
func Facts(t *testing.T, v venue.Venue, login map[string]string) {
	t.Helper()
	var facts []Fact
	readJSON(t, filepath.Join("testdata", "facts.json"), &facts)
	require.NotEmpty(t, facts)
	for _, fact := range facts {
		t.Run(fact.Name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, fact.Source)
			require.NotEmpty(t, fact.Seen)
			require.Contains(t, []string{"recording", "reference"}, fact.By)
			synctest.Test(t, func(t *testing.T) {
				<-time.After(time.Until(today()))
				require.Equal(t, fact.Expect, fact.lines(t, v, login))
			})
		})
	}
}

// lines asks the account of a fact and writes what comes back.
func (f Fact) lines(t *testing.T, v venue.Venue, login map[string]string) []string {
	t.Helper()
	account := Answering(t, v, login, f)
	switch f.Ask {
	case "balances":
		balances, err := account.Balances(t.Context())
		if err != nil {
			return []string{errorLine(err)}
		}
		lines := make([]string, 0, len(balances.Holdings))
		for _, h := range balances.Holdings {
			lines = append(lines, HoldingLine(h))
		}
		return lines
	case "check":
		access, err := account.Check(t.Context())
		if err != nil {
			return []string{errorLine(err)}
		}
		return []string{AccessLine(access)}
	case "value":
		worth, err := account.(venue.Valuer).Value(t.Context())
		if err != nil {
			return []string{errorLine(err)}
		}
		var lines []string
		for _, w := range worth {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", w.Total, w.Code, w.Wallet)))
		}
		return lines
	}
	return f.rows(t, account)
}

// rows reads one page of a stream.
func (f Fact) rows(t *testing.T, account venue.Account) []string {
	t.Helper()
	historian, ok := account.(venue.Historian)
	require.True(t, ok, "%s is asked of a venue without a past", f.Ask)
	stream, cursor, _ := strings.Cut(f.Ask, " ")
	page, err := historian.Page(t.Context(), venue.Query{
		Stream: venue.Stream(stream), Cursor: cursor, Range: venue.Range{From: today().Add(-24 * time.Hour), To: today()},
		Codes: []string{"BTC", "LTC", "USDT"},
	})
	if err != nil {
		return []string{errorLine(err)}
	}
	lines := make([]string, 0, len(page.Movements))
	for _, m := range page.Movements {
		lines = append(lines, MovementLine(m))
	}
	return lines
}

// Answering returns an account whose venue gives the answers of a fact.
func Answering(t *testing.T, v venue.Venue, login map[string]string, f Fact) venue.Account {
	t.Helper()
	fields := maps.Clone(login)
	if f.Region != "" {
		fields[venue.FieldRegion] = f.Region
	}
	world := NewWorld()
	client := world.Wire(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, found := f.Answers[r.Method+" "+r.URL.Path]; found {
			w.WriteHeader(max(f.Status, http.StatusOK))
			_, _ = w.Write(body)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"mock":"nothing here"}`))
	}))
	session, err := venue.NewTransport(venue.TransportOptions{HTTP: client}).Open(v, venue.NewCredentials(fields))
	require.NoError(t, err)
	return session.Account()
}

// HoldingLine writes a holding.
func HoldingLine(h venue.Holding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", h.Wallet, h.Code, h.Total)
	for _, part := range []struct {
		name  string
		value venue.Decimal
	}{{"available", h.Available}, {"locked", h.Locked}, {"borrowed", h.Borrowed}} {
		if part.value.Known() {
			fmt.Fprintf(&b, " %s=%s", part.name, part.value)
		}
	}
	return b.String()
}

// MovementLine writes a movement.
func MovementLine(m venue.Movement) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", m.Kind, m.Status, m.ID)
	if m.Ref != "" {
		b.WriteString(" ref=" + m.Ref)
	}
	if m.Group != "" {
		b.WriteString(" group=" + m.Group)
	}
	for _, leg := range m.Legs {
		b.WriteString(" ")
		if leg.Fee {
			b.WriteString("fee")
		}
		if leg.Amount.Sign() >= 0 {
			b.WriteString("+")
		}
		b.WriteString(leg.Amount.String() + leg.Code)
		if leg.Wallet != "" {
			b.WriteString("@" + string(leg.Wallet))
		}
	}
	b.WriteString(" " + m.Time.UTC().Format("2006-01-02T15:04:05.999999999Z"))
	for _, part := range []struct{ name, value string }{
		{"type", m.Type}, {"state", m.State}, {"network", m.Network}, {"tx", m.TxHash}, {"address", m.Address}, {"tag", m.Tag},
	} {
		if part.value != "" {
			b.WriteString(" " + part.name + "=" + part.value)
		}
	}
	if m.TxHash != "" && m.Vout >= 0 {
		fmt.Fprintf(&b, ":%d", m.Vout)
	}
	if m.Inside {
		b.WriteString(" inside")
	}
	return b.String()
}

// AccessLine writes what a key may do.
func AccessLine(a venue.Access) string {
	line := fmt.Sprintf("%s login=%s can=%s", a.Verdict, a.Login, strings.Join(a.Can, ","))
	if len(a.Excess) > 0 {
		line += " excess=" + strings.Join(a.Excess, ",")
	}
	if len(a.Lacks) > 0 {
		line += " lacks=" + strings.Join(a.Lacks, ",")
	}
	if !a.Expires.IsZero() {
		line += " expires=" + a.Expires.UTC().Format(time.RFC3339)
	}
	if a.Unbound {
		line += " unbound"
	}
	if a.State.Status != "" && a.State.Status != venue.AccountOpen {
		line += " state=" + a.State.Status
	}
	return line
}

func errorLine(err error) string { return "error " + string(venue.ReasonOf(err)) }
