package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tallyd/chains"
)

// severity orders the reasons of a refusal: of several the mildest counts, since
// the node that gave a graver one may only lag.
//
//nolint:gochecknoglobals // a constant list
var severity = []chains.RefusalReason{
	chains.RefusedEarly, chains.RefusedFee, chains.RefusedFunds, chains.RefusedConflict,
	chains.RefusedOther, chains.RefusedSpent, chains.RefusedInvalid,
}

// Tell gives send every upstream that may be asked, all at the same time, and
// waits for all: what one of them accepts must not depend on another that hides
// it. send returns nil where the upstream took what it was told, and a
// *chains.RefusalError where it would not.
//
// Tell returns nil if one took it, a *chains.RefusalError if all refused, and otherwise
// what went wrong: then it is open whether somebody took it. Faults are recorded as
// by Do.
func (p *Pool) Tell(ctx context.Context, send func(ctx context.Context, u *Upstream) error) error {
	ready := p.ready(ctx)
	errs := p.each(ctx, ready, func(ctx context.Context, _ int, u *Upstream) error { return send(ctx, u) })
	switch {
	case slices.Contains(errs, nil):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case len(errs) == 0:
		return fmt.Errorf("%w: %s", ErrUnavailable, p.reasons())
	}
	var mildest *chains.RefusalError
	var open []error
	for _, err := range errs {
		refusal, refused := errors.AsType[*chains.RefusalError](err)
		switch {
		case !refused:
			open = append(open, err)
		case mildest == nil || slices.Index(severity, refusal.Reason) < slices.Index(severity, mildest.Reason):
			mildest = refusal
		}
	}
	if len(open) > 0 {
		return errors.Join(open...)
	}
	return mildest
}
