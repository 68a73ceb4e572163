package accounts

import (
	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// movement is Blockmate's Movement: one input or output of a transaction.
type movement struct {
	Address string `json:"address" doc:"Empty where a script has none"`
	Figure
	Currency
	Conversion
	Owned bool `json:"owned" doc:"The address is the account's"`
	Fee   bool `json:"fee" doc:"What was paid to the network"`
}

// transaction is Blockmate's Transaction with its life and its block.
type transaction struct {
	AccountID     uuid.UUID  `json:"account_id" format:"uuid"`
	ID            string     `json:"transaction_id"`
	Type          string     `json:"type" enum:"crypto_wallet,crypto_exchange"`
	Chain         string     `json:"chain" example:"btc"`
	Side          string     `json:"side" enum:"in,out,both,self" doc:"Direction of amount; both where assets move in both directions, self where nothing but a fee is left"`
	Status        string     `json:"status" enum:"pending,confirmed,orphaned,replaced,dropped"`
	Confirmations uint64     `json:"confirmations" doc:"0 while it stands in no canonical block"`
	Block         *block     `json:"block"`
	Amount        []amount   `json:"amount" doc:"Change of the account by asset, without the fee; negative is out" nullable:"false"`
	Total         []amount   `json:"total" doc:"Change of the account by asset, with the fee; negative is out" nullable:"false"`
	Fee           []amount   `json:"fee" doc:"What the account paid to the network; empty where that is not known apart" nullable:"false"`
	CreatedAt     *stamp     `json:"created_at" nullable:"true" doc:"Time of the block, else when it was first seen"`
	Inputs        []movement `json:"inputs" doc:"As far as the ledger holds them" nullable:"false"`
	Outputs       []movement `json:"outputs" doc:"As far as the ledger holds them" nullable:"false"`

	Links []exchangeLink `json:"links,omitempty" nullable:"false" doc:"Movements at venues of the same user that this is the other end of: a move between own accounts"`
	Venue *venueMovement `json:"venue,omitempty" doc:"What the venue says; absent for what happened on a chain"`
}

func transactionOf(t indexer.Transaction, evm bool) transaction {
	amounts, totals, fees := newSums(), newSums(), newSums()
	out := transaction{
		AccountID: t.AccountID, ID: hashText(t.Tx, evm), Type: walletType, Chain: t.Chain,
		Status: string(t.Status), Confirmations: t.Confirmations, Block: blockOf(t.Block, evm),
		CreatedAt: nullable(&t.Time), Inputs: []movement{}, Outputs: []movement{},
	}
	for _, leg := range t.Legs {
		change := leg.Amount
		if leg.Side == chains.Out {
			change = change.Neg()
		}
		totals.add(leg.Asset, change)
		if leg.Source == chains.SourceFee {
			fees.add(leg.Asset, leg.Amount)
		} else {
			amounts.add(leg.Asset, change)
		}
		out.move(leg)
	}
	out.Amount, out.Total, out.Fee = amounts.list(), totals.list(), fees.list()
	out.Side = side(amounts)
	return out
}

// move adds a leg to the inputs and outputs. The other side of it is named where
// the ledger knows it: on EVM chains always, on the bitcoin family never.
func (t *transaction) move(leg indexer.Leg) {
	own := movement{
		Address: leg.Address, Figure: figureOf(leg.Asset, leg.Amount), Currency: currencyOf(leg.Asset),
		Owned: true, Fee: leg.Source == chains.SourceFee,
	}
	peer := own
	peer.Address, peer.Owned = leg.PeerAddress, false
	from, to := &t.Inputs, &t.Outputs
	if leg.Side == chains.In {
		from, to = to, from
	}
	*from = append(*from, own)
	if leg.PeerAddress != "" {
		*to = append(*to, peer)
	}
}

// side returns the direction of a transaction.
func side(amounts *sums) string {
	in, out := false, false
	for _, n := range amounts.amounts {
		in = in || n.Sign() > 0
		out = out || n.Sign() < 0
	}
	switch {
	case in && out:
		return "both"
	case in:
		return "in"
	case out:
		return "out"
	}
	return "self"
}
