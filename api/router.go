package api

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"tallyd/api/access"
	"tallyd/api/problem"
)

const (
	// defaultBodyLimit is the largest request body unless the operator says
	// otherwise. The largest legitimate one is a descriptor of some kilobytes.
	defaultBodyLimit = 64 << 10

	// answerTime is how long one request may take. It lies below the write
	// timeout of the server, so that the caller still gets a problem.
	answerTime = 20 * time.Second
)

// Config is what the router needs.
type Config struct {
	Version string
	Log     zerolog.Logger
	Gate    *access.Gate
	Events  Events
	Chains  Chains
	Store   Pinger

	// Streams are the paths whose answers take as long as their reader likes.
	Streams []string

	BodyLimit int64  // bytes of the largest request body; 64 KiB if 0
	PublicURL string // the address clients know the API by, for the document; "" for the one they came to

	// Metrics collects what /metrics shows. The router registers its own
	// collectors with it, so it serves one router only.
	Metrics *prometheus.Registry
}

// Router serves all surfaces. Surfaces are mounted on its Operations; from the
// first request on nothing is added.
type Router struct {
	cfg     Config
	mux     *http.ServeMux
	api     huma.API
	traffic *traffic
	routes  []string
	spec    func() []byte
	longest int64 // body that any operation takes, and one byte
}

// New returns a router with the operations that belong to no surface.
func New(cfg Config) (*Router, error) {
	r := &Router{cfg: cfg, mux: http.NewServeMux()}
	r.cfg.BodyLimit = cmp.Or(cfg.BodyLimit, defaultBodyLimit)
	r.longest = r.cfg.BodyLimit + 1
	var err error
	if r.traffic, err = newTraffic(cfg.Metrics, cfg.Chains); err != nil {
		return nil, err
	}
	doc := huma.DefaultConfig("tallyd", cfg.Version)
	doc.Info.Description = "What every connected account holds, proven block by block."
	if cfg.PublicURL != "" {
		doc.Servers = []*huma.Server{{URL: cfg.PublicURL}}
	}
	doc.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	doc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		access.SchemeKey:       {Type: "apiKey", In: "header", Name: "X-API-Key", Description: "API key of a tenant, or the master key. X-Blnk-Key is another name of this header"},
		access.SchemeTimestamp: {Type: "apiKey", In: "header", Name: "X-Timestamp", Description: "Unix seconds, within 30 of the server's"},
		access.SchemeSignature: {Type: "apiKey", In: "header", Name: "X-Signature", Description: "HMAC-SHA256 with the secret of a signed key over timestamp, method, path and SHA-256 of the body, one to a line, in lower-case hex"},
		access.SchemeUser:      {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "Token from /v1/users/{id}/auth"},
	}
	// The page that huma would serve loads its scripts from elsewhere, and its
	// hooks add a $schema to every body.
	doc.OpenAPIPath, doc.DocsPath, doc.SchemasPath, doc.CreateHooks = "", "", "", nil
	doc.AllowAdditionalPropertiesByDefault = true
	doc.Formats = map[string]huma.Format{"application/json": problem.StrictJSON(), "json": problem.StrictJSON()}
	problem.Install(&doc)
	doc.OnAddOperation = append(doc.OnAddOperation, func(_ *huma.OpenAPI, op *huma.Operation) {
		// What an operation says is its own, be it more or less than the operator's.
		if op.MaxBodyBytes == access.BodyUnsaid {
			op.MaxBodyBytes = r.cfg.BodyLimit
		}
		op.MaxBodyBytes++ // the library refuses a body as long as the limit
		r.longest = max(r.longest, op.MaxBodyBytes)
	})
	r.api = humago.New(routeRecorder{r}, doc)
	r.api.UseMiddleware(problem.Middleware)
	r.spec = sync.OnceValue(func() []byte {
		problem.Prune(r.api.OpenAPI())
		// The document holds nothing that cannot be encoded.
		raw, _ := json.Marshal(r.api.OpenAPI())
		return raw
	})
	r.mountProbes()
	r.mountKeys()
	r.mountChains()
	r.mountEvents()
	r.mountPages()
	return r, nil
}

// Operations returns where surfaces mount their operations.
func (r *Router) Operations() huma.API { return r.api } //nolint:ireturn // the router's own type is hidden by its library

// Routes returns every pattern that is served, sorted.
func (r *Router) Routes() []string { return slices.Sorted(slices.Values(r.routes)) }

// routeRecorder is the mux as the surfaces see it.
type routeRecorder struct{ r *Router }

// HandleFunc adds a route. One without a rule is a mistake in the program.
func (m routeRecorder) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	if !m.r.cfg.Gate.Ruled(pattern) {
		panic("no rule says who may call " + pattern)
	}
	m.r.routes = append(m.r.routes, pattern)
	m.r.mux.HandleFunc(pattern, handler)
}

