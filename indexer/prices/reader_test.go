package prices_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains/price"
	"tallyd/indexer/prices"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source says what it is told to say.
type source struct {
	name   string
	quotes []price.Quote
	err    error
	hangs  bool
	asked  int
}

func (s *source) Name() string { return s.name }

func (s *source) Quotes(ctx context.Context) ([]price.Quote, error) {
	s.asked++
	if s.hangs {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return s.quotes, s.err
}

// memory is a ledger of prices in memory, by the clock of the test.
type memory struct {
	mu      sync.Mutex
	claimed map[string]time.Time
	kept    []price.Price
	failing error
}

func (m *memory) ClaimReading(_ context.Context, name string, gap time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.claimed == nil {
		m.claimed = map[string]time.Time{}
	}
	now := time.Now()
	if last, there := m.claimed[name]; there && now.Sub(last) < gap {
		return false, m.failing
	}
	m.claimed[name] = now
	return true, m.failing
}

func (m *memory) PutPrices(_ context.Context, list []price.Price) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = append(m.kept, list...)
	return m.failing
}

func (m *memory) PricesAt(_ context.Context, wants []prices.Want) ([]price.Price, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make([]price.Price, len(wants))
	for i, want := range wants {
		for _, p := range m.kept {
			if p.Base == want.Base && p.In == want.In && !p.AsOf.After(want.At) && want.At.Sub(p.AsOf) < want.Reach && p.AsOf.After(found[i].AsOf) {
				found[i] = p
			}
		}
	}
	return found, m.failing
}

func (*memory) ThinPrices(context.Context, time.Time) error { return nil }

func reader(ledger prices.Ledger, sources ...prices.Source) *prices.Reader {
	return &prices.Reader{
		Group: "markets", Gap: 4 * time.Minute, Sources: sources, Ledger: ledger, Rules: rules, Log: zerolog.Nop(),
		Now: func() time.Time { return noon },
	}
}

// Of many processes one reads, and the next one when it is time.
func TestOneReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := &memory{}
		a := &source{name: "a", quotes: []price.Quote{said(t, "a", "100")}}
		b := &source{name: "b", quotes: []price.Quote{said(t, "b", "101")}}
		var many sync.WaitGroup
		for range 5 {
			many.Go(func() { require.NoError(t, reader(ledger, a, b).Read(t.Context())) })
		}
		many.Wait()
		require.Equal(t, []int{1, 1}, []int{a.asked, b.asked})
		require.Len(t, ledger.kept, 1)
		elapse(3 * time.Minute)
		require.NoError(t, reader(ledger, a, b).Read(t.Context()))
		require.Equal(t, 1, a.asked)
		elapse(2 * time.Minute)
		require.NoError(t, reader(ledger, a, b).Read(t.Context()))
		require.Equal(t, 2, a.asked)
	})
}

// A source that is dead, or hangs, keeps nothing from being read; what it said
// before stays with its time.
func TestDeadSources(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := &memory{}
		a := &source{name: "a", quotes: []price.Quote{said(t, "a", "100")}}
		dead := &source{name: "dead", err: errors.New("a web page in place of an answer")}
		hangs := &source{name: "hangs", hangs: true}
		began := time.Now()
		require.NoError(t, reader(ledger, dead, a, hangs).Read(t.Context()))
		require.Equal(t, 45*time.Second, time.Since(began))
		require.Equal(t, "100", ledger.kept[0].Rate.String())
		require.True(t, ledger.kept[0].Thin)

		elapse(time.Hour)
		err := reader(ledger, dead, hangs).Read(t.Context())
		require.ErrorContains(t, err, "dead: a web page")
		require.ErrorContains(t, err, "hangs: ")
		require.Len(t, ledger.kept, 1)
		book := prices.Book{Rates: ledger, Names: names(t)}
		found, err := book.Prices(t.Context(), price.USD, []prices.Ask{{Asset: btc, At: noon.Add(time.Hour)}})
		require.NoError(t, err)
		require.Equal(t, "100", found[0].Rate.String(), "the last price, and not nothing")
		require.True(t, found[0].Stale(noon.Add(time.Hour)))

		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("told to stop")
		cancel(why)
		elapse(time.Hour)
		require.ErrorIs(t, reader(ledger, hangs).Read(ctx), why)
		ledger.failing = errors.New("database is gone")
		require.ErrorIs(t, reader(ledger, a).Read(t.Context()), ledger.failing)
	})
}

