package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
)

// defaultOverlap is how long an old secret signs beside the new one.
const defaultOverlap = 24 * time.Hour

// EndpointView is an endpoint as its owner sees it. It is exported for the document,
// which leaves out what is embedded and unexported.
type EndpointView struct {
	ID             uuid.UUID  `json:"id" format:"uuid"`
	URL            string     `json:"url"`
	Description    string     `json:"description"`
	Events         []string   `json:"events" nullable:"false" doc:"Types of events, or prefixes such as transfer.*; empty means all"`
	Ordered        bool       `json:"ordered_by_resource"`
	Concurrency    int        `json:"concurrency"`
	Outbound       bool       `json:"outbound" doc:"It is the one of /webhooks/outbound"`
	State          string     `json:"state" enum:"active,failing,disabled"`
	DisabledAt     *time.Time `json:"disabled_at" nullable:"true"`
	DisabledReason string     `json:"disabled_reason" enum:",caller,gone" doc:"gone: it answered 410"`
	FailingSince   *time.Time `json:"failing_since" nullable:"true"`
	FailingError   string     `json:"failing_error" doc:"What the attempt said that made it failing"`
	CreatedAt      time.Time  `json:"created_at"`
	CreatedBy      string     `json:"created_by" doc:"Id of the API key, or master"`
}

func view(e Endpoint) EndpointView {
	return EndpointView{
		ID: e.ID, URL: e.URL, Description: e.Description, Events: append([]string{}, e.Events...), Ordered: e.Ordered,
		Concurrency: e.Concurrency, Outbound: e.Outbound, State: e.State(), DisabledAt: e.DisabledAt, DisabledReason: e.DisabledReason,
		FailingSince: e.FailingSince, FailingError: e.FailingError, CreatedAt: e.CreatedAt, CreatedBy: e.CreatedBy,
	}
}

type (
	// EndpointPath names an endpoint. It is exported for the router, which
	// fills in exported parts of an input only.
	EndpointPath struct {
		ID uuid.UUID `path:"id" format:"uuid" doc:"Id of the endpoint"`
	}
	createEndpointInput struct {
		Body struct {
			URL         string   `json:"url" doc:"Where events are sent" example:"https://example.com/hooks"`
			Description string   `json:"description,omitempty" maxLength:"500" doc:"For your own use"`
			Events      []string `json:"events,omitempty" maxItems:"100" doc:"Types of events, or prefixes such as transfer.*; empty means all"`
			Ordered     bool     `json:"ordered_by_resource,omitempty" doc:"An event waits until the earlier ones of its resource are done"`
			Concurrency int      `json:"concurrency,omitempty" minimum:"1" maximum:"256" default:"16" doc:"Requests at once, of each daemon"`
		}
	}
	updateEndpointInput struct {
		EndpointPath
		Body struct {
			URL         *string   `json:"url,omitempty"`
			Description *string   `json:"description,omitempty" maxLength:"500"`
			Events      *[]string `json:"events,omitempty" maxItems:"100"`
			Ordered     *bool     `json:"ordered_by_resource,omitempty"`
			Concurrency *int      `json:"concurrency,omitempty" minimum:"1" maximum:"256"`
			Disabled    *bool     `json:"disabled,omitempty" doc:"Events are kept meanwhile, and sent when it is enabled"`
		}
	}
	rotateInput struct {
		EndpointPath
		Body *struct {
			Overlap *int64 `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long old secrets sign beside the new one; 86400 unless given"`
		}
	}
	listEndpointsInput struct {
		After string `query:"after" format:"uuid" doc:"next of the page before"`
		Limit int    `query:"limit" minimum:"1" maximum:"500" default:"500" doc:"Endpoints on a page"`
	}
	endpointOutput       struct{ Body EndpointView }
	createEndpointOutput struct {
		Body struct {
			EndpointView
			Secret string `json:"secret" doc:"Shown once"`
		}
	}
	secretOutput struct {
		Body struct {
			Secret string `json:"secret" doc:"Shown once"`
		}
	}
	endpointsOutput struct {
		Body struct {
			Endpoints []waitingView `json:"endpoints" nullable:"false" doc:"Oldest first"`
			Next      *uuid.UUID    `json:"next" format:"uuid" nullable:"true" doc:"after of the next page, null if there is none"`
		}
	}
	waitingView struct {
		EndpointView
		Waiting int64 `json:"waiting" doc:"Deliveries that are still to be made"`
	}
	noContent struct{}
)

func (s *surface) mountEndpoints(api huma.API) {
	create := s.own("CreateWebhookEndpoint", http.MethodPost, "", "write", "Add an endpoint")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, s.createEndpoint)
	huma.Register(api, s.own("ListWebhookEndpoints", http.MethodGet, "", "read", "List endpoints"), s.listEndpoints)
	huma.Register(api, s.own("GetWebhookEndpoint", http.MethodGet, "/{id}", "read", "Get an endpoint"), s.getEndpoint)
	huma.Register(api, s.own("UpdateWebhookEndpoint", http.MethodPatch, "/{id}", "write", "Change an endpoint"), s.updateEndpoint)
	remove := s.own("DeleteWebhookEndpoint", http.MethodDelete, "/{id}", "delete", "Delete an endpoint and drop what waits for it")
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(api, remove, s.deleteEndpoint)
	huma.Register(api, s.own("RotateWebhookSecret", http.MethodPost, "/{id}/secret/rotate", "write", "Get a new signing secret"), s.rotateSecret)
	huma.Register(api, s.own("EnableWebhookEndpoint", http.MethodPost, "/{id}/enable", "write", "Send again, and what was kept meanwhile"), s.enableEndpoint)
	huma.Register(api, s.own("DisableWebhookEndpoint", http.MethodPost, "/{id}/disable", "write", "Keep events back until it is enabled"), s.disableEndpoint)
}

