package accounts

import (
	"context"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

const (
	// balanceWait is how long the balance call waits for a first answer, so
	// that a client which asks right after connecting seldom sees none.
	balanceWait = 2 * time.Second
	balancePoll = 50 * time.Millisecond
)

// block names the block an answer is true as of.
type block struct {
	Height uint64 `json:"height" example:"840000"`
	Hash   string `json:"hash"`
	Time   *stamp `json:"time" nullable:"true"`
}

// Schema describes the block, or null where there is none, for the OpenAPI
// document.
func (block) Schema(r huma.Registry) *huma.Schema {
	type named block
	schema := huma.SchemaFromType(r, reflect.TypeFor[named]())
	schema.Nullable = true
	return schema
}

// blockOf returns nil for no block.
func blockOf(ref chains.BlockRef, evm bool) *block {
	if ref.Hash.IsZero() {
		return nil
	}
	return &block{Height: ref.Height, Hash: hashText(ref.Hash, evm), Time: nullable(&ref.Time)}
}

// hashText spells a hash as its family does.
func hashText(h chains.Hash, evm bool) string {
	if evm {
		return "0x" + h.String()
	}
	return h.String()
}

// history says how much of an account's past the ledger holds.
type history struct {
	Status     string          `json:"status" enum:"none,partial,complete"`
	FromHeight *uint64         `json:"from_height" nullable:"true" doc:"Lowest height that is covered; null while nothing was searched"`
	Gaps       []indexer.Range `json:"gaps" doc:"Heights within the covered range that were not searched" nullable:"false"`
	Method     string          `json:"method,omitempty" doc:"How it was searched"`
}

// state says how far an account is level with its chain.
type state struct {
	LastSync *stamp  `json:"last_sync" nullable:"true" doc:"null until a first exact balance was there"`
	Status   string  `json:"status" enum:"syncing,level,lagging,degraded,halted,stopped" doc:"stopped: a venue does not take the credentials any more, and is not asked before they are replaced"`
	Height   *uint64 `json:"height" nullable:"true" doc:"Tip of the ledger; null before its first block"`
	Head     *uint64 `json:"head" nullable:"true" doc:"Best height seen at the node; null before its first answer"`
	History  history `json:"history"`
	Error    *string `json:"error" nullable:"true" doc:"Why the account is not level"`

	Venue *venueState `json:"venue,omitempty" doc:"What there is to say of an account at an exchange; absent for others"`
}

// stateOf spells a state. begun says that the ledger has a block of the chain.
func stateOf(now indexer.AccountState, begun bool) state {
	s := state{
		LastSync: nullable(now.LastSync),
		Status:   now.Status,
		History: history{
			Status: string(now.History.Status),
			Gaps:   append([]indexer.Range{}, now.History.Gaps...),
			Method: now.History.Method,
		},
	}
	if begun {
		s.Height = &now.Height
	}
	if s.Height != nil || now.Head > 0 {
		s.Head = &now.Head
	}
	switch now.History.Status {
	case indexer.HistoryNone, "":
		s.History.Status = string(indexer.HistoryNone)
	case indexer.HistoryPartial, indexer.HistoryComplete:
		s.History.FromHeight = &now.History.FromHeight
	}
	if now.Error != "" {
		s.Error = &now.Error
	}
	return s
}

// holding is the confirmed balance of one asset.
type holding struct {
	Figure
	Currency
	Conversion
	Immature     *Figure `json:"immature,omitempty" doc:"The part of value that cannot be spent yet"`
	Unattributed *Figure `json:"unattributed,omitempty" doc:"The part of value that no known transfer explains"`
	AsOf         *block  `json:"as_of" doc:"The block this amount is true as of"`
	Proof        string  `json:"proof" doc:"Why it is believed, strongest first: proven, derived, confirmed, asserted" example:"proven"`
	Provisional  bool    `json:"provisional,omitempty" doc:"Read at a block the ledger has not reached yet"`
}

func holdingOf(b indexer.Balance, evm bool) holding {
	h := holding{
		Figure: figureOf(b.Asset, b.Amount), Currency: currencyOf(b.Asset),
		AsOf: blockOf(b.AsOf, evm), Proof: string(b.Proof), Provisional: b.Provisional,
	}
	if !b.Immature.IsZero() {
		f := figureOf(b.Asset, b.Immature)
		h.Immature = &f
	}
	if !b.Unattributed.IsZero() {
		f := figureOf(b.Asset, b.Unattributed)
		h.Unattributed = &f
	}
	return h
}

// pending is what unconfirmed transactions will do to one asset: value is what
// comes in less what goes out.
type pending struct {
	Figure
	Currency
	Conversion
	Incoming Figure `json:"incoming"`
	Outgoing Figure `json:"outgoing"`
}

func pendingOf(p indexer.Pending) pending {
	return pending{
		Figure: figureOf(p.Asset, p.In.Sub(p.Out)), Currency: currencyOf(p.Asset),
		Incoming: figureOf(p.Asset, p.In), Outgoing: figureOf(p.Asset, p.Out),
	}
}

// balanceMembers are the members of a balance that have fixed names.
type balanceMembers struct {
	Balance []holding `json:"balance" doc:"Confirmed; empty while last_sync is null, which does not mean zero" nullable:"false"`
	Pending []pending `json:"pending" doc:"Unconfirmed" nullable:"false"`
	AsOf    *block    `json:"as_of" doc:"The tip the answer was read at"`
	State   state     `json:"state"`

	Converted *worth `json:"converted,omitempty" doc:"What balance is worth; absent unless currency asks for it, and while there is no balance"`
}

// balance is everything one account holds.
type balance struct {
	balanceMembers
	symbols symbols
}

func balanceOf(b indexer.AccountBalance, evm bool) balance {
	members := balanceMembers{
		Balance: []holding{}, Pending: []pending{},
		AsOf: blockOf(b.AsOf, evm), State: stateOf(b.State, !b.AsOf.Hash.IsZero()),
	}
	held := newSums()
	for _, one := range b.Balances {
		members.Balance = append(members.Balance, holdingOf(one, evm))
		held.add(one.Asset, one.Amount)
	}
	for _, one := range b.Pending {
		members.Pending = append(members.Pending, pendingOf(one))
	}
	return balance{balanceMembers: members, symbols: symbolsOf(held)}
}

// MarshalJSON writes the members with a fixed name, then SYMBOL: number.
func (b balance) MarshalJSON() ([]byte, error) { return b.symbols.splice(b.balanceMembers) }

// Schema describes the body for the OpenAPI document.
func (balance) Schema(r huma.Registry) *huma.Schema {
	return withSymbols(r, reflect.TypeFor[balanceMembers](),
		"Beside the named members, SYMBOL: number for each listed asset held. A symbol that equals a named member is left out.")
}

// balanceInput names an account and what to convert into.
type balanceInput struct {
	AccountPath
	In
}

// balanceOutput is the answer of the balance call.
type balanceOutput struct{ Body balance }

// balance answers with one account's balance, as soon as there is one or when
// the wait is over.
func (s *surface) balance(ctx context.Context, in *balanceInput) (*balanceOutput, error) {
	p, account, err := s.path(ctx, &in.AccountPath)
	if err != nil {
		return nil, err
	}
	// One query answers and shows whose account it is: this is the call that
	// everybody polls.
	b, err := s.owned(ctx, p, account)
	if err != nil {
		return nil, err
	}
	deadline := time.NewTimer(balanceWait)
	defer deadline.Stop()
	tick := time.NewTicker(balancePoll)
	defer tick.Stop()
	for waiting := true; waiting && b.State.LastSync == nil; {
		select {
		case <-tick.C:
			if b, err = s.owned(ctx, p, account); err != nil {
				return nil, err
			}
		case <-deadline.C:
			waiting = false
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	out := &balanceOutput{Body: balanceOf(b, p.Family == chains.FamilyEVM)}
	if err := s.convertBalance(ctx, in.Currency, &out.Body.balanceMembers); err != nil {
		return nil, err
	}
	return out, nil
}

// owned reads the balance of an account if it is the caller's and on the chain
// the path names.
func (s *surface) owned(ctx context.Context, p Provider, account uuid.UUID) (indexer.AccountBalance, error) {
	caller := callerOf(ctx)
	b, err := s.Balances.AccountBalance(ctx, caller.Realm, account)
	if err != nil {
		return indexer.AccountBalance{}, edge("read balance", err)
	}
	if b.Account.UserID != caller.User || b.Account.Chain != p.Chain || b.Account.Kind == indexer.KindNFT {
		return indexer.AccountBalance{}, problem.Missing()
	}
	return b, nil
}
