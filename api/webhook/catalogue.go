package webhook

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// TypeTest is the event that SendTest writes. It goes to the endpoint it names
// and to no other, whatever their filters.
const TypeTest = "webhook.test"

// EventType is a type of event, for filters and for the document.
type EventType struct {
	Name    string       // resource.change
	Summary string       // what happened, in a sentence
	Data    reflect.Type // of the member data
}

type (
	transferData struct {
		Chain      string  `json:"chain"`
		Tx         string  `json:"tx" doc:"Hash of the transaction"`
		Source     string  `json:"source" doc:"Where in the transaction it stands" example:"vout:0"`
		Side       string  `json:"side" enum:"in,out"`
		Asset      string  `json:"asset" doc:"CAIP-19 id"`
		Amount     string  `json:"amount" doc:"In base units, a decimal string"`
		Address    string  `json:"address" doc:"The watched address, empty if the script has none"`
		Status     string  `json:"status" enum:"pending,confirmed,orphaned,replaced,dropped"`
		Block      *string `json:"block" nullable:"true" doc:"Hash of the block it stands in"`
		Height     *int64  `json:"height" nullable:"true"`
		Coinbase   bool    `json:"coinbase"`
		ReplacedBy *string `json:"replaced_by" nullable:"true" doc:"The transaction that spent its inputs"`
	}
	syncedData struct {
		Chain  string `json:"chain,omitempty"`
		Wallet string `json:"wallet,omitempty" doc:"Address or descriptor of an account on a chain"`
		Height int64  `json:"height,omitempty" doc:"Tip of the ledger, for an account on a chain"`
		Venue  string `json:"venue,omitempty" doc:"Name of the venue, for an account at one"`
		At     string `json:"at,omitempty" format:"date-time" doc:"When its balances were read, for an account at a venue"`
	}
	chainData struct {
		Chain  string `json:"chain"`
		State  string `json:"state" enum:"starting,syncing,level,lagging,degraded,halted"`
		Reason string `json:"reason" doc:"Why it is not level, empty if it is"`
		Height *int64 `json:"height" nullable:"true"`
		Head   int64  `json:"head" doc:"Best height seen at the node"`
	}
	testData struct {
		EndpointID  uuid.UUID `json:"endpoint_id" format:"uuid"`
		Description string    `json:"description"`
	}
)

// Types returns the types of events of accounts, chains and venues.
func Types() []EventType {
	transfer, chain := reflect.TypeFor[transferData](), reflect.TypeFor[chainData]()
	return append(venueTypes(), []EventType{
		{Name: "account.synced", Summary: "An account became level with its chain, or was read at its venue for the first time.", Data: reflect.TypeFor[syncedData]()},
		{Name: "chain.degraded", Summary: "A chain of yours is not followed any more, or, in the state halted, credits no deposits.", Data: chain},
		{Name: "chain.recovered", Summary: "A chain of yours is followed, or credits deposits, again.", Data: chain},
		{Name: "transfer.pending", Summary: "A transfer of an account was seen unconfirmed.", Data: transfer},
		{Name: "transfer.confirmed", Summary: "A transfer of an account stands in a block.", Data: transfer},
		{Name: "transfer.orphaned", Summary: "The block of a transfer left the chain.", Data: transfer},
		{Name: "transfer.replaced", Summary: "Another transaction spent the inputs of a transfer.", Data: transfer},
		{Name: "transfer.dropped", Summary: "A transfer left the node's mempool without being mined.", Data: transfer},
	}...)
}

// names returns the names of types, sorted, each once.
func names(types []EventType) []string {
	all := make([]string, 0, len(types))
	for _, t := range types {
		all = append(all, t.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// describe adds every type to the document's webhooks.
func describe(doc *huma.OpenAPI, types []EventType) {
	if doc.Webhooks == nil {
		doc.Webhooks = map[string]*huma.PathItem{}
	}
	message := doc.Components.Schemas.Schema(reflect.TypeFor[Message](), true, "WebhookMessage")
	test := EventType{Name: TypeTest, Summary: "Somebody asked for a test event.", Data: reflect.TypeFor[testData]()}
	for _, t := range append(slices.Clone(types), test) {
		data := doc.Components.Schemas.Schema(t.Data, true, t.Name+"Data")
		if known := doc.Webhooks[t.Name]; known != nil {
			// Two surfaces tell of the same change, each of what is its own.
			also(known.Post, t.Summary, data)
			continue
		}
		doc.Webhooks[t.Name] = &huma.PathItem{Post: &huma.Operation{
			OperationID: "Event." + t.Name, Summary: t.Summary, Tags: []string{"Events"},
			Parameters: headers(),
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{
				AllOf: []*huma.Schema{message, {
					Type: huma.TypeObject, Required: []string{"type", "data"},
					Properties: map[string]*huma.Schema{"type": {Type: huma.TypeString, Enum: []any{t.Name}}, "data": data},
				}},
			}}}},
			Responses: map[string]*huma.Response{
				strconv.Itoa(http.StatusNoContent): {Description: "Taken: any status from 200 to 299. The event is not sent again."},
				strconv.Itoa(http.StatusGone):      {Description: "The endpoint is disabled; its events are kept."},
				"default":                          {Description: "Sent again later, eleven times in all within about three days."},
			},
			// The receiver trusts the signature; it gets no key.
			Security: []map[string][]string{},
		}}
	}
}

// also adds what else a described type can hold.
func also(op *huma.Operation, summary string, data *huma.Schema) {
	op.Summary += " Or: " + summary
	properties := op.RequestBody.Content["application/json"].Schema.AllOf[1].Properties
	if known := properties["data"]; known.Ref != "" {
		properties["data"] = &huma.Schema{OneOf: []*huma.Schema{known}}
	}
	properties["data"].OneOf = append(properties["data"].OneOf, data)
}

// headers describes what a delivery is signed with.
func headers() []*huma.Param {
	list := []*huma.Param{
		{Name: "webhook-id", Description: "Id of the event"},
		{Name: "webhook-timestamp", Description: "Unix seconds of the attempt"},
		{Name: "webhook-signature", Description: "Standard Webhooks: v1, and the HMAC-SHA256 of id.timestamp.body in base64, for each secret in force"},
		{Name: "x-webhook-signature", Description: "sha256= and the HMAC-SHA256 of the body in hexadecimal, with the newest secret"},
	}
	for _, p := range list {
		p.In, p.Required, p.Schema = "header", true, &huma.Schema{Type: huma.TypeString}
	}
	return list
}

// covered reports whether an entry of a filter names or covers a known type.
func covered(entry string, known []string) bool {
	if strings.Contains(strings.TrimSuffix(entry, ".*"), "*") {
		return false
	}
	return slices.ContainsFunc(known, func(name string) bool { return Wants([]string{entry}, name) })
}
