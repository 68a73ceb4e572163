package prices

import (
	"context"
	"time"

	"tallyd/chains"
	"tallyd/chains/price"
)

// Source is one who says what assets are worth. It is safe for concurrent use, and
// retries only what a moment can mend.
type Source interface {
	// Name returns what the source is called in what it said.
	Name() string

	// Quotes returns all that the source says now. What it does not say is left
	// out; an error says that nothing it said can be used.
	Quotes(ctx context.Context) ([]price.Quote, error)
}

// Want asks for the price of a pair at a time.
type Want struct {
	Base, In chains.AssetID
	At       time.Time
	Reach    time.Duration // how much older the price may be
}

// Ledger keeps prices.
type Ledger interface {
	// ClaimReading claims a reading for this process, and reports false if any
	// process claimed one of that name less than gap ago, by the database's clock.
	ClaimReading(ctx context.Context, name string, gap time.Duration) (bool, error)

	// PutPrices keeps prices, durable when it returns nil. One of the same pair
	// and time that is there stays as it is.
	PutPrices(ctx context.Context, prices []price.Price) error

	// PricesAt returns for each want the newest price that is not after its time
	// and that somebody stood for then, else the newest one within reach; its
	// Rate is unknown if there is none.
	PricesAt(ctx context.Context, wants []Want) ([]price.Price, error)

	// ThinPrices forgets prices from before a time, but for the last of each day
	// and pair.
	ThinPrices(ctx context.Context, before time.Time) error
}
