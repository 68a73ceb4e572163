package venue

import (
	"context"
	"errors"
	"slices"
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
	if e, ok := errors.AsType[*Error](err); ok {
		missing.Detail = e.Words()
	}
	if missing.Reason == "" {
		missing.Reason = Unreadable
	}
	if missing.Reason == KeyRefused {
		// The main wallet was read with the same key a moment ago.
		missing.Reason = PermissionMissing
	}
	c.missing = append(c.missing, missing)
	return nil
}

// Missed reports whether a wallet, or a part of it, was not read.
func (c *Collector) Missed(wallet Wallet) bool {
	return slices.ContainsFunc(c.missing, func(m Missing) bool { return m.Wallet == wallet })
}

// Miss notes a wallet that is known to hold something and is not read.
func (c *Collector) Miss(wallet Wallet, reason Reason, detail string) {
	c.missing = append(c.missing, Missing{Wallet: wallet, Reason: reason, Detail: detail})
}

// Balances returns what was gathered. A wallet of which a part is missing is
// missing whole: half of it in place of what it held before would be a loss.
func (c *Collector) Balances() (Balances, error) {
	whole := slices.DeleteFunc(slices.Clone(c.holdings), func(h Holding) bool { return c.Missed(h.Wallet) })
	holdings, err := Gather(whole)
	if err != nil {
		return Balances{}, err
	}
	return Balances{At: c.at, Holdings: holdings, Missing: c.missing}, nil
}
