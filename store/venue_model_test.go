package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/indexer"
	"tallyd/store"
)

// venueModel knows what a venue said, and what of it was committed.
type venueModel struct {
	t       *rapid.T
	b       *bench
	fault   *fault
	account indexer.VenueAccount
	stream  indexer.Stream
	old     []indexer.StreamLease // lost since

	begin   time.Time
	clock   time.Time
	held    map[string]string // by wallet and code
	synced  bool
	rows    map[string]venue.Status // by key
	hashes  map[string]string
	covered venue.Ranges
	stopped bool
	events  []string
}

// commit calls a writer whose transaction may die at any boundary, and reports
// whether what it wrote stands.
func (m *venueModel) commit(verb string, write func() error) bool {
	boundary := rapid.SampledFrom([]string{"", "", "", store.BeforeBegin, store.BeforeCommit, store.AfterCommit}).Draw(m.t, "dies")
	if boundary != "" {
		m.fault.arm(verb + boundary)
	}
	err := write()
	died := m.fault.at.Swap(nil) == nil && boundary != ""
	if !died {
		require.NoError(m.t, err)
		return true
	}
	require.ErrorIs(m.t, err, errFault)
	return boundary == store.AfterCommit
}

func (m *venueModel) balances(t *rapid.T) {
	m.clock = m.clock.Add(time.Second)
	read, now := &venue.Balances{At: m.clock}, map[string]string{}
	for _, wallet := range []venue.Wallet{venue.Spot, venue.Earn} {
		if wallet == venue.Earn && rapid.IntRange(0, 3).Draw(t, "missing") == 0 {
			read.Missing = append(read.Missing, venue.Missing{Wallet: wallet, Reason: venue.Maintenance})
			for at, total := range m.held {
				if strings.HasPrefix(at, string(wallet)) {
					now[at] = total
				}
			}
			continue
		}
		for _, code := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"BTC", "ETH", "X\x00Y"}), rapid.ID[string]).Draw(t, "codes") {
			total := rapid.SampledFrom([]string{"1", "2.50", "-3", "0.000000000000000000000000000001", "123456789012345678901234567890"}).Draw(t, "total")
			d, err := venue.ParseDecimal(total)
			require.NoError(t, err)
			read.Holdings = append(read.Holdings, venue.Owned(wallet, code, d))
			now[string(wallet)+" "+strings.ReplaceAll(code, "\x00", "\ufffd")] = d.String()
		}
	}
	stands := m.commit("sync", func() error {
		_, err := m.b.Sync(t.Context(), indexer.Syncing{Lease: m.stream.Lease, Balances: read})
		return err
	})
	if !stands {
		return
	}
	switch {
	case !m.synced:
		m.events = append(m.events, "account.synced")
	case !maps.Equal(m.held, now):
		m.events = append(m.events, "balance.updated")
	}
	m.held, m.synced = now, true
}

func (m *venueModel) history(t *rapid.T) {
	hour := func(n int) time.Time { return m.begin.Add(time.Duration(n) * time.Hour) }
	from := rapid.IntRange(-20, 20).Draw(t, "from")
	r := venue.Range{From: hour(from), To: hour(from + rapid.IntRange(1, 9).Draw(t, "hours"))}
	reading := &indexer.Reading{Stream: venue.Deposits, Since: hour(-50), Due: time.Now(), Done: rapid.Bool().Draw(t, "done")}
	// A reader that knows nothing of the past shrinks nothing either.
	if rapid.Bool().Draw(t, "knows") {
		reading.Progress.Covered = slices.Clone(m.covered)
	}
	reading.Progress.Covered = reading.Progress.Covered.Add(r)
	rows, hashes := maps.Clone(m.rows), maps.Clone(m.hashes)
	page := map[string]bool{}
	for range rapid.IntRange(0, 4).Draw(t, "rows") {
		n := rapid.IntRange(0, 5).Draw(t, "row")
		key := fmt.Sprint("key", n)
		status := rapid.SampledFrom([]venue.Status{venue.Pending, venue.Settled, venue.Reversed, venue.Failed}).Draw(t, "status")
		hash := rapid.SampledFrom([]string{"", "aa"}).Draw(t, "hash")
		reading.Movements = append(reading.Movements, venue.Movement{
			Stream: venue.Deposits, ID: fmt.Sprint(key, " ", status), Ref: key, Kind: venue.Deposit, Status: status, TxHash: hash,
			State: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "state"), // which alone is no event
			Vout:  -1,
			Time:  hour(n - 3), Legs: []venue.Leg{{Code: "BTC", Amount: venue.NewDecimal(int64(n+1), 1)}},
		})
		reading.Shown = append(reading.Shown, true)
		rows[key], hashes[key], page[key] = status, hash, true
	}
	stands := m.commit("sync", func() error {
		_, err := m.b.Sync(t.Context(), indexer.Syncing{Lease: m.stream.Lease, Reading: reading})
		return err
	})
	if !stands {
		return
	}
	var told []string
	seen := map[string]bool{}
	for _, row := range reading.Movements { // in the order in which they came first
		key := row.Key()
		if seen[key] {
			continue
		}
		seen[key] = true
		was, known := m.rows[key]
		var n int
		_, err := fmt.Sscanf(key, "key%d", &n)
		require.NoError(t, err)
		fresh := !known && (rows[key] == venue.Pending || n-3 >= 1)
		if fresh || known && (was != rows[key] || m.hashes[key] != hashes[key]) {
			told = append(told, "venue_deposit."+string(rows[key]))
		}
	}
	m.events = append(m.events, told...)
	m.rows, m.hashes, m.covered = rows, hashes, m.covered.Add(r)
}

