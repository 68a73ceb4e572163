package rpc

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// ErrUnavailable says that no upstream can be asked now: all of them are
// backing off. The error that wraps it names the last fault of each.
var ErrUnavailable = errors.New("no upstream available")

// ErrTooLarge says that a body was larger than what the caller allowed. It is
// a fault of the upstream.
var ErrTooLarge = errors.New("answer too large")

// Error is an error that the node itself reported in a JSON-RPC answer. It is
// an answer like any other: the upstream stays healthy.
type Error struct {
	Code    int
	Message string // bounded and without control characters
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("node answered %d: %s", e.Code, e.Message) }

// Code returns the JSON-RPC error code in err, or 0 if it holds none.
func Code(err error) int {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return 0
}

// Busy reports whether a node's answer says "not now" rather than "no".
func Busy(err error) bool { return isBusy(Code(err)) }

// StatusError is an HTTP answer that is neither a JSON-RPC answer nor a body
// that was asked for. 404, 400, 405 and 501 are answers to a Get; every other
// one is a fault of the upstream.
type StatusError struct {
	Status int
	Detail string // the first words of the body, bounded and without control characters
}

// Error implements error.
func (e *StatusError) Error() string {
	switch e.Status {
	case 401, 403:
		return fmt.Sprintf("HTTP %d: the node refused the user name or password", e.Status)
	}
	if e.Detail == "" {
		return fmt.Sprintf("HTTP %d", e.Status)
	}
	return fmt.Sprintf("HTTP %d: %s", e.Status, e.Detail)
}

// maxDetail bounds what is repeated of a node's own words.
const maxDetail = 240

// plain makes a node's words safe to log and to show: bounded, printable, and
// without the given secrets.
func plain(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "…")
		}
	}
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

// displayName returns a URL as it may be shown: without user, query and
// fragment, and with path segments that look like a provider's key cut out.
func displayName(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(malformed URL)"
	}
	segments := strings.Split(u.Path, "/")
	for i, segment := range segments {
		if len(segment) >= 16 {
			segments[i] = "…"
		}
	}
	return strings.TrimSuffix(u.Scheme+"://"+u.Host+strings.Join(segments, "/"), "/")
}

// withoutURL returns the cause inside an error of net/http, whose own text
// repeats the URL.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
