package accounts

import (
	"slices"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/indexer"
)

type (
	// venueMovement is what a venue says of one row of a history.
	venueMovement struct {
		Name    string      `json:"name" example:"kraken"`
		Stream  string      `json:"stream" doc:"The history it stands in. The same thing may stand in several" example:"deposits"`
		Kind    string      `json:"kind" enum:"deposit,withdrawal,trade,entry"`
		Type    string      `json:"type,omitempty" doc:"The venue's own word for what it is"`
		Status  string      `json:"status" enum:"pending,settled,failed,canceled,reversed" doc:"reversed: it was settled, and the venue took it back"`
		State   string      `json:"state,omitempty" doc:"The venue's own word for how far it got"`
		Group   string      `json:"group,omitempty" doc:"What joins it with rows of other histories: an order, a reference"`
		Network string      `json:"network,omitempty" doc:"As the venue writes it"`
		Chain   string      `json:"chain,omitempty" doc:"CAIP-2 id of the network, if it is known" example:"bip122:000000000019d6689c085ae165831e93"`
		TxHash  string      `json:"tx_hash,omitempty"`
		Vout    *int        `json:"vout,omitempty"`
		Address string      `json:"address,omitempty" doc:"Where it came to or went"`
		Tag     string      `json:"tag,omitempty" doc:"Memo or message beside the address"`
		Shown   bool        `json:"shown" doc:"The one row to show for what happened; false where another tells the same, as with every"`
		Inside  bool        `json:"inside" doc:"Between accounts of the venue: on no chain"`
		Links   []venueLink `json:"links" nullable:"false" doc:"Transfers on chains of the same user that are the other end of it: a move between own accounts"`
	}

	// venueLink is a transfer on a chain that is the other end of a movement.
	venueLink struct {
		AccountID uuid.UUID `json:"account_id" format:"uuid"`
		Chain     string    `json:"chain" example:"btc"`
		TxID      string    `json:"transaction_id"`
		Side      string    `json:"side" enum:"in,out"`
		Currency  string    `json:"currency"`
		BaseUnits string    `json:"base_units"`
		Status    string    `json:"status" enum:"pending,confirmed,orphaned,replaced,dropped"`
	}
)

// venueTransactionOf returns a movement in the form of all transactions. evm
// reports whether a chain spells hashes with 0x.
func venueTransactionOf(m indexer.VenueMovement, evm func(chain string) bool) transaction {
	amounts, totals, fees := newSums(), newSums(), newSums()
	out := transaction{
		AccountID: m.AccountID, ID: m.Movement.ID, Type: exchangeType, Status: string(transferStatus(m.Status)),
		CreatedAt: nullable(&m.Time), Inputs: []movement{}, Outputs: []movement{}, Venue: venueMovementOf(m, evm),
	}
	for i, leg := range m.Legs {
		asset, n, ok := exact(assetOf(m, i), leg.Amount)
		if !ok {
			continue // the venue did not say how much
		}
		totals.add(asset, n)
		if leg.Fee {
			fees.add(asset, n.Neg())
		} else {
			amounts.add(asset, n)
		}
		out.moveAtVenue(m, leg, asset, n)
	}
	out.Amount, out.Total, out.Fee = amounts.list(), totals.list(), fees.list()
	out.Side = side(amounts)
	return out
}

// assetOf returns what the code of a leg stands for.
func assetOf(m indexer.VenueMovement, leg int) identity.Identity {
	if leg < len(m.Assets) {
		return m.Assets[leg]
	}
	code := m.Legs[leg].Code
	return identity.Identity{Asset: chains.AssetID("venue:" + m.Venue + "/" + code), Symbol: code}
}

// moveAtVenue adds a leg to the inputs and outputs. Of what leaves the venue the
// other side is known by its address.
func (t *transaction) moveAtVenue(m indexer.VenueMovement, leg venue.Leg, asset chains.Asset, n chains.Amount) {
	own := movement{Figure: figureOf(asset, magnitude(n)), Currency: currencyOf(asset), Owned: true, Fee: leg.Fee}
	if n.Sign() >= 0 {
		own.Address = m.Address
		t.Outputs = append(t.Outputs, own)
		return
	}
	t.Inputs = append(t.Inputs, own)
	if m.Kind == venue.Withdrawal && !leg.Fee && m.Address != "" {
		peer := own
		peer.Address, peer.Owned = m.Address, false
		t.Outputs = append(t.Outputs, peer)
	}
}

func magnitude(n chains.Amount) chains.Amount {
	if n.Sign() < 0 {
		return n.Neg()
	}
	return n
}

func venueMovementOf(m indexer.VenueMovement, evm func(chain string) bool) *venueMovement {
	out := &venueMovement{
		Name: m.Venue, Stream: string(m.Stream), Kind: string(m.Kind), Type: m.Type, Status: string(m.Status), State: m.State, Group: m.Group,
		Network: m.Network, Chain: m.Chain, TxHash: m.TxHash, Address: m.Address, Tag: m.Tag, Shown: m.Shown, Inside: m.Inside, Links: []venueLink{},
	}
	if m.Vout >= 0 && m.TxHash != "" {
		out.Vout = &m.Vout
	}
	for _, l := range m.Links {
		out.Links = append(out.Links, venueLink{
			AccountID: l.AccountID, Chain: l.Chain, TxID: hashText(l.Tx, evm(l.Chain)), Side: string(l.Side), Currency: string(l.Asset),
			BaseUnits: l.Amount.String(), Status: string(l.Status),
		})
	}
	return out
}

// transferStatus says how far a movement got in the words that are used of
// transfers on chains.
func transferStatus(s venue.Status) indexer.TransferStatus {
	switch s {
	case venue.Settled:
		return indexer.StatusConfirmed
	case venue.Reversed:
		return indexer.StatusOrphaned
	case venue.Failed, venue.Canceled:
		return indexer.StatusDropped
	default:
		return indexer.StatusPending
	}
}

// venueStatuses returns the statuses that filters on chains mean at venues, and
// false if there are none.
func venueStatuses(filter []indexer.TransferStatus) ([]venue.Status, bool) {
	if len(filter) == 0 {
		return nil, true
	}
	var list []venue.Status
	for _, s := range []venue.Status{venue.Pending, venue.Settled, venue.Failed, venue.Canceled, venue.Reversed} {
		if slices.Contains(filter, transferStatus(s)) {
			list = append(list, s)
		}
	}
	return list, len(list) > 0
}
