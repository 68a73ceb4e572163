package access

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/indexer"
)

// InTwo is the body of an operation whose Rule says Ahead. ask is called before
// the request's transaction begins: it takes what time it takes, since nothing is
// held meanwhile, and writes nothing. If it goes well, keep is called within the
// transaction with what ask returned. An error of either is the answer.
//
// The operation is called twice for that, with the same input.
func InTwo[T, O any](ctx context.Context, ask func(context.Context) (T, error), keep func(context.Context, T) (*O, error)) (*O, error) {
	found, ok := ctx.Value(askedKey{}).(*asked)
	if !ok {
		return nil, errors.New("the rule of the operation does not say Ahead")
	}
	if found.well {
		return keep(ctx, found.value.(T)) //nolint:forcetypeassert // ask of the same operation returned it
	}
	value, err := ask(ctx)
	if err != nil {
		return nil, err
	}
	found.value, found.well = value, true
	return new(O), nil // which nobody sees
}

// asked is what an operation found out ahead of its transaction.
type asked struct {
	value any
	well  bool
}

type askedKey struct{}

// ahead calls an operation that asks before it writes. It returns the answer if
// that did not go well, which is then written down as those of other operations
// are, and reports whether the request was answered already.
func (c *call) ahead(once *Once, next func(huma.Context)) (*answering, bool) {
	if !c.rule.Ahead {
		return nil, false
	}
	if once != nil {
		// What was carried out is not asked for again.
		answer, err := c.gate.requests.Kept(c.ctx.Context(), c.entry(), *once)
		switch {
		case err == nil:
			c.tell(answer)
			return nil, true
		case !errors.Is(err, indexer.ErrNotFound):
			c.refuse(c.outcome(err))
			return nil, true
		}
	}
	found := &asked{}
	c.ctx = huma.WithValue(c.ctx, askedKey{}, found)
	out := &answering{humaContext: c.handedOn()}
	out.run(next)
	if found.well {
		return nil, false
	}
	return out, false
}