func (s *surface) createEndpoint(ctx context.Context, in *createEndpointInput) (*createEndpointOutput, error) {
	if err := s.checkURL(in.Body.URL); err != nil {
		return nil, err
	}
	if err := s.checkEvents(in.Body.Events); err != nil {
		return nil, err
	}
	key := NewKey()
	e, err := s.Endpoints.CreateEndpoint(ctx, Endpoint{
		ID: uuid.New(), Realm: realmOf(ctx), URL: in.Body.URL, Description: in.Body.Description, Events: in.Body.Events,
		Ordered: in.Body.Ordered, Concurrency: in.Body.Concurrency, CreatedBy: access.From(ctx).Name(),
	}, key)
	if errors.Is(err, indexer.ErrNotFound) {
		return nil, problem.Invalid("X-Tenant", "no such tenant")
	}
	if err != nil {
		return nil, edge("create endpoint", err)
	}
	out := &createEndpointOutput{}
	out.Body.EndpointView, out.Body.Secret = view(e), Text(key)
	return out, nil
}

func (s *surface) listEndpoints(ctx context.Context, in *listEndpointsInput) (*endpointsOutput, error) {
	var after *uuid.UUID
	if in.After != "" {
		id, err := uuid.Parse(in.After)
		if err != nil {
			return nil, problem.Invalid("after", "expected an id")
		}
		after = &id
	}
	all, waiting, err := s.Endpoints.Endpoints(ctx, realmOf(ctx), after, in.Limit+1)
	switch {
	case errors.Is(err, indexer.ErrNotFound):
		return nil, problem.Invalid("after", "no such endpoint")
	case err != nil:
		return nil, fmt.Errorf("list endpoints: %w", err)
	}
	out := &endpointsOutput{}
	if len(all) > in.Limit {
		all = all[:in.Limit]
		out.Body.Next = &all[in.Limit-1].ID
	}
	out.Body.Endpoints = make([]waitingView, 0, len(all))
	for _, e := range all {
		out.Body.Endpoints = append(out.Body.Endpoints, waitingView{EndpointView: view(e), Waiting: waiting[e.ID]})
	}
	return out, nil
}

func (s *surface) getEndpoint(ctx context.Context, in *EndpointPath) (*endpointOutput, error) {
	e, err := s.Endpoints.Endpoint(ctx, realmOf(ctx), in.ID)
	if err != nil {
		return nil, edge("read endpoint", err)
	}
	return &endpointOutput{Body: view(e)}, nil
}

func (s *surface) updateEndpoint(ctx context.Context, in *updateEndpointInput) (*endpointOutput, error) {
	b := in.Body
	if b.URL != nil {
		if err := s.checkURL(*b.URL); err != nil {
			return nil, err
		}
	}
	if b.Events != nil {
		if err := s.checkEvents(*b.Events); err != nil {
			return nil, err
		}
	}
	return s.change(ctx, in.ID, func(e *Endpoint) error {
		if e.Outbound && b.URL != nil && *b.URL != e.URL {
			return problem.Invalid("url", "this is the endpoint of /webhooks/outbound: PUT another URL there, which gets another secret")
		}
		set(&e.URL, b.URL)
		set(&e.Description, b.Description)
		set(&e.Events, b.Events)
		set(&e.Ordered, b.Ordered)
		set(&e.Concurrency, b.Concurrency)
		switch {
		case b.Disabled == nil:
		case *b.Disabled:
			e.Disable(DisabledByCaller, time.Now())
		default:
			e.Enable()
		}
		return nil
	})
}

// set assigns a value if there is one.
func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s *surface) enableEndpoint(ctx context.Context, in *EndpointPath) (*endpointOutput, error) {
	return s.change(ctx, in.ID, func(e *Endpoint) error {
		e.Enable()
		return nil
	})
}

func (s *surface) disableEndpoint(ctx context.Context, in *EndpointPath) (*endpointOutput, error) {
	return s.change(ctx, in.ID, func(e *Endpoint) error {
		e.Disable(DisabledByCaller, time.Now())
		return nil
	})
}

func (s *surface) change(ctx context.Context, id uuid.UUID, edit func(*Endpoint) error) (*endpointOutput, error) {
	e, err := s.Endpoints.ChangeEndpoint(ctx, realmOf(ctx), id, edit)
	if err != nil {
		return nil, edge("change endpoint", err)
	}
	return &endpointOutput{Body: view(e)}, nil
}

func (s *surface) deleteEndpoint(ctx context.Context, in *EndpointPath) (*noContent, error) {
	if err := s.Endpoints.DeleteEndpoint(ctx, realmOf(ctx), in.ID); err != nil {
		return nil, edge("delete endpoint", err)
	}
	return &noContent{}, nil
}

func (s *surface) rotateSecret(ctx context.Context, in *rotateInput) (*secretOutput, error) {
	overlap := defaultOverlap
	if in.Body != nil && in.Body.Overlap != nil {
		overlap = time.Duration(*in.Body.Overlap) * time.Second
	}
	key := NewKey()
	if err := s.Endpoints.RotateSecret(ctx, realmOf(ctx), in.ID, key, overlap); err != nil {
		return nil, edge("rotate signing secret", err)
	}
	out := &secretOutput{}
	out.Body.Secret = Text(key)
	return out, nil
}
