package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tallyd/indexer"
)

// Message is the body of a delivery. The same event gives the same bytes at every
// attempt.
type Message struct {
	Type            string          `json:"type" doc:"What happened" example:"transfer.confirmed"`
	ID              uuid.UUID       `json:"id" format:"uuid" doc:"Of the event, the same at every attempt and in the feed: handle each id once"`
	Timestamp       time.Time       `json:"timestamp" doc:"When it happened"`
	Sequence        int64           `json:"sequence" doc:"Number of the event: ascending, with gaps where other tenants' events stand"`
	Environment     string          `json:"environment" enum:"live,test"`
	Chain           string          `json:"chain" doc:"Where it happened; empty where no chain has a part in it" example:"btc"`
	AccountID       *uuid.UUID      `json:"account_id" format:"uuid" nullable:"true" doc:"The account it is about, if it is about one"`
	ResourceID      string          `json:"resource_id" doc:"What changed"`
	ResourceVersion int64           `json:"resource_version" doc:"Ascending for one resource_id among types that begin with the same word, up to the dot: a lower one is older"`
	Data            json.RawMessage `json:"data" doc:"The resource as it was after the change"`
}

// NewMessage returns the message of an event.
func NewMessage(e indexer.Event) Message {
	data := e.Data
	if len(data) == 0 {
		data = json.RawMessage("null")
	}
	return Message{
		Type: e.Type, ID: e.ID, Timestamp: e.OccurredAt.UTC(), Sequence: e.Seq, Environment: string(e.Realm.Environment),
		Chain: e.Chain, AccountID: e.AccountID, ResourceID: e.ResourceID, ResourceVersion: e.ResourceVersion, Data: data,
	}
}

// body returns the bytes that are signed and sent.
func body(e indexer.Event) ([]byte, error) {
	text, err := json.Marshal(NewMessage(e))
	if err != nil {
		return nil, fmt.Errorf("write event %d: %w", e.Seq, err)
	}
	return text, nil
}
