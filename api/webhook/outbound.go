package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
)

type (
	outboundInput struct {
		Body struct {
			URL string `json:"url" doc:"Where every event is sent" example:"https://example.com/hooks"`
		}
	}
	outboundOutput struct {
		Body outbound
	}
	// outbound is what custody backends know as their webhook.
	outbound struct {
		URL     *string  `json:"url" nullable:"true"`
		Secret  *string  `json:"signingSecret" nullable:"true" doc:"Shown once: when it was made, with the first URL or another one. Deliveries are signed with the bytes that stand in base64 behind whsec_"`
		Types   []string `json:"subscribedEventTypes" nullable:"false"`
		Present bool     `json:"isConfigured"`
	}
)

// mountOutbound adds the endpoint of which a tenant has one. It is one of the
// endpoints, and can be looked at and deleted as such.
func (s *surface) mountOutbound(api huma.API) {
	for _, prefix := range []string{"", "/v1"} {
		suffix := strings.ToUpper(strings.TrimPrefix(prefix, "/"))
		huma.Register(api, s.Gate.Guard(huma.Operation{
			OperationID: "SetOutboundWebhook" + suffix, Method: http.MethodPut, Path: prefix + "/webhooks/outbound", Tags: []string{"Webhooks"},
			Summary:     "Set the URL that events are sent to",
			Description: "Another URL gets another signing secret, and the old one ends. The same URL again enables a disabled endpoint.",
		}, access.Rule{Surface: access.Custody, Scope: "webhooks:write", Signed: true}), s.setOutbound)
		huma.Register(api, s.Gate.Guard(huma.Operation{
			OperationID: "GetOutboundWebhook" + suffix, Method: http.MethodGet, Path: prefix + "/webhooks/outbound", Tags: []string{"Webhooks"},
			Summary: "Get the URL that events are sent to",
		}, access.Rule{Surface: access.Custody, Scope: "webhooks:read", Signed: true}), s.getOutbound)
	}
}

func (s *surface) outbound(e *Endpoint, key []byte) *outboundOutput {
	out := &outboundOutput{Body: outbound{Types: []string{}}}
	if e != nil {
		out.Body.URL, out.Body.Present = &e.URL, true
		out.Body.Types = slices.DeleteFunc(slices.Clone(s.known), func(name string) bool { return !Wants(e.Events, name) })
	}
	if key != nil {
		text := Text(key)
		out.Body.Secret = &text
	}
	return out
}

func (s *surface) getOutbound(ctx context.Context, _ *struct{}) (*outboundOutput, error) {
	e, err := s.Endpoints.OutboundEndpoint(ctx, realmOf(ctx))
	if errors.Is(err, indexer.ErrNotFound) {
		return s.outbound(nil, nil), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read outbound endpoint: %w", err)
	}
	return s.outbound(&e, nil), nil
}

func (s *surface) setOutbound(ctx context.Context, in *outboundInput) (*outboundOutput, error) {
	if err := s.checkURL(in.Body.URL); err != nil {
		return nil, err
	}
	realm := realmOf(ctx)
	e, err := s.Endpoints.OutboundEndpoint(ctx, realm)
	if errors.Is(err, indexer.ErrNotFound) {
		key := NewKey()
		made := Endpoint{ID: uuid.New(), Realm: realm, Outbound: true, URL: in.Body.URL, Concurrency: DefaultConcurrency, CreatedBy: access.From(ctx).Name()}
		made, err = s.Endpoints.CreateEndpoint(ctx, made, key)
		switch {
		case err == nil:
			return s.outbound(&made, key), nil
		case errors.Is(err, indexer.ErrNotFound):
			return nil, problem.Invalid("X-Tenant", "no such tenant")
		case !errors.Is(err, indexer.ErrExists):
			return nil, edge("create outbound endpoint", err)
		}
		// Another request made it at this moment.
		e, err = s.Endpoints.OutboundEndpoint(ctx, realm)
	}
	if err != nil {
		return nil, edge("read outbound endpoint", err)
	}
	moved := false
	e, err = s.Endpoints.ChangeEndpoint(ctx, realm, e.ID, func(e *Endpoint) error {
		moved = e.URL != in.Body.URL
		e.URL = in.Body.URL
		e.Enable()
		return nil
	})
	if err != nil {
		return nil, edge("change outbound endpoint", err)
	}
	if !moved {
		return s.outbound(&e, nil), nil
	}
	key := NewKey()
	if err := s.Endpoints.RotateSecret(ctx, realm, e.ID, key, 0); err != nil {
		return nil, edge("renew signing secret", err)
	}
	return s.outbound(&e, key), nil
}
