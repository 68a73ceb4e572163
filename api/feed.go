package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/indexer"
)

// Events reads numbered events.
type Events interface {
	// EventsAfter returns up to limit events of a realm with a number above
	// after, ascending, or none. Events that are not numbered yet are left
	// out, so a reader that is past a number never misses a lower one.
	EventsAfter(ctx context.Context, realm indexer.Realm, after int64, limit int) ([]indexer.Event, error)
}

type (
	eventsInput struct {
		After int64 `query:"after" minimum:"0" default:"0" doc:"next of the page before; 0 for the beginning"`
		Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Events on a page"`
	}
	event struct {
		Seq             int64           `json:"seq" doc:"Number of the event: ascending, with gaps where other tenants' events stand"`
		ID              uuid.UUID       `json:"id" format:"uuid" doc:"Stays the same however often the event is read"`
		Type            string          `json:"type" example:"transfer.confirmed"`
		Chain           string          `json:"chain" example:"btc"`
		AccountID       *uuid.UUID      `json:"account_id" format:"uuid" nullable:"true"`
		ResourceID      string          `json:"resource_id" doc:"What changed"`
		ResourceVersion int64           `json:"resource_version" doc:"Ascending for one resource_id among types that begin with the same word, up to the dot: a lower one is older"`
		Data            json.RawMessage `json:"data" doc:"The resource as it was after the change"`
		OccurredAt      time.Time       `json:"occurred_at"`
	}
	eventsOutput struct {
		Body struct {
			Events []event `json:"events" nullable:"false"`
			Next   int64   `json:"next" doc:"after of the next page: the number of the last event, or after itself if there is none"`
		}
	}
)

func (r *Router) mountEvents() {
	huma.Register(r.api, r.cfg.Gate.Guard(huma.Operation{
		OperationID: "ListEvents", Method: http.MethodGet, Path: "/v1/events",
		Summary:     "Events after a number",
		Description: "A pull feed. Ask again with after=next; an empty page means that nothing happened since.",
		Tags:        []string{"Events"},
	}, access.Rule{Surface: access.Own, Scope: "events:read"}), r.listEvents)
}

func (r *Router) listEvents(ctx context.Context, in *eventsInput) (*eventsOutput, error) {
	found, err := r.cfg.Events.EventsAfter(ctx, access.From(ctx).Realm, in.After, in.Limit)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	out := &eventsOutput{}
	out.Body.Events, out.Body.Next = make([]event, 0, len(found)), in.After
	for _, e := range found {
		data := e.Data
		if len(data) == 0 {
			data = json.RawMessage("null")
		}
		out.Body.Events = append(out.Body.Events, event{
			Seq: e.Seq, ID: e.ID, Type: e.Type, Chain: e.Chain, AccountID: e.AccountID,
			ResourceID: e.ResourceID, ResourceVersion: e.ResourceVersion, Data: data,
			OccurredAt: e.OccurredAt.UTC(),
		})
		out.Body.Next = e.Seq
	}
	return out, nil
}
