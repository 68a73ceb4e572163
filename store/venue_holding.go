package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"tallyd/chains/venue"
	"tallyd/store/db"
)

// place is a wallet and a code, under which an account holds something.
type place struct {
	wallet venue.Wallet
	code   string
}

// change is a holding that a reading found to be another than it was. was is
// unknown where nothing was.
type change struct{ was, now venue.Holding }

// total reports whether what belongs to the user changed, and not only how much of
// it is free.
func (c change) total() bool { return !c.now.Total.Equal(c.was.Total.Or(venue.NewDecimal(0, 0))) }

// standingHoldings returns what an account holds in the ledger, also what it held
// once.
func standingHoldings(ctx context.Context, q *db.Queries, account uuid.UUID) (map[place]venue.Holding, error) {
	rows, err := q.Holdings(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("read holdings: %w", err)
	}
	standing := make(map[place]venue.Holding, len(rows))
	for _, row := range rows {
		h, err := holding(row.Wallet, row.Code, row.Available, row.Locked, row.Borrowed, row.Total)
		if err != nil {
			return nil, err
		}
		standing[place{h.Wallet, h.Code}] = h
	}
	return standing, nil
}

// holding reads a holding from the texts of its columns.
func holding(wallet, code, available, locked, borrowed, total string) (venue.Holding, error) {
	h := venue.Holding{Wallet: venue.Wallet(wallet), Code: code}
	for _, column := range []struct {
		text string
		into *venue.Decimal
	}{{available, &h.Available}, {locked, &h.Locked}, {borrowed, &h.Borrowed}, {total, &h.Total}} {
		d, err := venue.ParseDecimal(column.text)
		if err != nil {
			return h, fmt.Errorf("read holding of %s %s: %w", wallet, code, err)
		}
		*column.into = d
	}
	return h, nil
}

// differences returns in which holdings a reading differs from what stands, by
// wallet and code. A wallet that it could not read keeps all that stands, and what
// it does not name in the others is held no more.
func differences(standing map[place]venue.Holding, read venue.Balances) []change {
	missing := make(map[venue.Wallet]bool, len(read.Missing))
	for _, m := range read.Missing {
		missing[venue.Wallet(kept(string(m.Wallet)))] = true
	}
	var changes []change
	seen := make(map[place]bool, len(read.Holdings))
	for _, now := range read.Holdings {
		now.Wallet, now.Code = venue.Wallet(kept(string(now.Wallet))), kept(now.Code)
		at := place{now.Wallet, now.Code}
		if missing[now.Wallet] || seen[at] {
			continue
		}
		seen[at] = true
		if was := standing[at]; !equal(was, now) {
			changes = append(changes, change{was: was, now: now})
		}
	}
	for at, was := range standing {
		if seen[at] || missing[at.wallet] {
			continue
		}
		none := venue.NewDecimal(0, 0)
		now := venue.Holding{Wallet: at.wallet, Code: at.code, Available: none, Locked: none, Total: none}
		if !equal(was, now) {
			changes = append(changes, change{was: was, now: now})
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.now.Wallet, b.now.Wallet), cmp.Compare(a.now.Code, b.now.Code))
	})
	return changes
}

func equal(a, b venue.Holding) bool {
	return a.Available.Equal(b.Available) && a.Locked.Equal(b.Locked) && a.Borrowed.Equal(b.Borrowed) && a.Total.Equal(b.Total)
}

// putHoldings writes the holdings that changed, and remembers totals that did.
func (w *syncing) putHoldings(ctx context.Context, read time.Time) error {
	if len(w.changes) == 0 {
		return nil
	}
	at := moment(read)
	p := db.PutHoldingsParams{AccountID: w.account, Tenant: w.row.Tenant, Environment: w.row.Environment, At: at}
	past := db.AddHoldingChangesParams{AccountID: w.account, At: at}
	for _, c := range w.changes {
		h := c.now
		w.see(h.Code)
		p.Wallets, p.Codes = append(p.Wallets, string(h.Wallet)), append(p.Codes, h.Code)
		p.Availables, p.Lockeds = append(p.Availables, h.Available.String()), append(p.Lockeds, h.Locked.String())
		p.Borroweds, p.Totals = append(p.Borroweds, h.Borrowed.String()), append(p.Totals, h.Total.String())
		if c.total() {
			past.Wallets, past.Codes = append(past.Wallets, string(h.Wallet)), append(past.Codes, h.Code)
			past.Totals = append(past.Totals, h.Total.String())
		}
	}
	if err := w.q.PutHoldings(ctx, p); err != nil {
		return fmt.Errorf("put %d holdings: %w", len(w.changes), err)
	}
	w.synced.Holdings = len(w.changes)
	if len(past.Totals) == 0 {
		return nil
	}
	if err := w.q.AddHoldingChanges(ctx, past); err != nil {
		return fmt.Errorf("remember %d holdings: %w", len(past.Totals), err)
	}
	return nil
}
