package accounts

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/indexer"
)

// venueWord is why an amount at a venue is believed: the venue says so.
const venueWord = chains.Asserted

type (
	// walletHolding is what one wallet holds of one asset.
	walletHolding struct {
		Wallet string `json:"wallet" doc:"Kind of wallet" example:"spot"`
		Code   string `json:"code" doc:"As the venue writes it" example:"XXBT"`
		Figure
		Currency
		Available *Figure `json:"available,omitempty" doc:"Free to move; absent where the venue does not say"`
		Locked    *Figure `json:"locked,omitempty" doc:"Held by orders, withdrawals or a term; absent where the venue does not say"`
		Borrowed  *Figure `json:"borrowed,omitempty" doc:"Owed, and taken off value; absent where nothing is"`
		Since     *stamp  `json:"since" nullable:"true" doc:"When it was first read as it is"`
	}

	// venueBalanceMembers are the members of a balance at a venue that have fixed
	// names: those of every balance, and the wallets.
	venueBalanceMembers struct {
		balanceMembers
		Wallets      []walletHolding `json:"wallets" nullable:"false" doc:"What balance is the sum of"`
		UnknownCodes []string        `json:"unknown_codes" nullable:"false" doc:"Codes of which nobody knows what asset they are; they are held all the same, as venue:NAME/CODE"`
	}
	venueBalanceInput struct {
		VenueAccountPath
		In
	}
	venueBalanceOutput struct{ Body venueBalance }
)

// venueBalance is everything one account at a venue holds.
type venueBalance struct {
	venueBalanceMembers
	symbols symbols
}

// MarshalJSON writes the members with a fixed name, then SYMBOL: number.
func (b venueBalance) MarshalJSON() ([]byte, error) { return b.symbols.splice(b.venueBalanceMembers) }

// Schema describes the body for the OpenAPI document.
func (venueBalance) Schema(r huma.Registry) *huma.Schema {
	return withSymbols(r, reflect.TypeFor[venueBalanceMembers](),
		"Beside the named members, SYMBOL: number for each known asset held. A symbol that equals a named member is left out. as_of is null: state.last_sync says when the venue was asked.")
}

func (s *surface) mountVenueAccounts(api huma.API) {
	balance := s.atVenue("VenueAccountBalance", http.MethodGet, "/account/{account_id}/balance", "Balance of one account", false)
	balance.Description = "Waits up to two seconds for the first balance of an account that was just connected."
	huma.Register(api, balance, s.venueBalance)
	huma.Register(api, s.atVenue("VenueAccountTransactions", http.MethodGet, "/account/{account_id}/transactions", "Transactions of one account", false), s.venueTransactions)
	huma.Register(api, s.atVenue("DeleteVenueAccount", http.MethodDelete, "/account/{account_id}", "Disconnect an account and erase its credentials", false), s.venueDelete)
}

