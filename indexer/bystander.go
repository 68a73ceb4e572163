package indexer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Bystander says how a chain is that its process cannot follow: no node of it answers,
// or they serve another network. Else the chain would have the state it was last seen
// in, for as long as nobody follows it.
//
// A Bystander is used by one goroutine.
type Bystander struct {
	Leases Leases
	Ledger Ledger
	Chain  string
	Owner  uuid.UUID // of this process

	epoch int64 // of the lease at the last look, 0 if another process had it
}

// Say writes a status, with the head that was last seen, if nobody has followed the chain since the last call: between
// two owners there are moments without one. It reports whether it did. A chain that
// was never registered, or that another process follows, is left alone.
func (b *Bystander) Say(ctx context.Context, status StatusChange) (bool, error) {
	cursor, err := b.Leases.Acquire(ctx, b.Chain, b.Owner, leaseTime)
	if errors.Is(err, ErrLeased) || errors.Is(err, ErrNotFound) {
		b.epoch = 0
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether the chain is followed: %w", err)
	}
	defer b.release(ctx, cursor.Lease)
	alone := b.epoch != 0 && cursor.Lease.Epoch <= b.epoch+1
	b.epoch = cursor.Lease.Epoch
	if !alone {
		return false, nil
	}
	status.Head = cursor.Head
	if _, err := b.Ledger.Amend(ctx, Amendment{Lease: cursor.Lease, Status: &status}); err != nil {
		return false, fmt.Errorf("write that the chain is %s: %w", status.State, err)
	}
	return true, nil
}

// release gives the lease back at once, so that whoever can follow the chain does. One
// that cannot be given back runs out.
func (b *Bystander) release(ctx context.Context, lease Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = b.Leases.Release(ctx, lease)
}
