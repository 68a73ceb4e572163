package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/problem"
)

type (
	// DeliveryPath names a delivery by its endpoint and event. It is exported
	// for the router.
	DeliveryPath struct {
		EndpointPath
		Event uuid.UUID `path:"event" format:"uuid" doc:"Id of the event"`
	}
	deliveriesInput struct {
		EndpointPath
		State    State  `query:"state" enum:"waiting,sending,retrying,delivered,failed"`
		Type     string `query:"type" doc:"Type of the event"`
		Resource string `query:"resource_id"`
		Before   int64  `query:"before" minimum:"0" default:"0" doc:"next of the page before; 0 for the newest event"`
		Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}
	// DeliveryView is a delivery as its owner sees it. It is exported for the
	// document.
	DeliveryView struct {
		Event           uuid.UUID  `json:"event_id" format:"uuid"`
		Sequence        int64      `json:"sequence"`
		Type            string     `json:"type"`
		ResourceID      string     `json:"resource_id"`
		ResourceVersion int64      `json:"resource_version"`
		OccurredAt      time.Time  `json:"occurred_at"`
		State           State      `json:"state" enum:"waiting,sending,retrying,delivered,failed"`
		Attempts        int        `json:"attempts" doc:"How many were begun"`
		NextAttemptAt   *time.Time `json:"next_attempt_at" nullable:"true" doc:"Not before then; null while it is sent and when it is done"`
		CreatedAt       time.Time  `json:"created_at"`
		DoneAt          *time.Time `json:"done_at" nullable:"true"`
	}
	deliveriesOutput struct {
		Body struct {
			Deliveries []DeliveryView `json:"deliveries" nullable:"false" doc:"Newest event first"`
			Next       *int64         `json:"next" nullable:"true" doc:"before of the next page, null if there is none"`
		}
	}
	attemptView struct {
		Number   int       `json:"number"`
		At       time.Time `json:"at"`
		Duration int64     `json:"duration_ms"`
		URL      string    `json:"url"`
		Error    string    `json:"error" doc:"Why it does not count as delivered, empty if it does"`
		Request  struct {
			Headers map[string]string `json:"headers" doc:"Signatures are redacted"`
		} `json:"request"`
		Response *responseView `json:"response,omitempty" doc:"Absent if there was none"`
	}
	responseView struct {
		Status  int             `json:"status"`
		Headers json.RawMessage `json:"headers" doc:"By name a list of values; what may be a secret is redacted"`
		Body    string          `json:"body" doc:"The first 16 KiB"`
	}
	deliveryOutput struct {
		Body struct {
			DeliveryView
			Log []attemptView `json:"log" nullable:"false" doc:"Every attempt, oldest first"`
		}
	}
	queuedOutput struct {
		Body struct {
			Queued int64 `json:"queued" doc:"Deliveries that will be made"`
		}
	}
	recoverInput struct {
		EndpointPath
		Body struct {
			Since time.Time `json:"since" doc:"Events that happened then or later"`
		}
	}
	testOutput struct {
		Body struct {
			Event uuid.UUID `json:"event_id" format:"uuid"`
		}
	}
)

func (s *surface) mountDeliveries(api huma.API) {
	huma.Register(api, s.own("ListWebhookDeliveries", http.MethodGet, "/{id}/deliveries", "read", "List deliveries"), s.listDeliveries)
	huma.Register(api, s.own("GetWebhookDelivery", http.MethodGet, "/{id}/deliveries/{event}", "read", "Get a delivery with its attempts"), s.getDelivery)
	accepted := func(op huma.Operation) huma.Operation {
		op.DefaultStatus = http.StatusAccepted
		return op
	}
	resend := s.own("ResendWebhookDelivery", http.MethodPost, "/{id}/deliveries/{event}/resend", "write", "Send one event again")
	huma.Register(api, accepted(resend), s.resend)
	recovery := s.own("RecoverWebhookDeliveries", http.MethodPost, "/{id}/recover", "write", "Send what was missed since a time")
	recovery.Description = "Of the events that pass the endpoint's filter: those that failed, that wait for another attempt, or that it was never sent. It goes back as far as the log of deliveries is kept."
	huma.Register(api, accepted(recovery), s.recover)
	test := s.own("TestWebhookEndpoint", http.MethodPost, "/{id}/test", "write", "Send a test event to this endpoint alone")
	huma.Register(api, accepted(test), s.sendTest)
}

