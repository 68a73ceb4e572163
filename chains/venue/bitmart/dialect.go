package bitmart

import (
	"net/http"
	"strconv"

	"tallyd/chains/venue"
)

// dialect signs time, memo and what is sent.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	at := venue.Millis(s.Time)
	signed := r.Query
	if r.Method == http.MethodPost {
		signed = r.Body
	}
	r.Header.Set("X-BM-KEY", d.c.Get(venue.FieldKey))
	r.Header.Set("X-BM-TIMESTAMP", at)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-BM-SIGN", venue.HexSHA256(d.c.Get(venue.FieldSecret), at+"#"+d.c.Get(venue.FieldMemo)+"#"+signed))
	return nil
}

// Fault implements venue.Dialect.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[struct {
		Code    venue.Text `json:"code"`
		Errno   string     `json:"errno"`
		Message string     `json:"message"`
	}](a)
	if !said {
		return nil // judged by its status, and then by whoever reads it
	}
	if answer.Code == "1000" || answer.Code == "" && answer.Errno == "" {
		return nil
	}
	code := string(answer.Code)
	e := venue.Say(venue.Refused, code, answer.Message)
	switch code {
	case "30001", "30002", "30003", "30004":
		e.Reason = venue.KeyRefused
	case "30005":
		e.Reason = venue.KeyRefused
		e.Hint = "the memo is the text that you typed when you made the key, not your user id; check it, and the secret"
	case "30006", "30007", "30008":
		e.Reason = venue.ClockSkew
	case "30010", "40006":
		e.Reason = venue.AddressRefused
		e.Hint = "the key may be used from other addresses only: add the address of this service to it"
	case "30011":
		e.Reason = venue.KeyExpired
	case "30012", "30019":
		e.Reason = venue.PermissionMissing
	case "30013":
		e.Reason = venue.RateLimited
	case "30017":
		e.Reason = venue.Banned
	case "30014", "30016", "40012":
		e.Reason = venue.Maintenance
	case "40046":
		e.Reason = venue.AccountMode
	}
	return e
}

// Measure implements venue.Meter. What the venue calls remaining is what was used.
func (d dialect) Measure(a venue.Answer) []venue.Usage {
	used, err := strconv.Atoi(a.Header.Get("X-BM-RateLimit-Remaining"))
	if err != nil {
		return nil
	}
	limit, _ := strconv.Atoi(a.Header.Get("X-BM-RateLimit-Limit")) // 0 if it does not say
	return []venue.Usage{{Used: used, Limit: limit}}
}
