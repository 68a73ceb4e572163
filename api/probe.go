package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
)

// probeTime is how long a probe waits for the store: less than any prober's own
// patience.
const probeTime = 2 * time.Second

// Pinger is a store that can say whether it is there.
type Pinger interface {
	// Ping asks the database for an answer and returns nil if one came.
	Ping(ctx context.Context) error
}

type (
	rootInput struct {
		Accept string `header:"Accept" hidden:"true"`
	}
	rootOutput struct {
		Status   int
		Location string `header:"Location" hidden:"true"`
		Body     struct {
			Name    string `json:"name" example:"tallyd"`
			Version string `json:"version"`
			Docs    string `json:"docs" example:"/docs"`
			OpenAPI string `json:"openapi" example:"/openapi.json"`
		}
	}
	healthOutput struct {
		Body struct {
			Status string `json:"status" example:"ok"`
			Secure *bool  `json:"secure,omitempty" doc:"false, if callers from the daemon's machine need no key; absent otherwise"`
		}
	}
	readyOutput struct {
		Body struct {
			Status string            `json:"status" example:"ready"`
			Chains map[string]string `json:"chains" doc:"State of each chain"`
		}
	}
)

func (r *Router) mountProbes() {
	operation := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Tags: []string{"Operation"}}
	}
	root := operation("Root", "/{$}", "What this is")
	// In the document the path is the one a client writes.
	root.Hidden = true
	probe := access.Rule{Public: true, Probe: true}
	huma.Register(r.api, r.cfg.Gate.Guard(root, probe), r.root)
	huma.Register(r.api, r.cfg.Gate.Guard(operation("Health", "/health", "Whether the process serves"), probe), r.health)
	huma.Register(r.api, r.cfg.Gate.Guard(operation("Ready", "/ready", "Whether the store answers and every chain has started"), probe), r.ready)
}

// root names the service, and sends a browser to the documentation.
func (r *Router) root(_ context.Context, in *rootInput) (*rootOutput, error) {
	out := &rootOutput{Status: http.StatusOK}
	out.Body.Name, out.Body.Version = "tallyd", r.cfg.Version
	out.Body.Docs, out.Body.OpenAPI = "/docs", "/openapi.json"
	if strings.Contains(in.Accept, "text/html") {
		out.Status, out.Location = http.StatusFound, "/docs"
	}
	return out, nil
}

// health answers while the process serves, whatever its database does: a
// restart would not help that.
func (r *Router) health(context.Context, *struct{}) (*healthOutput, error) {
	out := &healthOutput{}
	out.Body.Status = "ok"
	if secure := r.cfg.Gate.Secure(); !secure {
		out.Body.Secure = &secure
	}
	return out, nil
}

// ready answers 200 once balances can be served, and 503 with the reasons before.
func (r *Router) ready(ctx context.Context, _ *struct{}) (*readyOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	not := problem.New(http.StatusServiceUnavailable, problem.Unavailable, "not ready")
	if err := r.cfg.Store.Ping(ctx); err != nil {
		problem.TrailOf(ctx).Cause = err
		return nil, not.Field("postgres", "does not answer")
	}
	all, err := r.cfg.Chains.ChainStatuses(ctx)
	if err != nil {
		problem.TrailOf(ctx).Cause = err
		return nil, not.Field("postgres", "cannot read the chains")
	}
	out := &readyOutput{}
	out.Body.Status, out.Body.Chains = "ready", map[string]string{}
	for _, c := range all {
		out.Body.Chains[c.Chain] = c.State
		if c.State == indexer.StateStarting {
			not = not.Field(c.Chain, "starting: no answer from a node yet")
		}
	}
	if len(not.Errors) > 0 {
		return nil, not
	}
	return out, nil
}