func (s *surface) listDeliveries(ctx context.Context, in *deliveriesInput) (*deliveriesOutput, error) {
	found, err := s.Deliveries.Deliveries(ctx, realmOf(ctx), in.ID, DeliveryFilter{
		State: in.State, Type: in.Type, Resource: in.Resource, Before: in.Before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, edge("list deliveries", err)
	}
	out := &deliveriesOutput{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Body.Next = &found[in.Limit-1].Seq
	}
	out.Body.Deliveries = make([]DeliveryView, 0, len(found))
	for _, d := range found {
		out.Body.Deliveries = append(out.Body.Deliveries, viewDelivery(d))
	}
	return out, nil
}

func viewDelivery(d Delivery) DeliveryView {
	v := DeliveryView{
		Event: d.Event, Sequence: d.Seq, Type: d.Type, ResourceID: d.ResourceID, ResourceVersion: d.ResourceVersion,
		OccurredAt: d.OccurredAt, State: d.State, Attempts: d.Attempts, CreatedAt: d.CreatedAt, DoneAt: d.DoneAt,
	}
	if d.State == Waiting || d.State == Retrying {
		v.NextAttemptAt = &d.DueAt
	}
	return v
}

func (s *surface) getDelivery(ctx context.Context, in *DeliveryPath) (*deliveryOutput, error) {
	found, err := s.Deliveries.Deliveries(ctx, realmOf(ctx), in.ID, DeliveryFilter{Event: in.Event, Limit: 1})
	if err != nil {
		return nil, edge("read delivery", err)
	}
	if len(found) == 0 {
		return nil, problem.Missing()
	}
	attempts, err := s.Deliveries.Attempts(ctx, realmOf(ctx), in.ID, found[0].Seq)
	if err != nil {
		return nil, edge("read attempts", err)
	}
	out := &deliveryOutput{}
	out.Body.DeliveryView, out.Body.Log = viewDelivery(found[0]), make([]attemptView, 0, len(attempts))
	for _, a := range attempts {
		out.Body.Log = append(out.Body.Log, s.viewAttempt(in.Event, a))
	}
	return out, nil
}

// viewAttempt shows an attempt. What was sent with it follows from the event.
func (s *surface) viewAttempt(event uuid.UUID, a Attempt) attemptView {
	v := attemptView{Number: a.Number, At: a.At, Duration: a.Took.Milliseconds(), URL: a.URL, Error: a.Error}
	v.Request.Headers = map[string]string{
		"Content-Type": "application/json", "User-Agent": s.Agent, "Webhook-Id": event.String(),
		"Webhook-Timestamp": strconv.FormatInt(a.At.Unix(), 10), "Webhook-Signature": "redacted", "X-Webhook-Signature": "redacted",
	}
	if a.Status != 0 {
		v.Response = &responseView{Status: a.Status, Headers: a.Headers, Body: strings.ToValidUTF8(string(a.Body), "\uFFFD")}
	}
	return v
}

func (s *surface) resend(ctx context.Context, in *DeliveryPath) (*queuedOutput, error) {
	queued, err := s.Deliveries.Resend(ctx, realmOf(ctx), in.ID, in.Event)
	if err != nil {
		return nil, edge("resend event", err)
	}
	out := &queuedOutput{}
	out.Body.Queued = queued
	return out, nil
}

func (s *surface) recover(ctx context.Context, in *recoverInput) (*queuedOutput, error) {
	if began := time.Now().Add(-s.Keep); in.Body.Since.Before(began) {
		return nil, problem.Invalid("since", "expected no time before "+began.UTC().Format(time.RFC3339)+
			": what was delivered before is no longer known, and would be sent again")
	}
	queued, err := s.Deliveries.Recover(ctx, realmOf(ctx), in.ID, in.Body.Since)
	if err != nil {
		return nil, edge("recover events", err)
	}
	out := &queuedOutput{}
	out.Body.Queued = queued
	return out, nil
}

func (s *surface) sendTest(ctx context.Context, in *EndpointPath) (*testOutput, error) {
	event, err := s.Deliveries.SendTest(ctx, realmOf(ctx), in.ID)
	if err != nil {
		return nil, edge("send test event", err)
	}
	out := &testOutput{}
	out.Body.Event = event
	return out, nil
}
