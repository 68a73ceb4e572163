package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tallyd/chains/price"
	"tallyd/indexer/prices"
	"tallyd/store/db"
)

var _ prices.Ledger = (*Store)(nil)

// ClaimReading implements prices.Ledger.
func (s *Store) ClaimReading(ctx context.Context, name string, gap time.Duration) (bool, error) {
	claimed, err := s.queries(ctx).ClaimReading(ctx, db.ClaimReadingParams{Name: name, Seconds: gap.Seconds()})
	if err != nil {
		return false, fmt.Errorf("claim reading %s: %w", name, err)
	}
	return claimed > 0, nil
}

// PutPrices implements prices.Ledger.
func (s *Store) PutPrices(ctx context.Context, list []price.Price) error {
	if len(list) == 0 {
		return nil
	}
	var p db.PutPricesParams
	for _, one := range list {
		digits, decimals := one.Rate.Parts()
		p.Bases, p.Quotes, p.AsOfs = append(p.Bases, string(one.Base)), append(p.Quotes, string(one.In)), append(p.AsOfs, one.AsOf)
		p.Rates, p.Decimals = append(p.Rates, digits), append(p.Decimals, int32(decimals)) //nolint:gosec // bounded by what a rate is
		p.Untils, p.Thins = append(p.Untils, one.Until), append(p.Thins, one.Thin)
		p.Sources = append(p.Sources, strings.Join(one.Sources, " "))
	}
	if err := s.queries(ctx).PutPrices(ctx, p); err != nil {
		return fmt.Errorf("put %d prices: %w", len(list), err)
	}
	return nil
}

// maxWants is how many prices one statement looks for.
const maxWants = 5_000

// PricesAt implements prices.Ledger.
func (s *Store) PricesAt(ctx context.Context, wants []prices.Want) ([]price.Price, error) {
	found := make([]price.Price, 0, len(wants))
	for part := range slices.Chunk(wants, maxWants) {
		some, err := s.pricesAt(ctx, part)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	return found, nil
}

func (s *Store) pricesAt(ctx context.Context, wants []prices.Want) ([]price.Price, error) {
	var p db.PricesAtParams
	for _, want := range wants {
		p.Bases, p.Quotes, p.Ats = append(p.Bases, string(want.Base)), append(p.Quotes, string(want.In)), append(p.Ats, want.At)
		p.Seconds = append(p.Seconds, int64(want.Reach/time.Second))
	}
	rows, err := s.queries(ctx).PricesAt(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("read %d prices: %w", len(wants), err)
	}
	found := make([]price.Price, len(wants))
	for i, want := range wants {
		found[i] = price.Price{Base: want.Base, In: want.In}
	}
	for _, row := range rows {
		rate, err := price.NewRate(row.Rate, int(row.Decimals))
		if err != nil {
			return nil, fmt.Errorf("read the price of %s: %w", wants[row.N-1].Base, err)
		}
		at := &found[row.N-1]
		at.Rate, at.AsOf, at.Until, at.Sources, at.Thin = rate, row.AsOf.UTC(), row.Until.UTC(), row.Sources, row.Thin
	}
	return found, nil
}

// ThinPrices implements prices.Ledger.
func (s *Store) ThinPrices(ctx context.Context, before time.Time) error {
	if _, err := s.queries(ctx).ThinPrices(ctx, before); err != nil {
		return fmt.Errorf("thin prices: %w", err)
	}
	return nil
}