// end ends the turn, and begins another if the account has not stopped.
func (m *venueModel) end(t *rapid.T) {
	turn := indexer.Turn{Lease: m.stream.Lease, BalancesDue: time.Now(), HistoryDue: time.Now()}
	switch rapid.IntRange(0, 4).Draw(t, "ends") {
	case 0:
		turn.Fault = &venue.Error{Reason: venue.KeyRefused, Detail: "gone"}
	case 1:
		turn.Fault = &venue.Error{Reason: venue.Maintenance}
	case 2:
		if m.synced {
			turn.SyncedAt = &m.clock
		}
	}
	stands := m.commit("end_turn", func() error {
		_, err := m.b.EndTurn(t.Context(), turn)
		return err
	})
	if stands {
		switch {
		case turn.Fault != nil && turn.Fault.Reason == venue.KeyRefused:
			m.stopped = true
			m.events = append(m.events, "account.stopped")
			require.ErrorIs(t, second(m.b.AcquireStream(t.Context(), m.account.ID, uuid.New(), leaseTime)), indexer.ErrStopped)
			require.NoError(t, m.b.ResumeVenueAccount(t.Context(), m.b.realm, m.account.ID))
		case turn.SyncedAt != nil && m.stopped:
			m.stopped = false
			m.events = append(m.events, "account.recovered")
		}
	} else {
		// The process died with its lease.
		require.NoError(t, m.b.ResumeVenueAccount(t.Context(), m.b.realm, m.account.ID))
	}
	m.take(t)
}

func (m *venueModel) take(t *rapid.T) {
	m.old = append(m.old, m.stream.Lease)
	stream, err := m.b.AcquireStream(t.Context(), m.account.ID, uuid.New(), leaseTime)
	require.NoError(t, err)
	m.stream = stream
	for _, r := range m.covered {
		require.Empty(t, stream.Histories[venue.Deposits].Progress.Covered.Gaps(r), "a new owner goes on from less")
	}
}

// late is a process that was paused and lost its lease meanwhile.
func (m *venueModel) late(t *rapid.T) {
	if len(m.old) == 0 {
		t.Skip()
	}
	lease := rapid.SampledFrom(m.old).Draw(t, "lease")
	require.ErrorIs(t, second(m.b.Sync(t.Context(), indexer.Syncing{Lease: lease, Balances: spot(m.clock, "LATE", "1")})), indexer.ErrStale)
	require.ErrorIs(t, second(m.b.EndTurn(t.Context(), indexer.Turn{Lease: lease})), indexer.ErrStale)
}

func (m *venueModel) check(t *rapid.T) {
	ctx := t.Context()
	balance, err := m.b.VenueBalance(ctx, m.b.realm, m.account.ID)
	require.NoError(t, err)
	held, sums := map[string]string{}, map[chains.AssetID]venue.Decimal{}
	for _, h := range balance.Holdings {
		sums[h.Asset.Asset] = sums[h.Asset.Asset].Or(venue.NewDecimal(0, 0)).Add(h.Total)
		held[string(h.Wallet)+" "+h.Code] = h.Total.String()
	}
	require.Equal(t, m.held, held)
	past, err := m.b.VenueHistory(ctx, m.b.realm, m.b.user, []time.Time{m.clock})
	require.NoError(t, err)
	require.Len(t, past, 1)
	for _, h := range past[0].Points[0].Held {
		sums[h.Asset.Asset] = sums[h.Asset.Asset].Or(venue.NewDecimal(0, 0)).Sub(h.Total)
	}
	for asset, difference := range sums {
		require.Zero(t, difference.Sign(), "what was held of %s at the last reading is what is held", asset)
	}
	require.Equal(t, m.synced, balance.Account.State.LastSync != nil)
	movements, err := m.b.VenueMovements(ctx, m.b.realm, indexer.VenueMovementFilter{Accounts: []uuid.UUID{m.account.ID}, Shown: true, Limit: 100})
	require.NoError(t, err)
	require.Len(t, movements, len(m.rows))
	for _, row := range movements {
		require.Equal(t, m.rows[row.Key()], row.Status)
		require.Equal(t, fmt.Sprint(row.Key(), " ", row.Status), row.Movement.ID, "the id of the day")
	}
	for _, h := range balance.Account.State.Histories {
		for _, r := range m.covered {
			require.Empty(t, h.Covered.Gaps(r), "what was covered is no more")
		}
		for _, r := range h.Covered {
			require.Empty(t, m.covered.Gaps(r), "more is covered than was read")
		}
	}
}

// Whatever is read, in whatever order, and wherever the process dies: holdings are
// those of the last reading that stands, each row is there once as it was last seen,
// covered ranges never shrink, and each change has its event.
func TestSyncModel(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	var f fault
	s := openStore(t, store.Options{URL: url, Failpoint: f.fail, Secrets: newKeyset(t)})
	rapid.Check(t, func(r *rapid.T) {
		b := newBench(t, s, chains.FamilyBitcoin)
		now := time.Now().UTC().Truncate(time.Hour)
		m := &venueModel{
			t: r, b: b, fault: &f, begin: now, clock: now, held: map[string]string{}, rows: map[string]venue.Status{}, hashes: map[string]string{},
			account: b.connectVenue(t, "okx", b.realm.Tenant),
		}
		m.stream = b.hold(t, m.account.ID)
		r.Repeat(map[string]func(*rapid.T){"balances": m.balances, "history": m.history, "end": m.end, "late": m.late, "": m.check})
		require.Equal(r, m.events, append([]string(nil), b.types(t)...))
		_, err := conn.Exec(t.Context(), `TRUNCATE events RESTART IDENTITY`)
		require.NoError(r, err)
	})
}
