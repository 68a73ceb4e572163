package api_test

import (
	"context"
	"sync"

	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/indexer/prices"
)

// fakePrices answers with what the test set, as the real book does of it. asked are
// the wants of the last call.
type fakePrices struct {
	names *price.Names

	mu    sync.Mutex
	kept  []price.Price
	asked []prices.Ask
	down  error
}

// set changes the prices while the API may read them.
func (f *fakePrices) set(change func(*fakePrices)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakePrices) Prices(ctx context.Context, in chains.AssetID, asks []prices.Ask) ([]price.Price, error) {
	f.set(func(f *fakePrices) { f.asked = asks })
	return (&prices.Book{Rates: f, Names: f.names}).Prices(ctx, in, asks)
}

// PricesAt returns the newest of the kept prices for each want.
func (f *fakePrices) PricesAt(_ context.Context, wants []prices.Want) ([]price.Price, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make([]price.Price, len(wants))
	for i, want := range wants {
		for _, p := range f.kept {
			if p.Base == want.Base && p.In == want.In && !p.AsOf.After(want.At) && p.AsOf.After(found[i].AsOf) {
				found[i] = p
			}
		}
	}
	return found, f.down
}
