package guard

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

// ClientOptions are what a client is made with.
type ClientOptions struct {
	// Timeout bounds one request, from the first byte of the name's resolution
	// to the last byte of the answer's body. 0 sets no bound.
	Timeout time.Duration

	// Body is how many bytes of an answer's body can be read; after them the
	// body ends. 0 means none.
	Body int64

	// Conns bounds the idle connections kept to one host. 0 keeps two.
	Conns int

	// Resolver resolves names; nil is the system's.
	Resolver *net.Resolver

	// TLS is what certificates are checked with; nil is the system's. Versions
	// below TLS 1.2 are refused in any case.
	TLS *tls.Config
}

const (
	dialTime    = 10 * time.Second
	idleTime    = 30 * time.Second
	headerBytes = 32 << 10
)

// Client returns an HTTP client whose every connection g has let through. It
// follows no redirect but returns it, and takes no proxy from the environment: a
// proxy would dial in our place. The caller closes idle connections at its end.
func (g *Guard) Client(opts ClientOptions) *http.Client {
	dialer := &net.Dialer{Timeout: dialTime, KeepAlive: idleTime, Resolver: opts.Resolver, Control: g.Control}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if opts.TLS != nil {
		secure = opts.TLS.Clone()
		secure.MinVersion = max(secure.MinVersion, tls.VersionTLS12)
	}
	return &http.Client{
		Timeout: opts.Timeout,
		Transport: bounded{limit: opts.Body, Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        secure,
			TLSHandshakeTimeout:    dialTime,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    opts.Conns,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: headerBytes,
			// A small body may unpack to a large one.
			DisableCompression: true,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bounded is a transport whose answers have short bodies.
type bounded struct {
	*http.Transport
	limit int64
}

// RoundTrip sends one request.
func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.Transport.RoundTrip(request)
	if err != nil {
		return nil, err //nolint:wrapcheck // http.Client says what it was doing
	}
	response.Body = body{Reader: io.LimitReader(response.Body, b.limit), Closer: response.Body}
	return response, nil
}

// body is the beginning of an answer's body.
type body struct {
	io.Reader
	io.Closer
}
