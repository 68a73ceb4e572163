package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// BodyLimit is how many bytes of an answer's body are read, and kept.
	BodyLimit = 16 << 10

	// bodyTime is how long an answer's body may take. The status has decided
	// by then: a body that drips changes nothing.
	bodyTime = 2 * time.Second

	headerLimit = 50 // names of an answer's headers that are kept
)

// sender makes single attempts.
type sender struct {
	client  *http.Client
	agent   string
	timeout time.Duration
	refused error // what the client's dialer says of addresses it does not dial
}

// answer is what came back.
type answer struct {
	at      time.Time
	took    time.Duration
	status  int    // 0 if nothing came
	error   string // in words that tell nothing of our network; "" after 2xx
	cause   error  // for the log alone
	headers json.RawMessage
	body    []byte
	retry   time.Duration // what the endpoint asked for
}

// send makes one attempt. It returns when the answer is there, or the timeout is
// over, or ctx has ended.
func (s sender) send(ctx context.Context, c Claimed, keys [][]byte) answer {
	a := answer{at: time.Now(), headers: json.RawMessage("{}")}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.exchange(ctx, cancel, c, keys, &a)
	a.took = time.Since(a.at)
	if err != nil {
		a.error, a.cause = s.explain(err), withoutURL(err)
	} else if a.status < 200 || a.status > 299 {
		a.error = "answered " + strconv.Itoa(a.status)
	}
	return a
}

func (s sender) exchange(ctx context.Context, cancel func(), c Claimed, keys [][]byte, a *answer) error {
	text, err := body(c.Event)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(text))
	if err != nil {
		return err //nolint:wrapcheck // explained below
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", s.agent)
	// Not sent, and present: a connection that the other side closed while it
	// was idle is replaced without counting as an attempt.
	request.Header["Idempotency-Key"] = []string{}
	sign(request.Header, c.Event.ID, a.at, text, keys)
	response, err := s.client.Do(request)
	if err != nil {
		return err //nolint:wrapcheck // explained below
	}
	defer response.Body.Close()
	a.status = response.StatusCode
	a.retry = retryAfter(response.Header, time.Now())
	a.headers = redact(response.Header)
	defer time.AfterFunc(bodyTime, cancel).Stop()
	a.body, _ = io.ReadAll(io.LimitReader(response.Body, BodyLimit))
	return nil
}

// explain says in few words why no answer came. The error itself may hold
// addresses of the operator's network.
func (s sender) explain(err error) string {
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var malformed *url.Error
	timeout, ok := errors.AsType[net.Error](err)
	switch {
	case s.refused != nil && errors.Is(err, s.refused):
		return "the address is not allowed"
	case errors.As(err, &name):
		return "the name cannot be resolved"
	case errors.Is(err, context.DeadlineExceeded), ok && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.As(err, &certificate):
		return "the certificate is not valid"
	case errors.As(err, &malformed) && malformed.Op == "parse":
		return "the URL is malformed"
	}
	return "connection failed"
}

// withoutURL takes the URL out of an error: what stands in it behind the host often
// lets in whoever knows it.
func withoutURL(err error) error {
	if about, ok := errors.AsType[*url.Error](err); ok {
		return about.Err
	}
	return err
}

// redact returns an answer's headers as JSON, without what may be a secret.
func redact(h http.Header) json.RawMessage {
	kept := make(map[string][]string, len(h))
	for name, values := range h {
		if len(kept) == headerLimit {
			break
		}
		lower := strings.ToLower(name)
		for _, word := range []string{"cookie", "auth", "token", "secret", "key", "session", "signature"} {
			if strings.Contains(lower, word) {
				values = []string{"redacted"}
			}
		}
		kept[name] = make([]string, 0, len(values))
		for _, value := range values {
			// Postgres keeps no NUL in JSON.
			kept[name] = append(kept[name], strings.ReplaceAll(value, "\x00", ""))
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return json.RawMessage("{}")
	}
	return text
}
