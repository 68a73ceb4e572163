// Package problem says no in one shape: RFC 9457 problem details that also carry
// the fields which clients of the APIs we are compatible with look for.
//
// It is a leaf. Package api installs it below every operation; a surface returns
// a *Problem for what it can explain and any other error for what it cannot, and
// the caller of the latter learns nothing but "internal error".
package problem

import (
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

// ContentType is the media type of a problem (RFC 9457, section 3).
const ContentType = "application/problem+json"

// general is the list for what belongs to no single field.
const general = "generalErrors"

// Problem is an error that the caller may read. Message, Reason and Explained
// repeat each other, since clients of different APIs look in different places.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type       string              `json:"type" doc:"Always about:blank: code tells problems apart" example:"about:blank"`
	Title      string              `json:"title" doc:"The status in words" example:"Not Found"`
	Status     int                 `json:"status" doc:"HTTP status" example:"404"`
	Detail     string              `json:"detail" doc:"What went wrong" example:"Not Found"`
	Code       Code                `json:"code" doc:"Stable code to branch on" example:"not_found"`
	Message    string              `json:"message" doc:"What went wrong" example:"Not Found"`
	Reason     string              `json:"error" doc:"What went wrong" example:"Not Found"`
	Explained  Explained           `json:"error_detail" doc:"Code and message once more"`
	StatusCode int                 `json:"statusCode" doc:"HTTP status once more" example:"404"`
	Errors     map[string][]string `json:"errors" doc:"By field, what is wrong with it; generalErrors for the rest"`

	Venue *Venue `json:"venue,omitempty" doc:"What an exchange or custodial service said; only where it is what went wrong"`

	header http.Header
}

// Venue is what a venue said to a login.
type Venue struct {
	Name    string     `json:"name" example:"bitmart"`
	Reason  string     `json:"reason" doc:"Why, in one word to branch on; docs/venues.md lists them" example:"key_refused"`
	Code    string     `json:"code,omitempty" doc:"The venue's own" example:"30005"`
	Detail  string     `json:"detail,omitempty" doc:"The venue's own words" example:"Header X-BM-SIGN is wrong"`
	Hint    string     `json:"hint,omitempty" doc:"What the user can do about it"`
	RetryAt *time.Time `json:"retry_at,omitempty" doc:"When the venue may be asked again, where it says so"`
}

// Explained is the code and message of a problem as one object.
type Explained struct {
	Code    Code   `json:"code" example:"not_found"`
	Message string `json:"message" example:"Not Found"`
}

// New returns a problem. The message is for the caller: it holds nothing the
// caller sent and nothing secret.
func New(status int, code Code, message string) *Problem {
	return &Problem{
		Type:       "about:blank",
		Title:      http.StatusText(status),
		Status:     status,
		Detail:     message,
		Code:       code,
		Message:    message,
		Reason:     message,
		Explained:  Explained{Code: code, Message: message},
		StatusCode: status,
		Errors:     map[string][]string{},
	}
}

// Invalid returns the problem of one field or parameter that breaks its rule.
func Invalid(field, rule string) *Problem {
	return New(http.StatusBadRequest, InvalidInput, field+": "+rule).Field(field, rule)
}

// Missing returns the problem of a thing that is not there, or is another
// tenant's: the caller cannot tell which.
func Missing() *Problem { return New(http.StatusNotFound, NotFound, "Not Found") }

// Fault returns the problem of everything the caller can do nothing about.
func Fault() *Problem { return New(http.StatusInternalServerError, Internal, "internal error") }

// Field adds a text about one field, or about none if field is "". It returns p.
func (p *Problem) Field(field, text string) *Problem {
	if field == "" {
		field = general
	}
	p.Errors[field] = append(p.Errors[field], text)
	return p
}

// Say sets the message. It returns p.
func (p *Problem) Say(message string) *Problem {
	p.Detail, p.Message, p.Reason, p.Explained.Message = message, message, message, message
	return p
}

// Header adds a header to the answer. It returns p.
func (p *Problem) Header(name, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Add(name, value)
	return p
}

// Error returns the message.
func (p *Problem) Error() string { return p.Message }

// GetStatus returns the HTTP status, as huma asks for it.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders returns the headers of the answer, as huma asks for them.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType returns the media type of a problem, whatever was negotiated.
func (*Problem) ContentType(string) string { return ContentType }

// Write answers a request with p.
func (p *Problem) Write(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Type", ContentType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) //nolint:errchkjson // the caller may be gone; then there is nobody left to tell
}
