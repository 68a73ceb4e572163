package custody

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

type bookEntryView struct {
	ID        uuid.UUID `json:"id" format:"uuid"`
	Network   string    `json:"network" example:"btc"`
	Address   string    `json:"address" doc:"In canonical spelling"`
	Label     string    `json:"label"`
	UsableAt  time.Time `json:"usableAt" doc:"Withdrawals may go there from then on"`
	CreatedAt time.Time `json:"createdAt"`
}

func viewEntry(e custody.Entry) bookEntryView {
	return bookEntryView{ID: e.ID, Network: e.Chain, Address: e.Address, Label: e.Label, UsableAt: e.UsableAt, CreatedAt: e.CreatedAt}
}

type (
	entryPath struct {
		ID uuid.UUID `path:"entryId" format:"uuid" doc:"Id of the entry"`
	}
	addEntryInput struct {
		Body struct {
			Network string `json:"network" minLength:"1" maxLength:"32" doc:"Slug of the chain" example:"btc"`
			Address string `json:"address" minLength:"1" maxLength:"200"`
			Label   string `json:"label,omitempty" maxLength:"200"`
		}
	}
	listEntriesInput struct {
		Page
		Network string `query:"network" maxLength:"32" doc:"Only those of this chain"`
	}
	bookEntryOutput   struct{ Body bookEntryView }
	bookEntriesOutput struct {
		Body struct {
			Entries []bookEntryView `json:"entries" nullable:"false" doc:"Oldest first"`
			Next    *string         `json:"nextCursor" nullable:"true" doc:"cursor of the next page, null if there is none"`
		}
	}
)

func (s *surface) mountBook(api huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/address-book" + path, Summary: summary, Tags: []string{"Address book"}}
	}
	rule := func(action string) access.Rule { return access.Rule{Scope: "address-book:" + action, Signed: true} }
	add := op("AddAddressBookEntry", http.MethodPost, "", "Let withdrawals go to an address")
	add.DefaultStatus = http.StatusCreated
	seed(s, api, add, rule("write"), s.addEntry)
	seed(s, api, op("ListAddressBook", http.MethodGet, "", "List the addresses that withdrawals may go to"), rule("read"), s.listEntries)
	seed(s, api, op("GetAddressBookEntry", http.MethodGet, "/{entryId}", "Get an entry"), rule("read"), s.getEntry)
	seed(s, api, op("RemoveAddressBookEntry", http.MethodDelete, "/{entryId}", "Let withdrawals go there no longer"), rule("delete"), s.removeEntry)
}

func (s *surface) addEntry(ctx context.Context, in *addEntryInput) (*bookEntryOutput, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	e := custody.Entry{
		ID: uuid.New(), Realm: realmOf(ctx), Chain: in.Body.Network, Label: in.Body.Label, CreatedAt: now, UsableAt: now.Add(s.CoolingOff),
	}
	// Whether the realm may see the chain comes before what stands in the address.
	if err := s.Pools.HasChain(ctx, e.Realm, e.Chain); err != nil {
		return nil, unknownNetwork(err)
	}
	var err error
	if e.Script, e.Address, err = s.Desk.Script(e.Chain, "address", in.Body.Address); err != nil {
		return nil, edge("read an address", err)
	}
	err = s.Book.AddEntry(ctx, e)
	switch {
	case errors.Is(err, indexer.ErrExists):
		return nil, problem.New(http.StatusConflict, problem.Exists, "the address is in the address book").Field("address", "is there already")
	case errors.Is(err, indexer.ErrNotFound):
		return nil, problem.Invalid("X-Tenant", "no such tenant")
	case err != nil:
		return nil, edge("add to the address book", err)
	}
	return &bookEntryOutput{Body: viewEntry(e)}, nil
}

// unknownNetwork is the problem of a chain in the body that the realm does not have.
func unknownNetwork(err error) error {
	if errors.Is(err, indexer.ErrNotFound) {
		return problem.Invalid("network", "no such chain in this environment")
	}
	return edge("find a chain", err)
}

func (s *surface) listEntries(ctx context.Context, in *listEntriesInput) (*bookEntriesOutput, error) {
	if err := text("network", in.Network); err != nil {
		return nil, err
	}
	filter := custody.EntryFilter{Chain: in.Network, Limit: in.Limit}
	var err error
	if filter.After, err = bookList.place(in.Cursor); err != nil {
		return nil, err
	}
	found, next, err := s.Book.BookEntries(ctx, realmOf(ctx), filter)
	if err != nil {
		return nil, edge("list the address book", err)
	}
	out := &bookEntriesOutput{}
	out.Body.Entries, out.Body.Next = make([]bookEntryView, 0, len(found)), bookList.cursor(next)
	for _, e := range found {
		out.Body.Entries = append(out.Body.Entries, viewEntry(e))
	}
	return out, nil
}

func (s *surface) getEntry(ctx context.Context, in *entryPath) (*bookEntryOutput, error) {
	e, err := s.Book.BookEntry(ctx, realmOf(ctx), in.ID)
	if err != nil {
		return nil, edge("read an entry", err)
	}
	return &bookEntryOutput{Body: viewEntry(e)}, nil
}

func (s *surface) removeEntry(ctx context.Context, in *entryPath) (*struct{}, error) {
	if err := s.Book.RemoveEntry(ctx, realmOf(ctx), in.ID); err != nil {
		return nil, edge("remove an entry", err)
	}
	return nil, nil //nolint:nilnil // 204
}
