// Package cryptocom reads accounts at the Crypto.com Exchange.
package cryptocom

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	root            = "/exchange/v1/"
	balancePath     = root + "private/user-balance"
	depositsPath    = root + "private/get-deposit-history"
	withdrawalsPath = root + "private/get-withdrawal-history"
	tradesPath      = root + "private/get-trades"
)

// Venue returns what Crypto.com is.
func Venue() venue.Venue {
	post := func(path, budget string) venue.Route {
		return venue.Route{Method: http.MethodPost, Path: path, Budget: budget}
	}
	return venue.Venue{
		Name:  "cryptocom",
		Title: "Crypto.com Exchange",
		About: "The Exchange, not the App, which has no API. It does not say what a key may do, and shows half a year. What is staked is not read.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Secret: true},
			{Name: venue.FieldSecret, Title: "Secret key", Hint: "shown once, when the key is made", Secret: true},
		},
		Tick: []string{"Can Read"},
		Regions: []venue.Region{
			{Name: "global", Title: "crypto.com/exchange", Hosts: map[string]string{"": "https://api.crypto.com"}},
			{Name: "uat", Title: "UAT sandbox", Sandbox: true, Hosts: map[string]string{"": "https://uat-api.3ona.co"}},
		},
		Routes: []venue.Route{post(balancePath, "requests"), post(depositsPath, "requests"), post(withdrawalsPath, "requests"), post(tradesPath, "trades")},
		Budgets: []venue.Budget{
			{Name: "requests", Scope: venue.PerKey, Limit: 3, Window: 100 * time.Millisecond},
			{Name: "trades", Scope: venue.PerKey, Limit: 1, Window: time.Second},
		},
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83", Seen: "2026-11"},
			{Part: "balances", By: venue.ByReference, Source: "https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#private-user-balance", Seen: "2026-11"},
			{Part: "deposits", By: venue.ByReference, Source: "https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#private-get-deposit-history", Seen: "2026-11"},
			{Part: "withdrawals", By: venue.ByReference, Source: "https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#private-get-withdrawal-history", Seen: "2026-11"},
			{Part: "trades", By: venue.ByReference, Source: "https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#private-get-trades", Seen: "2026-11"},
			{Part: "staking", By: venue.Unverified},
			{Part: "permissions", By: venue.Unverified},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

// dialect signs method, id, key, parameters in the order of their names, and nonce.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect. The body of a request are its parameters; they
// become a member of the body that is sent, beside the method, which is the path.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	params := r.Body
	if params == "" {
		params = "{}"
	}
	text, err := joined(params)
	if err != nil {
		return err
	}
	at, key := venue.Millis(s.Time), d.c.Get(venue.FieldKey)
	method := strings.TrimPrefix(r.Path, root)
	sig := venue.HexSHA256(d.c.Get(venue.FieldSecret), method+at+key+text+at)
	r.Body = fmt.Sprintf(`{"id":%q,"method":%q,"params":%s,"api_key":%q,"sig":%q,"nonce":%q}`, at, method, params, key, sig, at)
	r.Header.Set("Content-Type", "application/json")
	return nil
}

// joined writes names and values of parameters one after the other, in the order
// of their names.
func joined(params string) (string, error) {
	var members map[string]venue.Text
	if err := venue.Decode([]byte(params), &members); err != nil {
		return "", fmt.Errorf("read parameters: %w", err)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		b.WriteString(name + string(members[name]))
	}
	return b.String(), nil
}

// Fault implements venue.Dialect.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[struct {
		Code    json.Number `json:"code"`
		Message string      `json:"message"`
	}](a)
	if !said || answer.Code == "" || answer.Code == "0" {
		return nil // judged by its status, and then by whoever reads it
	}
	e := venue.Say(venue.Refused, answer.Code.String(), answer.Message)
	switch answer.Code.String() {
	case "40101", "10002":
		e.Reason, e.Hint = venue.KeyRefused, "the key does not exist, or the secret key does not belong to it"
	case "40102", "10007":
		e.Reason = venue.ClockSkew
	case "40103", "10003":
		e.Reason, e.Hint = venue.AddressRefused, "add the address of this service to those of the key"
	case "40104", "10005":
		e.Reason = venue.PermissionMissing
	case "42901", "10006":
		e.Reason = venue.RateLimited
	case "50001", "10001":
		e.Reason = venue.Maintenance
	}
	return e
}

// window writes a range of time as a pair of parameters.
func window(from, to string, q venue.Query) string {
	return fmt.Sprintf(`"%s":%s,"%s":%s`, from, venue.Millis(q.Range.From), to, venue.Millis(q.Range.To))
}

// number reads a cursor that is a number, 0 for none.
func number(cursor string) int {
	n, _ := strconv.Atoi(cursor) // ours
	return n
}
