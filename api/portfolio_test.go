package api_test

import (
	"context"
	"errors"
	"math/big"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/indexer"
)

// fakePast is accounts whose holdings grow from point to point: n bitcoins at the
// n-th on a chain, an ether in custody, and dollars at a venue.
type fakePast struct {
	mu     sync.Mutex
	ids    [3]uuid.UUID
	times  []time.Time // of the last call
	assets int         // tokens held beside
	down   error
}

func (f *fakePast) set(change func(*fakePast)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakePast) AccountHistory(_ context.Context, _ indexer.Realm, _ uuid.UUID, times []time.Time) ([]indexer.AccountPast, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times = times
	if f.ids[0] == uuid.Nil {
		return nil, f.down
	}
	past := indexer.AccountPast{Account: indexer.Account{ID: f.ids[0], Chain: "btc", Kind: indexer.KindAddress}, Points: make([]indexer.PastPoint, len(times))}
	for n := range times {
		past.Points[n].Hold(btc, chains.NewAmount(int64(n)*100_000_000))
		for i := range f.assets {
			past.Points[n].Hold(chains.Asset{ID: chains.AssetID("eip155:1/erc20:" + uuid.NewSHA1(uuid.Nil, []byte{byte(i), byte(i >> 8)}).String())}, chains.NewAmount(1))
		}
	}
	past.Points[0].Doubt("its past is being searched")
	return []indexer.AccountPast{past}, f.down
}

func (f *fakePast) VaultHistory(_ context.Context, _ indexer.Realm, _ uuid.UUID, times []time.Time) ([]indexer.AccountPast, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids[1] == uuid.Nil {
		return nil, nil
	}
	past := indexer.AccountPast{Account: indexer.Account{ID: f.ids[1], Chain: "eth", Kind: indexer.KindVault}, Points: make([]indexer.PastPoint, len(times))}
	for n := range times {
		past.Points[n].Hold(eth, chains.NewAmount(1_000_000_000_000_000_000))
	}
	return []indexer.AccountPast{past}, nil
}

func (f *fakePast) VenueHistory(_ context.Context, _ indexer.Realm, _ uuid.UUID, times []time.Time) ([]indexer.VenueAccountPast, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids[2] == uuid.Nil {
		return nil, nil
	}
	past := indexer.VenueAccountPast{Account: indexer.Account{ID: f.ids[2], Venue: "bitmart", Kind: indexer.KindVenue}, Points: make([]indexer.VenuePastPoint, len(times))}
	for n := range times {
		past.Points[n].Held = []indexer.VenuePastHeld{
			{Asset: identity.Identity{Asset: price.USD, Symbol: "USD", Known: true}, Total: venue.NewDecimal(12345, 2)},
			{Asset: identity.Identity{Asset: btc.ID, Symbol: "BTC", Known: true}, Total: venue.NewDecimal(5, 1)},
		}
	}
	return []indexer.VenueAccountPast{past}, nil
}

