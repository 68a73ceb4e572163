package keys

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
)

type (
	auditInput struct {
		Caller string `query:"caller" maxLength:"200" doc:"Only this one: id of a key, master, cli, or user: and the id of the user"`
		Before int64  `query:"before" minimum:"0" default:"0" doc:"next of the page before; 0 for the newest entry"`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}
	entryView struct {
		ID        int64     `json:"id"`
		At        time.Time `json:"at"`
		Caller    string    `json:"caller" example:"AbCdEf123456"`
		RequestID uuid.UUID `json:"request_id" format:"uuid" doc:"X-Request-Id of the answer"`
		Method    string    `json:"method" example:"POST"`
		Route     string    `json:"route" example:"/v1/users/{id}"`
		Path      string    `json:"path" doc:"As it was asked for, without the query"`
		Address   *string   `json:"address" nullable:"true" doc:"Where it came from; null if from the operator's command line"`
		Status    int       `json:"status" example:"201"`
		Code      string    `json:"code" doc:"Of the problem; empty if it went well"`
	}
	auditOutput struct {
		Body struct {
			Entries []entryView `json:"entries" nullable:"false" doc:"Newest first"`
			Next    *int64      `json:"next" nullable:"true" doc:"before of the next page, null if there is none"`
		}
	}
)

func (s *surface) mountAudit(api huma.API) {
	op := huma.Operation{
		OperationID: "ListAudit", Method: http.MethodGet, Path: "/v1/audit", Summary: "Who wrote what, and which known keys were refused",
		Tags: []string{"Audit"},
	}
	huma.Register(api, s.Gate.Guard(op, access.Rule{Surface: access.Own, Scope: "audit:read"}), s.listAudit)
}

func (s *surface) listAudit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	// One more than asked for tells whether another page follows.
	found, err := s.Audit.Entries(ctx, access.From(ctx).Realm, in.Caller, in.Before, in.Limit+1)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	out := &auditOutput{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Body.Next = &found[in.Limit-1].ID
	}
	out.Body.Entries = make([]entryView, 0, len(found))
	for _, e := range found {
		v := entryView{
			ID: e.ID, At: e.At, Caller: e.Caller, RequestID: e.RequestID, Method: e.Method, Route: e.Route, Path: e.Path,
			Status: e.Status, Code: e.Code,
		}
		if e.Address.IsValid() {
			address := e.Address.String()
			v.Address = &address
		}
		out.Body.Entries = append(out.Body.Entries, v)
	}
	return out, nil
}
