package indexer

import (
	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
)

// AccountPast is what one account held at some past times.
type AccountPast struct {
	Account Account
	Points  []PastPoint // one for each time, in their order
}

// PastPoint is what an account held at one past time.
type PastPoint struct {
	Balances []PastBalance // without those of zero

	// Partial says why Balances may not be all that was held; "" if it is.
	Partial string
}

// PastBalance is what was held of one asset.
type PastBalance struct {
	Asset  chains.Asset
	Amount chains.Amount
}

// Why a past balance may not be the whole.
const (
	PastUnread   = "nothing is known of what the account holds yet"
	PastSearched = "the past of the account has not been searched to its end"
)

// Hold adds what was held of an asset.
func (p *PastPoint) Hold(asset chains.Asset, amount chains.Amount) {
	if amount.IsZero() {
		return
	}
	for i := range p.Balances {
		if p.Balances[i].Asset.ID == asset.ID {
			p.Balances[i].Amount = p.Balances[i].Amount.Add(amount)
			return
		}
	}
	p.Balances = append(p.Balances, PastBalance{Asset: asset, Amount: amount})
}

// Doubt says why the point may not be the whole, unless that was said already.
func (p *PastPoint) Doubt(why string) {
	if p.Partial == "" {
		p.Partial = why
	}
}

// Doubt says it of all points.
func (p *AccountPast) Doubt(why string) {
	for i := range p.Points {
		p.Points[i].Doubt(why)
	}
}

// VenueAccountPast is what one account at a venue held at some past times.
type VenueAccountPast struct {
	Account Account
	Points  []VenuePastPoint // one for each time, in their order
}

// VenuePastPoint is what an account at a venue held at one past time, over all of its
// wallets. Partial says why that may not be all; "" if it is.
type VenuePastPoint struct {
	Held    []VenuePastHeld // without those of zero
	Partial string
}

// VenuePastHeld is what was held under one code.
type VenuePastHeld struct {
	Asset identity.Identity
	Total venue.Decimal
}
