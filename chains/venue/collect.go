package venue

import (
	"context"
	"time"
)

// Collector gathers the wallets of one reading.
type Collector struct {
	at       time.Time
	holdings []Holding
	missing  []Missing
}

// Collect returns a Collector that begins now.
func Collect() *Collector { return &Collector{at: time.Now()} }

// Add adds holdings.
func (c *Collector) Add(holdings ...Holding) { c.holdings = append(c.holdings, holdings...) }

// Try reads one wallet beside the main one. That it cannot be read is a fact of
// the reading and no error: products are closed in some regions, and to some
// keys. The error is the end of ctx.
func (c *Collector) Try(ctx context.Context, wallet Wallet, read func(context.Context) ([]Holding, error)) error {
	holdings, err := read(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		c.Add(holdings...)
		return nil
	}
	missing := Missing{Wallet: wallet, Reason: ReasonOf(err), Detail: err.Error()}
	switch missing.Reason {
	case "":
		missing.Reason = Unreadable
	case KeyRefused:
		// The main wallet was read with the same key a moment ago.
		missing.Reason = PermissionMissing
	}
	c.missing = append(c.missing, missing)
	return nil
}

// Miss notes a wallet that is known to hold something and is not read.
func (c *Collector) Miss(wallet Wallet, reason Reason, detail string) {
	c.missing = append(c.missing, Missing{Wallet: wallet, Reason: reason, Detail: detail})
}

// Balances returns what was gathered.
func (c *Collector) Balances() (Balances, error) {
	holdings, err := Gather(c.holdings)
	if err != nil {
		return Balances{}, err
	}
	return Balances{At: c.at, Holdings: holdings, Missing: c.missing}, nil
}
