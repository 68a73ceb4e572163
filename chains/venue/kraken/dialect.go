package kraken

import (
	"crypto/sha256"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// dialect signs the path and a hash of the nonce and what is sent.
type dialect struct {
	c   venue.Credentials
	mac func(text string) string // with the decoded secret, which stands nowhere else
}

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	nonce := strconv.FormatUint(s.Nonce, 10)
	body := venue.P("nonce", nonce, fieldOTP, d.c.Get(fieldOTP)).Encode()
	if r.Body != "" {
		body += "&" + r.Body
	}
	r.Body = body
	hash := sha256.Sum256([]byte(nonce + body))
	r.Header.Set("API-Key", d.c.Get(venue.FieldKey))
	r.Header.Set("API-Sign", d.mac(r.Path+string(hash[:])))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return nil
}

// Fault implements venue.Dialect. Kraken says no with status 200.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[struct {
		Error []string `json:"error"`
	}](a)
	if !said {
		return nil // judged by its status, and then by whoever reads it
	}
	for _, text := range answer.Error {
		if strings.HasPrefix(text, "E") { // W is a warning
			return fault(text)
		}
	}
	return nil
}

// lockout is how long Kraken shuts a key out that was wrong too often.
const lockout = 15 * time.Minute

func fault(text string) *venue.Error {
	code, detail, _ := strings.Cut(text, ":")
	e := venue.Say(venue.Refused, code, strings.TrimSpace(detail))
	says := func(words string) bool { return strings.HasPrefix(e.Detail, words) }
	switch {
	case code == "EAPI" && says("Invalid nonce"):
		e.Reason = venue.NonceRefused
		e.Hint = "another program uses the same key: make a key for this service alone"
	case code == "EAPI" && says("Invalid key"):
		e.Reason = venue.KeyRefused
		e.Hint = "the key does not exist, or may be used from other addresses only"
	case code == "EAPI" && says("Invalid signature"):
		e.Reason = venue.KeyRefused
		e.Hint = "the private key does not belong to the API key"
	case code == "EAPI" && says("Rate limit"):
		e.Reason = venue.RateLimited
	case code == "EService" && says("Throttled"):
		e.Reason = venue.RateLimited
		if until, err := venue.ParseMoment(strings.TrimSpace(strings.TrimPrefix(e.Detail, "Throttled:"))); err == nil {
			e.Until = until
		}
	case code == "EGeneral" && says("Temporary lockout"):
		e.Reason, e.Until = venue.Banned, time.Now().Add(lockout)
	case code == "EGeneral" && says("Permission denied"):
		e.Reason = venue.PermissionMissing
	case code == "EAuth":
		e.Reason = venue.AccountClosed
	case code == "EService":
		e.Reason = venue.Maintenance
	}
	return e
}
