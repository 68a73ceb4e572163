package access

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"tallyd/api/problem"
)

// What callers are refused with. Codes are the same everywhere; statuses and texts
// are those of the surface's documents.

// missing returns the problem of a request without a credential.
func (r Rule) missing() *problem.Problem {
	switch r.Surface {
	case Blockmate:
		return problem.New(http.StatusBadRequest, problem.MissingKey, "missing key in request header")
	case Custody:
		return unauthorized(problem.MissingKey, "Authentication required. Use X-API-Key header")
	case Own:
	}
	return unauthorized(problem.MissingKey, "Authentication required. Use X-Blnk-Key header")
}

// invalid returns the problem of a key that does not exist.
func (r Rule) invalid() *problem.Problem {
	return unauthorized(problem.InvalidKey, r.text("Invalid API key"))
}

// ended returns the problem of a key that was good once.
func (r Rule) ended() *problem.Problem {
	return unauthorized(problem.ExpiredKey, r.text("API key is expired or revoked"))
}

func unsigned() *problem.Problem {
	return unauthorized(problem.SignatureRequired, "The request must be signed: send X-Timestamp and X-Signature")
}

func badSignature() *problem.Problem {
	return unauthorized(problem.InvalidSignature, "Invalid signature")
}

// badForm is the problem of a header that has not the one form it can have.
func badForm(header, form string) *problem.Problem {
	return unauthorized(problem.InvalidSignature, header+" must be "+form).Field(header, "must be "+form)
}

func stale() *problem.Problem {
	return unauthorized(problem.StaleTimestamp,
		"X-Timestamp is more than "+strconv.Itoa(int(SignatureWindow/time.Second))+" seconds from the server's clock")
}

func replayed() *problem.Problem {
	return unauthorized(problem.ReplayedSignature, "The signature was used before: sign again with a later X-Timestamp")
}

// text returns what a surface says of a key that is no good: Blockmate's never says
// why.
func (r Rule) text(text string) string {
	if r.Surface == Blockmate {
		return "Unauthorized"
	}
	return text
}

// forbidden returns the problem of a key that may not do this.
func (r Rule) forbidden() *problem.Problem {
	text := "Insufficient permissions for " + r.Scope
	if r.Master {
		text = "Only the master key may do this"
	}
	return problem.New(http.StatusForbidden, problem.InsufficientScope, text)
}

// badToken returns the problem of a forged or expired user token.
func (r Rule) badToken() *problem.Problem {
	return BadToken(cmp.Or(r.BadUser, http.StatusUnauthorized))
}

// elsewhere returns the problem of a key that may not be used from where it was.
func elsewhere() *problem.Problem {
	return problem.New(http.StatusForbidden, problem.AddressRefused, "The key may not be used from this address")
}

// exhausted returns the problem of a budget that is used up.
func exhausted(b Budget) *problem.Problem {
	return problem.New(http.StatusTooManyRequests, problem.RateLimited, "Too many requests").
		Header("Retry-After", strconv.Itoa(max(1, seconds(b.Retry))))
}

// unknown returns the problem of not being able to tell: the caller may be right,
// and nothing was done.
func unknown() *problem.Problem {
	return unavailable("the store does not answer: nothing was done, try again")
}

// undecided returns the problem of a write that came to no end. A commit whose answer
// is lost may have been one.
func undecided() *problem.Problem {
	return unavailable("the store does not answer: send the request again, with the same Idempotency-Key if it had one")
}

func unavailable(text string) *problem.Problem {
	return problem.New(http.StatusServiceUnavailable, problem.Unavailable, text).Header("Retry-After", "1")
}

// BadToken returns the problem of a forged or expired user token, or of one
// whose user is gone.
func BadToken(status int) *problem.Problem {
	return problem.New(status, problem.InvalidToken, "Invalid token or expired token.").Header("WWW-Authenticate", "Bearer")
}

func unauthorized(code problem.Code, text string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, code, text).Header("WWW-Authenticate", "ApiKey")
}

// seconds rounds up: who waits that long has waited long enough.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
