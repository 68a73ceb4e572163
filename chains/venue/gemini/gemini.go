// Package gemini reads accounts at Gemini.
package gemini

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	balancesPath  = "/v1/balances"
	stakingPath   = "/v1/balances/staking"
	notionalPath  = "/v1/notionalbalances/usd"
	transfersPath = "/v1/transfers"
	rolesPath     = "/v1/roles"
)

// Venue returns what Gemini is.
func Venue() venue.Venue {
	post := func(path string) venue.Route { return venue.Route{Method: http.MethodPost, Path: path} }
	return venue.Venue{
		Name:  "gemini",
		Title: "Gemini",
		About: "Use the key for nothing else: its requests are numbered, and two programs that share it shut each other out. Deposits and withdrawals are read; trades, which Gemini shows pair by pair, are not. What is staked is told apart only as nothing or something.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Hint: "account-…, of a key for one account, with the role Auditor; a master key is refused", Secret: true},
			{Name: venue.FieldSecret, Title: "API secret", Hint: "shown once, when the key is made", Secret: true},
		},
		Tick: []string{"Auditor"},
		Regions: []venue.Region{
			{Name: "global", Title: "gemini.com", Hosts: map[string]string{"": "https://api.gemini.com"}},
			{Name: "sandbox", Title: "exchange.sandbox.gemini.com", Sandbox: true, Hosts: map[string]string{"": "https://api.sandbox.gemini.com"}},
		},
		Routes: []venue.Route{post(balancesPath), post(stakingPath), post(notionalPath), post(transfersPath), post(rolesPath)},
		// 600 a minute, of which Gemini advises to send no more than five a second.
		Budgets:     []venue.Budget{{Name: "requests", Scope: venue.PerKey, Limit: 5, Window: time.Second}},
		Nonces:      true,
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83", Seen: "2026-11"},
			{Part: "balances", By: venue.ByReference, Source: "https://docs.gemini.com/rest-api/#get-available-balances", Seen: "2026-11"},
			{Part: "transfers", By: venue.ByReference, Source: "https://docs.gemini.com/rest-api/#transfers", Seen: "2026-11"},
			{Part: "order of transfers after a time", By: venue.Unverified},
			{Part: "staking", By: venue.Unverified},
			{Part: "names of roles", By: venue.Unverified},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) {
			if strings.HasPrefix(c.Get(venue.FieldKey), "master-") {
				return nil, errors.New("a master key sees many accounts: make a key for one account, which begins with account-")
			}
			return dialect{c}, nil
		},
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

// dialect sends what is asked in a header, and signs that.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect. The body of a request becomes a part of the
// header, and an empty object is sent in its place.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	payload := fmt.Sprintf(`{"request":%q,"nonce":"%d"`, r.Path, s.Nonce)
	if own := strings.TrimPrefix(r.Body, "{"); own != "" && own != "}" {
		payload += "," + own
	} else {
		payload += "}"
	}
	if !json.Valid([]byte(payload)) {
		return errors.New("the parameters are no JSON object")
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(payload))
	r.Body = "{}"
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Set("X-GEMINI-APIKEY", d.c.Get(venue.FieldKey))
	r.Header.Set("X-GEMINI-PAYLOAD", encoded)
	r.Header.Set("X-GEMINI-SIGNATURE", venue.HexSHA384(d.c.Get(venue.FieldSecret), encoded))
	return nil
}

// Fault implements venue.Dialect.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[struct {
		Result  string `json:"result"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}](a)
	if !said || answer.Result != "error" {
		return nil // a list, or judged by its status
	}
	e := venue.Say(venue.Refused, answer.Reason, answer.Message)
	switch answer.Reason {
	case "InvalidSignature":
		e.Reason, e.Hint = venue.KeyRefused, "the secret does not belong to the key"
	case "InvalidApiKey", "MissingApikeyHeader", "ApiKeyNotFound":
		e.Reason = venue.KeyRefused
	case "InvalidNonce":
		e.Reason, e.Hint = venue.NonceRefused, "another program uses the same key: make a key for this service alone"
	case "MissingRole":
		e.Reason, e.Hint = venue.PermissionMissing, "the key needs the role Auditor"
	case "RateLimit", "RateLimited":
		e.Reason = venue.RateLimited
	case "IpAddressNotAllowed", "InvalidIpAddress":
		e.Reason, e.Hint = venue.AddressRefused, "add the address of this service to those of the key"
	case "Maintenance", "System":
		e.Reason = venue.Maintenance
	default:
		if a.Status == http.StatusTooManyRequests {
			e.Reason = venue.RateLimited
		}
	}
	return e
}

// perPage is the most that Gemini returns.
const perPage = 50

// params writes the parameters of a question about transfers.
func params(since time.Time) string {
	return `{"limit_transfers":` + strconv.Itoa(perPage) + `,"timestamp":` + venue.Millis(since) + `}`
}