func (s *surface) venueBalance(ctx context.Context, in *venueBalanceInput) (*venueBalanceOutput, error) {
	b, err := s.ownedAtVenue(ctx, &in.VenueAccountPath)
	if err != nil {
		return nil, err
	}
	deadline := time.NewTimer(balanceWait)
	defer deadline.Stop()
	tick := time.NewTicker(balancePoll)
	defer tick.Stop()
	for waiting := true; waiting && unread(b.Account.State); {
		select {
		case <-tick.C:
			if b, err = s.ownedAtVenue(ctx, &in.VenueAccountPath); err != nil {
				return nil, err
			}
		case <-deadline.C:
			waiting = false
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	out := &venueBalanceOutput{Body: venueBalanceOf(b)}
	if err := s.convertBalance(ctx, in.Currency, &out.Body.balanceMembers); err != nil {
		return nil, err
	}
	return out, nil
}

// unread reports whether an account is about to be read for the first time.
func unread(now indexer.VenueState) bool {
	return now.LastSync == nil && now.Status == indexer.StateSyncing
}

// ownedAtVenue reads the balance of an account if it is the caller's and at the
// venue the path names.
func (s *surface) ownedAtVenue(ctx context.Context, in *VenueAccountPath) (indexer.VenueBalance, error) {
	caller := callerOf(ctx)
	b, err := s.VenueAccounts.VenueBalance(ctx, caller.Realm, in.ID)
	if err != nil {
		return b, edge("read balance", err)
	}
	if b.Account.UserID != caller.User || b.Account.Venue != in.Venue {
		return b, problem.Missing()
	}
	return b, nil
}

func venueBalanceOf(b indexer.VenueBalance) venueBalance {
	held := heldAt(b)
	members := venueBalanceMembers{
		balanceMembers: balanceMembers{Balance: held.holdings(), Pending: []pending{}, State: stateOfVenue(b.Account.State)},
		Wallets:        []walletHolding{}, UnknownCodes: []string{},
	}
	for _, h := range b.Holdings {
		members.Wallets = append(members.Wallets, walletHoldingOf(h))
		if !h.Asset.Known && !slices.Contains(members.UnknownCodes, h.Code) {
			members.UnknownCodes = append(members.UnknownCodes, h.Code)
		}
	}
	return venueBalance{venueBalanceMembers: members, symbols: symbolsOf(held)}
}

// heldAt returns what an account at a venue holds by asset, over its wallets.
func heldAt(b indexer.VenueBalance) *sums {
	held := newSums()
	for _, h := range b.Holdings {
		if asset, n, ok := exact(h.Asset, h.Total); ok {
			held.add(asset, n)
		}
	}
	return held
}

// holdings returns sums of what a venue says.
func (s *sums) holdings() []holding {
	list := make([]holding, 0, len(s.assets))
	for _, asset := range s.assets {
		list = append(list, holding{Figure: figureOf(asset, s.amounts[asset.ID]), Currency: currencyOf(asset), Proof: string(venueWord)})
	}
	return list
}

func walletHoldingOf(h indexer.VenueHolding) walletHolding {
	out := walletHolding{Wallet: string(h.Wallet), Code: h.Code, Currency: currencyOf(assetAt(h.Asset, 0)), Since: nullable(&h.At)}
	if asset, n, ok := exact(h.Asset, h.Total); ok {
		out.Figure, out.Currency = figureOf(asset, n), currencyOf(asset)
	}
	part := func(d venue.Decimal) *Figure {
		asset, n, ok := exact(h.Asset, d)
		if !ok {
			return nil
		}
		f := figureOf(asset, n)
		return &f
	}
	out.Available, out.Locked = part(h.Available), part(h.Locked)
	if h.Borrowed.Sign() != 0 {
		out.Borrowed = part(h.Borrowed)
	}
	return out
}

// exact returns a number of a venue as an amount of base units, and the asset with
// the decimals these have: those that coins usually have, or more if the venue
// wrote more. It reports false for a number that is not known.
func exact(id identity.Identity, d venue.Decimal) (chains.Asset, chains.Amount, bool) {
	n, scale, err := d.Amount()
	if err != nil {
		return chains.Asset{}, chains.Amount{}, false
	}
	asset := assetAt(id, scale)
	return asset, rescaled(n, scale, asset.Decimals), true
}

// assetAt returns the asset that a code stands for, with at least so many
// decimals.
func assetAt(id identity.Identity, scale int) chains.Asset {
	return chains.Asset{ID: id.Asset, Symbol: id.Symbol, Name: id.Symbol, Listed: id.Known, Decimals: max(scale, usualDecimals(id.Asset))}
}

// usualDecimals returns how many decimals an asset is counted in where a venue
// writes fewer.
func usualDecimals(id chains.AssetID) int {
	switch text := string(id); {
	case strings.HasPrefix(text, "iso4217:"):
		return 2
	case strings.HasPrefix(text, "eip155:") && strings.Contains(text, "/slip44:"):
		return 18
	default:
		return 8
	}
}

// pathOfVenue returns the path of an account below /v1/.
func pathOfVenue(name string, id uuid.UUID) string { return venueURL(name) + "/account/" + id.String() }