// One answer tells what all accounts held at each point, on chains, in custody and at
// venues, and what that was worth at the time.
func TestPortfolio(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ids := [3]uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	d.past.set(func(f *fakePast) { f.ids = ids })
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	d.prices.set(func(f *fakePrices) {
		f.kept = []price.Price{
			kept(t, btc.ID, price.USD, "60000", day.Add(24*time.Hour-time.Minute)),
			kept(t, btc.ID, price.USD, "70000", day.Add(48*time.Hour-time.Minute)),
			kept(t, eth.ID, price.USD, "2000", day.Add(24*time.Hour-time.Minute)),
		}
	})
	_, bearer := d.user()
	a := d.call("GET", "/v1/aggregate/history?from=2026-11-01&to=2026-11-03&currency=USD", "", "Authorization", bearer)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.raw)
	points, _ := a.json(t, "points").([]any)
	require.Len(t, points, 3)
	require.Equal(t, "2026-11-01T00:00:00.000000+00:00", a.json(t, "from"))
	require.Equal(t, "2026-11-03T00:00:00.000000+00:00", a.json(t, "to"))
	for i, want := range []string{"onchain/btc/account/" + ids[0].String(), "wallets/" + ids[1].String(), "exchange/bitmart/account/" + ids[2].String()} {
		require.Equal(t, want, a.json(t, "accounts", i, "url"))
		require.Equal(t, ids[i].String(), a.json(t, "accounts", i, "account_id"))
	}

	require.Equal(t, false, a.json(t, "points", 0, "complete"))
	require.Equal(t, "its past is being searched", a.json(t, "points", 0, "partial", 0, "reason"))
	require.EqualValues(t, "123.45", a.json(t, "points", 0, "converted", "converted_value"), "dollars alone had a price then")
	require.Equal(t, false, a.json(t, "points", 0, "converted", "complete"))
	unpriced, _ := a.json(t, "points", 0, "converted", "unpriced").([]any)
	require.Len(t, unpriced, 2)

	require.Equal(t, true, a.json(t, "points", 2, "complete"))
	require.EqualValues(t, "2.5", a.json(t, "points", 2, "balance", 0, "value"), "of a chain and of a venue")
	require.EqualValues(t, "175000", a.json(t, "points", 2, "balance", 0, "converted_value"))
	require.Equal(t, "70000", a.json(t, "points", 2, "balance", 0, "price", "rate"))
	require.EqualValues(t, "92123.45", a.json(t, "points", 1, "converted", "converted_value"))
	sum := new(big.Rat)
	balance, _ := a.json(t, "points", 2, "balance").([]any)
	for i := range balance {
		sum.Add(sum, rational(t, a.json(t, "points", 2, "balance", i, "converted_value")))
	}
	require.Zero(t, sum.Cmp(rational(t, a.json(t, "points", 2, "converted", "converted_value"))))

	a = d.call("GET", "/v1/aggregate/history?from=2026-11-01&to=2026-11-03&account-filter="+ids[2].String(), "", "Authorization", bearer)
	require.EqualValues(t, "0.5", a.json(t, "points", 2, "balance", 1, "value"))
	require.Nil(t, a.json(t, "points", 2, "converted"))
	require.Equal(t, http.StatusNotFound, d.call("GET", "/v1/aggregate/history?account-filter="+uuid.NewString(), "", "Authorization", bearer).StatusCode)
}

// What would be too much is refused and never cut short.
func TestPortfolioBounds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, bearer := d.user()
	began := time.Now()
	a := d.call("GET", "/v1/aggregate/history", "", "Authorization", bearer)
	require.Equal(t, http.StatusOK, a.StatusCode)
	points, _ := a.json(t, "points").([]any)
	require.Len(t, points, 31)
	d.past.set(func(f *fakePast) {
		require.Len(t, f.times, 31)
		require.WithinRange(t, f.times[30], began.Add(-time.Second), time.Now(), "the last point is now")
	})
	a = d.call("GET", "/v1/aggregate/history?from=2026-11-01T00:00:00Z&to=2026-11-01T06:00:00Z&step=90m", "", "Authorization", bearer)
	points, _ = a.json(t, "points").([]any)
	require.Len(t, points, 5, "both ends")
	for _, bad := range []string{
		"from=2020-01-01&step=1h", "from=2026-11-02&to=2026-11-01", "from=yesterday", "to=2999-01-01", "to=soon", "step=1y", "step=0d", "step=d", "step=-1d",
		"from=2026-11-01T00:00:00Z&to=2026-11-01T06:41:00Z&step=1m", "from=2026-11-01&currency=XYZ",
	} {
		a := d.call("GET", "/v1/aggregate/history?"+bad, "", "Authorization", bearer)
		require.Equal(t, http.StatusBadRequest, a.StatusCode, bad)
	}
	a = d.call("GET", "/v1/aggregate/history?from=2026-11-01T00:00:00Z&to=2026-11-01T06:39:00Z&step=1m", "", "Authorization", bearer)
	points, _ = a.json(t, "points").([]any)
	require.Len(t, points, 400)
	d.past.set(func(f *fakePast) { f.ids[0], f.assets = uuid.New(), 700 })
	a = d.call("GET", "/v1/aggregate/history", "", "Authorization", bearer)
	require.Equal(t, http.StatusBadRequest, a.StatusCode)
	require.Contains(t, a.json(t, "message"), "at most 20000")
	d.past.set(func(f *fakePast) { f.down = errors.New("dial tcp 10.0.0.7:5432: password=hunter2") })
	a = d.call("GET", "/v1/aggregate/history", "", "Authorization", bearer)
	require.Equal(t, http.StatusInternalServerError, a.StatusCode)
	require.NotContains(t, string(a.raw), "hunter2")
}