func names(t *testing.T) *price.Names {
	t.Helper()
	n, err := price.LoadNames()
	require.NoError(t, err)
	return n
}

func TestBook(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) func(*price.Price) {
		return func(p *price.Price) { p.AsOf, p.Until = noon.Add(-d), noon.Add(time.Hour-d) }
	}
	keep := func(base, in, text, source string, change ...func(*price.Price)) price.Price {
		n := names(t)
		b, known := n.Asset(base)
		require.True(t, known)
		i, known := n.Asset(in)
		require.True(t, known)
		p := price.Price{Base: b, In: i, Rate: rate(t, text), AsOf: noon, Until: noon.Add(time.Hour), Sources: []string{source}}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	ledger := &memory{kept: []price.Price{
		keep("BTC", "USD", "60000", "coinbase", at(5*time.Minute)),
		keep("ETH", "USD", "2400", "chainlink", at(10*time.Minute), func(p *price.Price) { p.Thin = true }),
		keep("EUR", "USD", "1.2", "ecb", at(30*time.Hour)),
		keep("EUR", "GBP", "0.8", "ecb", at(30*time.Hour)),
		keep("EUR", "JPY", "160", "ecb", at(30*time.Hour)),
		keep("SOL", "USD", "200", "coinbase", at(72*time.Hour)),
	}}
	for _, tt := range []struct {
		base, in string
		want     string
		sources  []string
		age      time.Duration
		thin     bool
	}{
		{base: "BTC", in: "USD", want: "60000", sources: []string{"coinbase"}, age: 5 * time.Minute},
		{base: "BTC", in: "EUR", want: "50000", sources: []string{"coinbase", "ecb"}, age: 30 * time.Hour},
		{base: "BTC", in: "GBP", want: "40000", sources: []string{"coinbase", "ecb"}, age: 30 * time.Hour},
		{base: "BTC", in: "ETH", want: "25", sources: []string{"chainlink", "coinbase"}, age: 10 * time.Minute, thin: true},
		{base: "GBP", in: "EUR", want: "1.25", sources: []string{"ecb"}, age: 30 * time.Hour},
		{base: "EUR", in: "GBP", want: "0.8", sources: []string{"ecb"}, age: 30 * time.Hour},
		{base: "GBP", in: "JPY", want: "200", sources: []string{"ecb"}, age: 30 * time.Hour},
		{base: "USD", in: "EUR", want: "0.833333333333333333333333", sources: []string{"ecb"}, age: 30 * time.Hour},
		{base: "USD", in: "BTC", want: "0.0000166666666666666666666667", sources: []string{"coinbase"}, age: 5 * time.Minute},
		{base: "JPY", in: "JPY", want: "1", sources: []string{"itself"}},
		{base: "SOL", in: "USD"}, // too long ago
		{base: "LTC", in: "USD"},
		{base: "BTC", in: "CHF"},
	} {
		n := names(t)
		base, _ := n.Asset(tt.base)
		in, _ := n.Asset(tt.in)
		found, err := (&prices.Book{Rates: ledger, Names: n}).Prices(t.Context(), in, []prices.Ask{{Asset: base, At: noon}})
		require.NoError(t, err)
		got := found[0]
		require.Equal(t, tt.want, got.Rate.String(), "%s/%s", tt.base, tt.in)
		require.Equal(t, base, got.Base)
		require.Equal(t, in, got.In)
		if tt.want != "" {
			require.True(t, slices.Equal(tt.sources, got.Sources), "%s/%s: %v", tt.base, tt.in, got.Sources)
			require.Equal(t, tt.age, noon.Sub(got.AsOf), "%s/%s", tt.base, tt.in)
			require.Equal(t, tt.thin, got.Thin, "%s/%s", tt.base, tt.in)
		}
	}
}

// elapse lets the clock of a test's bubble run.
func elapse(d time.Duration) { <-time.After(d) }
