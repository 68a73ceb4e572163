package nft

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tallyd/chains"
)

// maxRedirects is how often a server may send us elsewhere.
const maxRedirects = 3

// maxRetryAfter bounds what a server can ask us to wait.
const maxRetryAfter = 24 * time.Hour

// Config is what a Reader needs.
type Config struct {
	// Client asks servers of strangers; nil for nobody. It must follow no redirect but return it,
	// and refuse addresses that are private with an error that is Refused.
	Client  *http.Client
	Refused error

	// Gateway is where ipfs:// documents are had from, such as
	// http://127.0.0.1:8080; nil for nowhere. GatewayClient is Client for it alone:
	// the operator chose its address.
	Gateway       *url.URL
	GatewayClient *http.Client

	Timeout   time.Duration // for one document, redirects included; 0 for no bound
	MaxBytes  int64         // of a document; 0 for a mebibyte
	AllowHTTP bool          // take http:// too
	Agent     string
}

// Reader reads metadata. It is safe for concurrent use.
type Reader struct{ cfg Config }

// NewReader returns a Reader.
func NewReader(cfg Config) *Reader {
	cfg.MaxBytes = cmp.Or(cfg.MaxBytes, 1<<20)
	return &Reader{cfg: cfg}
}

// Read returns the metadata that stands at uri. Where there is none the error is
// a *chains.DocumentError, whose words may be shown; any other is the context's.
func (r *Reader) Read(ctx context.Context, uri string) (chains.NFTDocument, error) {
	reading := ctx
	if r.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		reading, cancel = context.WithTimeout(ctx, r.cfg.Timeout)
		defer cancel()
	}
	raw, err := r.raw(reading, strings.TrimSpace(uri))
	if err != nil {
		if ctx.Err() != nil {
			return chains.NFTDocument{}, context.Cause(ctx)
		}
		return chains.NFTDocument{}, err
	}
	return parse(raw)
}

func (r *Reader) raw(ctx context.Context, uri string) ([]byte, error) {
	if uri == "" {
		return nil, because("the contract names no metadata")
	}
	if rest, ok := cutScheme(uri, "data"); ok {
		return inline(rest, r.cfg.MaxBytes)
	}
	if len(uri) > maxURL {
		return nil, because("the contract names a URL of more than %d bytes", maxURL)
	}
	if rest, ok := cutScheme(uri, "ipfs"); ok {
		return r.pinned(ctx, strings.TrimPrefix(rest, "//"))
	}
	at, err := url.Parse(uri)
	if err != nil || at.Host == "" || at.User != nil {
		return nil, because("the contract names no URL that can be read")
	}
	return r.fetch(ctx, at, false)
}

// pinned reads a document that is named by its content, through the gateway.
func (r *Reader) pinned(ctx context.Context, path string) ([]byte, error) {
	if r.cfg.Gateway == nil {
		return nil, because("the metadata is on IPFS, and no gateway is configured")
	}
	at, ok := behind(r.cfg.Gateway, path)
	if !ok {
		return nil, because("the contract names no IPFS path that can be read")
	}
	return r.fetch(ctx, at, true)
}

// fetch asks for a URL, and for those that it leads to. trusted says that it is
// the operator's own gateway, which may stand where no stranger may send us.
func (r *Reader) fetch(ctx context.Context, at *url.URL, trusted bool) ([]byte, error) {
	for range maxRedirects + 1 {
		trusted = trusted && at.Scheme == r.cfg.Gateway.Scheme && at.Host == r.cfg.Gateway.Host
		if at.Scheme != "https" && !trusted && (at.Scheme != "http" || !r.cfg.AllowHTTP) {
			return nil, because("metadata is not read by %s", scheme(at.Scheme))
		}
		raw, next, err := r.ask(ctx, at, trusted)
		if err != nil || next == nil {
			return raw, err
		}
		at = next
	}
	return nil, because("its server redirects more than %d times", maxRedirects)
}

// ask sends one request. It returns the body, or where the server says to look.
func (r *Reader) ask(ctx context.Context, at *url.URL, trusted bool) (raw []byte, next *url.URL, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, nil, because("the contract names no URL that can be read")
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", r.cfg.Agent)
	client := r.cfg.Client
	if trusted {
		client = r.cfg.GatewayClient
	}
	if client == nil {
		return nil, nil, because("reading from servers is turned off")
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, nil, r.whyNot(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		next, err := response.Location()
		if err != nil || next.User != nil {
			return nil, nil, because("its server redirects to nowhere")
		}
		return nil, next, nil
	}
	if response.StatusCode != http.StatusOK {
		fault := because("its server answers %d", response.StatusCode)
		fault.Retry = retryAfter(response.Header)
		return nil, nil, fault
	}
	if kind, ok := readable(response.Header.Get("Content-Type")); !ok {
		return nil, nil, because("its server sends %s, not JSON", kind)
	}
	raw, err = io.ReadAll(io.LimitReader(response.Body, r.cfg.MaxBytes+1))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, because("the answer of its server breaks off")
	}
	if err != nil {
		return nil, nil, r.whyNot(err)
	}
	if int64(len(raw)) > r.cfg.MaxBytes {
		return nil, nil, because("it is longer than %d bytes", r.cfg.MaxBytes)
	}
	return raw, nil, nil
}

// whyNot says in few words why a server could not be asked. The words of the error
// itself name addresses that resolvers gave, and are not shown.
func (r *Reader) whyNot(err error) *chains.DocumentError {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case r.cfg.Refused != nil && errors.Is(err, r.cfg.Refused):
		return because("its server has an address that must not be asked")
	case errors.As(err, &dns):
		return because("the name of its server is not known")
	case errors.As(err, &timeout) && timeout.Timeout():
		return because("its server takes too long")
	}
	return because("its server cannot be reached")
}

// readable reports whether a body of a content type may be JSON. Servers call it
// many things; a page or a picture is told by its name.
func readable(contentType string) (kind string, ok bool) {
	if contentType == "" {
		return "", true
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || len(kind) > 64 {
		return "something without a name", false
	}
	switch kind {
	case "application/json", "text/json", "text/plain", "application/octet-stream", "binary/octet-stream", "application/x-json":
		return kind, true
	}
	return clean(kind, 64), strings.HasSuffix(kind, "+json")
}

// retryAfter returns how long a server asks us to wait, 0 if it does not.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 32)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter) //nolint:gosec // 32 bits
}

// because returns the error of a document that cannot be had.
func because(format string, args ...any) *chains.DocumentError {
	return &chains.DocumentError{Reason: fmt.Sprintf(format, args...)}
}
