package binance

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// recvWindow is how old a request may be when it arrives, in milliseconds.
const recvWindow = "10000"

// dialect signs all parameters, wherever they stand.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	r.Header.Set("X-MBX-APIKEY", d.c.Get(venue.FieldKey))
	params := &r.Query
	if r.Method == http.MethodPost {
		params = &r.Body
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	signed := "timestamp=" + venue.Millis(s.Time)
	if *params != "" {
		signed += "&" + *params
	}
	signed += "&recvWindow=" + recvWindow
	*params = signed + "&signature=" + venue.HexSHA256(d.c.Get(venue.FieldSecret), signed)
	return nil
}

// Fault implements venue.Dialect. Codes of errors are negative.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[struct {
		Code    venue.Text `json:"code"`
		Msg     string     `json:"msg"`
		Success *bool      `json:"success"`
	}](a)
	if !said || !strings.HasPrefix(string(answer.Code), "-") {
		return nil // a list, or judged by its status
	}
	e := venue.Say(venue.Refused, string(answer.Code), answer.Msg)
	switch string(answer.Code) {
	case "-1003", "-1015", "-1034":
		e.Reason = venue.RateLimited
		if until := bannedUntil(answer.Msg); !until.IsZero() || a.Status == http.StatusTeapot {
			e.Reason, e.Until = venue.Banned, until
		}
	case "-1021":
		e.Reason = venue.ClockSkew
	case "-1022":
		e.Reason, e.Hint = venue.KeyRefused, "the secret key does not belong to the API key"
	case "-2008", "-2014", "-1002":
		e.Reason = venue.KeyRefused
	case "-2015":
		e.Reason = venue.KeyRefused
		e.Hint = "the key does not exist here, or lacks Enable Reading, or may be used from other addresses only; Binance says the same for all three"
	case "-3003", "-4109", "-11001":
		e.Reason = venue.AccountMode
	case "-1000", "-1001", "-1006", "-1007", "-1008", "-1016":
		e.Reason = venue.Maintenance
	}
	return e
}

// bannedUntil finds the time in "IP banned until 1700000000000".
func bannedUntil(msg string) time.Time {
	_, after, found := strings.Cut(msg, "until ")
	if !found {
		return time.Time{}
	}
	digits := strings.TrimRight(strings.Fields(after + " .")[0], ".,;")
	if _, err := strconv.ParseInt(digits, 10, 64); err != nil {
		return time.Time{}
	}
	until, _ := venue.ParseMoment(digits) // digits only
	return until
}

// Measure implements venue.Meter.
func (d dialect) Measure(a venue.Answer) []venue.Usage {
	own := "spot"
	switch {
	case strings.HasPrefix(a.Path, "/fapi"), strings.HasPrefix(a.Path, "/dapi"), strings.HasPrefix(a.Path, "/papi"):
		own = "futures"
	case strings.HasPrefix(a.Path, "/sapi"):
		own = "sapi"
	}
	var usages []venue.Usage
	for header, budget := range map[string]string{
		"X-Mbx-Used-Weight-1m": own, "X-Sapi-Used-Ip-Weight-1m": "sapi", "X-Sapi-Used-Uid-Weight-1m": "uid",
	} {
		if used, err := strconv.Atoi(a.Header.Get(header)); err == nil {
			usages = append(usages, venue.Usage{Budget: budget, Used: used})
		}
	}
	return usages
}
