package venue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// spend takes what a route costs, and waits for it up to the patience of the
// transport.
func (s *Session) spend(ctx context.Context, route Route) error {
	deadline := time.Now().Add(s.transport.patience)
	// A hold on the address stops all questions, whatever they cost.
	if err := s.take(ctx, s.addressKey(), Budget{}, 0, deadline); err != nil {
		return err
	}
	return s.take(ctx, s.budgetKey(route), s.budget(route.Budget), max(1, route.Cost), deadline)
}

func (s *Session) take(ctx context.Context, key string, b Budget, cost int, deadline time.Time) error {
	for {
		wait, err := s.transport.budgets.Take(ctx, key, b, cost)
		if err != nil {
			return fmt.Errorf("count a request to %s: %w", s.venue.Name, err)
		}
		if wait <= 0 {
			return nil
		}
		until := time.Now().Add(wait)
		if until.After(deadline) {
			return s.named(&Error{Reason: RateLimited, Detail: "not sent, to stay within what the venue allows", Until: until})
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// measured tells the budgets what the venue has counted.
func (s *Session) measured(ctx context.Context, route Route, a Answer) {
	meter, ok := s.dialect.(Meter)
	if !ok {
		return
	}
	for _, usage := range meter.Measure(a) {
		b := s.budget(cmp.Or(usage.Budget, route.Budget))
		if usage.Limit > 0 && b.Limit > 0 {
			// The venue may have raised or lowered its limit since the
			// connector was written: its share of ours is what counts.
			usage.Used = usage.Used * b.Limit / usage.Limit
		}
		// A budget that cannot be told is counted by what was taken from it.
		_ = s.transport.budgets.Used(ctx, s.keyOf(b), b, usage.Used)
	}
}

// budget returns a budget of the venue by name; the first for "", and none where
// the venue declares none.
func (s *Session) budget(name string) Budget {
	for _, b := range s.venue.Budgets {
		if b.Name != name && name != "" {
			continue
		}
		if i := slices.IndexFunc(s.region.Budgets, func(own Budget) bool { return own.Name == b.Name }); i >= 0 {
			return s.region.Budgets[i]
		}
		return b
	}
	return Budget{Name: "requests", Scope: PerKey}
}

func (s *Session) budgetKey(route Route) string { return s.keyOf(s.budget(route.Budget)) }

// keyOf names a budget among all: those of an address are shared by all keys.
func (s *Session) keyOf(b Budget) string {
	key := s.venue.Name + "/" + s.region.Name + "/" + b.Name
	if b.Scope == PerKey {
		key += "/" + s.digest
	}
	return key
}

// addressKey is held when the venue has shut us out.
func (s *Session) addressKey() string { return s.venue.Name + "/" + s.region.Name }