// ServeHTTP serves a request without the router's limits.
func (m routeRecorder) ServeHTTP(w http.ResponseWriter, req *http.Request) { m.r.mux.ServeHTTP(w, req) }

// mountPages adds what is not an operation.
func (r *Router) mountPages() {
	page := access.Rule{Public: true}
	r.page("GET /openapi.json", page, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(r.spec())
	})
	metrics := promhttp.HandlerFor(r.cfg.Metrics, promhttp.HandlerOpts{})
	r.page("GET /metrics", access.Rule{Public: true, Probe: true}, metrics.ServeHTTP)
	r.mountDocs(page)
}

// page adds a route that is no operation.
func (r *Router) page(pattern string, rule access.Rule, serve http.HandlerFunc) {
	routeRecorder{r}.HandleFunc(pattern, r.cfg.Gate.Page(pattern, rule, serve))
}

// ServeHTTP serves one request: within the limits, with one line in the log, and
// with a problem for whatever goes wrong.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	began := time.Now()
	ctx := req.Context()
	if !slices.Contains(r.cfg.Streams, req.URL.Path) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
	}
	trail := &problem.Trail{Request: uuid.New()}
	id := trail.Request.String()
	out := &response{ResponseWriter: w}
	secure(out.Header())
	out.Header().Set("X-Request-Id", id)
	req = req.WithContext(problem.WithTrail(ctx, trail))
	req.Body = http.MaxBytesReader(out, req.Body, r.longest)

	inner, pattern := r.mux.Handler(req)
	defer func() {
		fault := recover()
		if fault != nil && fault != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			trail.Cause = fmt.Errorf("panic: %v", fault)
			if !out.written {
				problem.Fault().Write(out)
			}
		}
		r.finish(out, req, pattern, id, trail, time.Since(began))
		if fault == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
			panic(fault)
		}
	}()
	if unclean(req.URL.Path) {
		pattern = ""
		problem.New(http.StatusNotFound, problem.NoRoute, "Not Found: the path has an empty part, or one of dots").Write(out)
		return
	}
	if pattern == "" && unrouted(out, req, inner) {
		return
	}
	// The handler found above lacks the values of the path.
	r.mux.ServeHTTP(out, req)
}

// unclean reports whether a path is another spelling of a shorter one. The mux would
// redirect to that, where the signature of the first is a bad one.
func unclean(text string) bool {
	clean := path.Clean(text)
	if clean != "/" && strings.HasSuffix(text, "/") {
		clean += "/"
	}
	return text != clean
}

// unrouted answers for the mux where it has no route, which it would do in plain
// text.
func unrouted(w http.ResponseWriter, req *http.Request, inner http.Handler) bool {
	plain := httptest.NewRecorder()
	inner.ServeHTTP(plain, req)
	switch plain.Code {
	case http.StatusMethodNotAllowed:
		problem.New(plain.Code, problem.MethodNotAllowed, "Method Not Allowed").
			Header("Allow", plain.Header().Get("Allow")).Write(w)
		return true
	case http.StatusNotFound:
		problem.New(plain.Code, problem.NoRoute, "Not Found").Write(w)
		return true
	}
	return false
}

// finish counts a request and writes its line.
func (r *Router) finish(out *response, req *http.Request, pattern, id string, trail *problem.Trail, took time.Duration) {
	_, route, found := strings.Cut(pattern, " ")
	if !found {
		route = "none"
	}
	r.traffic.count(req.Method, route, out.code(), took)
	if trail.Refused != "" {
		r.traffic.refusals.WithLabelValues(string(trail.Refused)).Inc()
	}
	level, cause := zerolog.InfoLevel, trail.Cause
	switch {
	case out.code() >= http.StatusInternalServerError:
		level = zerolog.ErrorLevel
	case !strings.HasPrefix(route, "/v1/"):
		level = zerolog.DebugLevel
	}
	r.cfg.Log.WithLevel(level).Err(cause).Str("request_id", id).Str("method", req.Method).Str("route", route).
		Int("status", out.code()).Int64("bytes", out.size).Dur("duration_ms", took).
		Str("caller", trail.Caller).Msg("request served")
}

// secure sets the headers every answer carries. An API's answers are nobody's
// document, frame or cache entry.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// response remembers what was answered.
type response struct {
	http.ResponseWriter
	status  int
	size    int64
	written bool
}

// WriteHeader writes the status line.
func (w *response) WriteHeader(status int) {
	if !w.written {
		w.status, w.written = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body.
func (w *response) Write(b []byte) (int, error) {
	if !w.written {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.size += int64(n)
	return n, err //nolint:wrapcheck // an http.ResponseWriter returns what the one below it does
}

// Unwrap returns the writer below, for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *response) code() int {
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}
