// Package htx reads accounts at HTX, which was Huobi.
package htx

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	accountsPath  = "/v1/account/accounts"
	balancePath   = "/v1/account/accounts/{id}/balance"
	transfersPath = "/v1/query/deposit-withdraw"
	ledgerPath    = "/v2/account/ledger"
	valuationPath = "/v2/account/asset-valuation"
	uidPath       = "/v2/user/uid"
	keyPath       = "/v2/user/api-key"
	timePath      = "/v1/common/timestamp"
)

// Venue returns what HTX is.
func Venue() venue.Venue {
	get := func(path string) venue.Route {
		return venue.Route{Method: http.MethodGet, Path: path}
	}
	return venue.Venue{
		Name:  "htx",
		Title: "HTX",
		About: "Deposits, withdrawals and transfers between accounts are read; trades are shown by HTX for two days only, and are not. Contracts are not read.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "Access key", Secret: true},
			{Name: venue.FieldSecret, Title: "Secret key", Hint: "shown once, when the key is made", Secret: true},
		},
		Tick:    []string{"Read-Only"},
		Regions: []venue.Region{{Name: "global", Title: "htx.com", Hosts: map[string]string{"": "https://api.huobi.pro"}}},
		Routes: []venue.Route{
			get(accountsPath), get(balancePath), get(transfersPath), get(ledgerPath), get(valuationPath), get(uidPath), get(keyPath),
			{Method: http.MethodGet, Path: timePath, Budget: "public"},
		},
		Budgets: []venue.Budget{
			{Name: "requests", Scope: venue.PerKey, Limit: 10, Window: time.Second},
			{Name: "public", Scope: venue.PerAddress, Limit: 10, Window: time.Second},
		},
		Clock:       &venue.Clock{Path: timePath, Read: readTime},
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83", Seen: "2026-11"},
			{Part: "balances", By: venue.ByReference, Source: "https://huobiapi.github.io/docs/spot/v1/en/#get-account-balance-of-a-specific-account", Seen: "2026-11"},
			{Part: "deposits", By: venue.ByReference, Source: "https://huobiapi.github.io/docs/spot/v1/en/#search-for-existed-withdraws-and-deposits", Seen: "2026-11"},
			{Part: "withdrawals", By: venue.ByReference, Source: "https://huobiapi.github.io/docs/spot/v1/en/#search-for-existed-withdraws-and-deposits", Seen: "2026-11"},
			{Part: "transfers", By: venue.ByReference, Source: "https://huobiapi.github.io/docs/spot/v1/en/#get-account-ledger", Seen: "2026-11"},
			{Part: "order of deposits in a page", By: venue.Unverified},
			{Part: "sign of what is owed on margin", By: venue.Unverified},
			{Part: "permissions", By: venue.ByReference, Source: "https://huobiapi.github.io/docs/spot/v1/en/#api-key-query", Seen: "2026-11"},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

func readTime(body []byte) (time.Time, error) {
	var answer struct {
		Data venue.Moment `json:"data"`
	}
	if err := venue.Decode(body, &answer); err != nil || answer.Data.IsZero() {
		return time.Time{}, venue.Misread("no time in the answer")
	}
	return answer.Data.Time, nil
}

// dialect signs method, host, path and all parameters, in the order of their names.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect. The host that is signed is the one that is asked:
// behind another name of HTX the signature is another.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	params := venue.P(
		"AccessKeyId", d.c.Get(venue.FieldKey), "SignatureMethod", "HmacSHA256", "SignatureVersion", "2", "Timestamp", s.Time.UTC().Format("2006-01-02T15:04:05"),
	)
	// The names of the parameters proper begin with small letters, which come
	// after the large ones.
	params = append(params, venue.ParseParams(r.Query).Sorted()...)
	query := params.Encode()
	text := strings.Join([]string{r.Method, r.Authority, r.Path, query}, "\n")
	r.Query = query + "&" + venue.P("Signature", venue.Base64SHA256(d.c.Get(venue.FieldSecret), text)).Encode()
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return nil
}

// Fault implements venue.Dialect. The first version of the API says no in words,
// the second in numbers.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[struct {
		Status  string      `json:"status"`
		ErrCode string      `json:"err-code"`
		ErrMsg  string      `json:"err-msg"`
		Code    json.Number `json:"code"`
		Message string      `json:"message"`
	}](a)
	if !said {
		return nil // judged by its status, and then by whoever reads it
	}
	if answer.Status != "error" && (answer.Code == "" || answer.Code == "200") {
		return nil
	}
	e := venue.Say(venue.Refused, answer.ErrCode+answer.Code.String(), answer.ErrMsg+answer.Message)
	words := strings.ToLower(e.Detail)
	switch e.Code {
	case "api-signature-not-valid", "1003", "api-signature-check-failed":
		e.Reason, e.Hint = venue.KeyRefused, "the secret key does not belong to the access key"
		if strings.Contains(words, "time") {
			e.Reason, e.Hint = venue.ClockSkew, ""
		}
	case "login-required", "invalid-access-key", "api-key-invalid", "1002":
		e.Reason = venue.KeyRefused
		if strings.Contains(words, "ip") {
			e.Hint = "the key does not exist, was revoked, or may be used from other addresses only"
		}
	case "gateway-internal-error", "system-maintenance", "500":
		e.Reason = venue.Maintenance
	case "api-not-support-temp-addr", "403", "2003":
		e.Reason = venue.PermissionMissing
	case "too-many-requests", "api-limit", "429", "4000":
		e.Reason = venue.RateLimited
	}
	return e
}
