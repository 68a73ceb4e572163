package venue

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Reason says why a venue did not answer, in one word that a state can keep.
type Reason string

// The reasons. Those that stop an account need its user: asking again changes
// nothing, and may get the key banned.
const (
	KeyRefused        Reason = "key_refused"        // unknown, revoked or wrong; stops
	KeyExpired        Reason = "key_expired"        // stops
	KeyTooStrong      Reason = "key_too_strong"     // it was given rights beyond reading since it was connected; stops
	AddressRefused    Reason = "address_refused"    // our IP address is not on the key's list; stops
	PermissionMissing Reason = "permission_missing" // the key may not read this
	RegionRefused     Reason = "region_refused"     // the login belongs to another region's host, or ours is not served; stops
	AccountClosed     Reason = "account_closed"     // the venue ended the account; stops
	AccountMode       Reason = "account_mode"       // the account is of a kind that this question does not fit
	ClockSkew         Reason = "clock_skew"         // our clock and the venue's differ, also after it was measured
	NonceRefused      Reason = "nonce_refused"      // another program sends with the same key
	RateLimited       Reason = "rate_limited"       // until Error.Until
	Banned            Reason = "banned"             // our address or the key, until Error.Until
	Blocked           Reason = "blocked"            // a page of the venue's network in place of the venue, until Error.Until
	Maintenance       Reason = "maintenance"        //
	Unreachable       Reason = "unreachable"        // no answer, or half of one
	Vanished          Reason = "vanished"           // its name is gone from the internet
	Unreadable        Reason = "unreadable"         // an answer that is not what its reference says
	NotRead           Reason = "not_read"           // there is something, and tallyd has no way to read it
	Refused           Reason = "refused"            // the venue says no for a reason of its own
)

// Error is what a venue said instead of an answer, or what came between. It
// holds no secret: what others wrote was cleaned of the credentials.
type Error struct {
	Venue  string
	Reason Reason
	Code   string    // the venue's own, "" without
	Detail string    // the venue's own words, bounded and printable
	Hint   string    // what the user can do about it, "" if nothing
	Until  time.Time // when it may be asked again, zero if that is not known
	Status int       // of HTTP, 0 if there was no answer
	Cause  error     // what lies under it, nil if the venue itself said so
}

// Error returns one line with all that is known.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Venue != "" {
		b.WriteString(e.Venue + ": ")
	}
	b.WriteString(string(e.Reason))
	if e.Code != "" {
		b.WriteString(" " + e.Code)
	}
	if e.Status != 0 && e.Status != 200 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	if !e.Until.IsZero() {
		b.WriteString("; not before " + e.Until.UTC().Format(time.RFC3339))
	}
	return b.String()
}

// Words returns what is known beside venue and reason: for where these stand beside
// it. It is "" if that is all.
func (e *Error) Words() string {
	text := e.Detail
	for _, more := range []string{causeText(e.Cause), e.Hint} {
		if more != "" {
			text = strings.TrimPrefix(text+"; "+more, "; ")
		}
	}
	if e.Code != "" {
		text = strings.TrimSuffix(e.Code+": "+text, ": ")
	}
	return text
}

func causeText(cause error) string {
	if cause == nil {
		return ""
	}
	return cause.Error()
}

// Unwrap returns what lies under the error.
func (e *Error) Unwrap() error { return e.Cause }

// Stops reports whether the account is not to be asked again before its user
// has done something. The venue itself goes on.
func (r Reason) Stops() bool {
	switch r {
	case KeyRefused, KeyExpired, KeyTooStrong, AddressRefused, RegionRefused, AccountClosed:
		return true
	default:
		return false
	}
}

// Waits reports whether all that is missing is time.
func (r Reason) Waits() bool {
	switch r {
	case RateLimited, Banned, Blocked, Maintenance, Unreachable, Vanished:
		return true
	default:
		return false
	}
}

// ReasonOf returns the reason in err, or "" if it holds none.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// Say returns an error of a reason with a venue's own code and words.
func Say(reason Reason, code, detail string) *Error {
	return &Error{Reason: reason, Code: code, Detail: detail}
}

// Misread returns the error of an answer that has not the form its reference
// gives it.
func Misread(format string, args ...any) error {
	return &Error{Reason: Unreadable, Detail: plain(fmt.Sprintf(format, args...))}
}

// maxDetail bounds what is repeated of a venue's own words.
const maxDetail = 240

// plain makes the words of others safe to keep and to show.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > maxDetail {
		return string(runes[:maxDetail]) + "…"
	}
	return s
}
