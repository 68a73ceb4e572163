package main

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// wakes holds for each chain where one hears that there may be work. It does not
// change once the daemon runs.
type wakes map[string]chan struct{}

func newWakes(chains map[string]config.Chain) wakes {
	w := make(wakes, len(chains))
	for slug := range chains {
		w[slug] = make(chan struct{}, 1)
	}
	return w
}

// wake tells whoever works on a chain. It never waits, and where nobody listens does
// nothing.
func (w wakes) wake(chain string) { wake(w[chain]) }

// ordered is the ledger for those who order withdrawals and sign them: what they
// wrote is carried out at once, and not at the payer's next look.
type ordered struct {
	*store.Store

	wakes wakes
}

// told wakes the payer of a withdrawal's chain once others can see what was written.
func (o ordered) told(ctx context.Context, w custody.Withdrawal, err error) (custody.Withdrawal, error) {
	if err == nil {
		o.AfterCommit(ctx, func(context.Context) { o.wakes.wake(w.Chain) })
	}
	return w, err
}

// Withdraw implements custody.Ordering.
func (o ordered) Withdraw(ctx context.Context, order custody.WithdrawalOrder) (custody.Withdrawal, error) {
	w, err := o.Store.Withdraw(ctx, order)
	return o.told(ctx, w, err)
}

// MoveWithin implements custody.Ordering.
func (o ordered) MoveWithin(ctx context.Context, order custody.InternalOrder) (custody.Withdrawal, error) {
	w, err := o.Store.MoveWithin(ctx, order)
	return o.told(ctx, w, err)
}

// Accept implements custody.Withdrawals.
func (o ordered) Accept(ctx context.Context, realm indexer.Realm, id uuid.UUID, draft int, signed chains.Signed) (custody.Withdrawal, error) {
	w, err := o.Store.Accept(ctx, realm, id, draft, signed)
	return o.told(ctx, w, err)
}

// Cancel implements custody.Withdrawals.
func (o ordered) Cancel(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Withdrawal, error) {
	w, err := o.Store.Cancel(ctx, realm, id)
	return o.told(ctx, w, err)
}

// Bump implements custody.Withdrawals.
func (o ordered) Bump(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Withdrawal, error) {
	w, err := o.Store.Bump(ctx, realm, id)
	return o.told(ctx, w, err)
}

// follow follows a chain, with whatever else is done on it beside. That begins when
// the ledger knows that it is the same chain: the nodes of another network must be
// asked for no balance, nor be told of anything.
func follow(ctx context.Context, chain *indexer.Chain, known <-chan struct{}, beside ...func(context.Context) error) error {
	busy, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	for _, run := range beside {
		ended.Go(func() {
			select {
			case <-known:
				_ = run(busy) // it returns busy's cause, which we know
			case <-busy.Done():
			}
		})
	}
	err := chain.Run(ctx)
	stop()
	ended.Wait()
	return err //nolint:wrapcheck // the chain says what it was doing
}
