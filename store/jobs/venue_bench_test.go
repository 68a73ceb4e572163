package jobs_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/indexer"
)

// BenchmarkThousandAccounts makes a thousand accounts at three venues level, inside
// the budgets that the venues declare, with real PostgreSQL and Redis, and then
// reads them again where nothing has changed. Their histories are read beside.
func BenchmarkThousandAccounts(b *testing.B) {
	accounts := 1000
	if n, err := strconv.Atoi(os.Getenv("TALLYD_BENCH_ACCOUNTS")); err == nil {
		accounts = n
	}
	for b.Loop() {
		b.StopTimer()
		const again = 20 * time.Second
		f := newFleet(b, fleetOptions{bounded: true, workers: 64, schedule: &indexer.VenueSchedule{Balances: often(again), History: often(time.Hour)}})
		for i := range accounts {
			name := []string{"kraken", "bitmart", "htx"}[i%3]
			f.store(name, fmt.Sprint("key", i))
		}
		before := f.writes()
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan struct{})
		began := time.Now()
		b.StartTimer()
		go func() {
			defer close(ended)
			_ = indexer.RunJobs(ctx, []indexer.Job{{Name: "venues", Spec: "@every 1s", Run: f.look}}, zerolog.Nop())
		}()
		f.await("all are level", func() bool { return f.count(`SELECT count(*) FROM streams WHERE status = 'level'`) == accounts })
		b.StopTimer()
		b.ReportMetric(time.Since(began).Seconds(), "level-s")
		runtime.GC()
		b.ReportMetric(float64(heapOf())/1e6, "heap-MB")
		b.ReportMetric(resident(b), "resident-MB")
		after := f.writes()
		b.ReportMetric(float64(after.ledger-before.ledger)/float64(accounts), "ledger-rows/account")
		b.ReportMetric(float64(after.schedule-before.schedule)/float64(accounts), "stream-rows/account")
		b.ReportMetric(float64(after.jobs-before.jobs)/float64(accounts), "job-rows/account")

		// From here on no history is begun, so that what an unchanged balance
		// costs is all that is counted.
		f.await("histories rest", func() bool {
			_, err := f.Pool().Exec(b.Context(), `UPDATE streams SET history_due = now() + interval '1 day' WHERE history_due < now() + interval '2 hours' AND owner IS NULL`)
			require.NoError(b, err)
			return f.count(`SELECT count(*) FROM streams WHERE history_due < now() + interval '2 hours'`) == 0
		})
		quiet, from := f.writes(), time.Now()
		f.await("all were read again", func() bool {
			return f.counted(`SELECT count(*) FROM streams WHERE synced_at > $1`, from.Add(again/2)) == accounts
		})
		unchanged := f.writes()
		readings := float64(unchanged.schedule-quiet.schedule) / 2
		b.ReportMetric(float64(unchanged.ledger-quiet.ledger), "unchanged-ledger-rows")
		b.ReportMetric(float64(unchanged.schedule-quiet.schedule)/float64(accounts), "unchanged-stream-rows/account")
		b.ReportMetric(float64(unchanged.jobs-quiet.jobs)/readings, "unchanged-job-rows/reading")
		require.Zero(b, unchanged.ledger-quiet.ledger, "an unchanged balance wrote something")
		cancel()
		<-ended
		b.StartTimer()
	}
}

// store stores a login without trying it.
func (f *fleet) store(name, key string) {
	f.t.Helper()
	f.market.open(name, key)
	c := credentials(name, key)
	require.NoError(f.t, f.CreateVenueAccount(f.t.Context(), indexer.VenueAccount{
		Account: indexer.Account{ID: uuid.New(), Realm: f.realm, UserID: f.user, Venue: name, Kind: indexer.KindVenue, Wallet: c.Digest(name)},
		Region:  venues()[name].Regions[0].Name,
	}, c))
}

// await waits without looking for what is due: a job does.
func (f *fleet) await(what string, done func() bool) {
	f.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(10 * time.Minute)
	defer end.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			require.Fail(f.t, "not in time: "+what)
		}
	}
}

func (f *fleet) count(query string) (n int) {
	f.t.Helper()
	require.NoError(f.t, f.Pool().QueryRow(f.t.Context(), query).Scan(&n))
	return n
}

func (f *fleet) counted(query string, at time.Time) (n int) {
	f.t.Helper()
	require.NoError(f.t, f.Pool().QueryRow(f.t.Context(), query, at).Scan(&n))
	return n
}

// written is what Postgres has written: rows inserted, updated and deleted.
type written struct{ ledger, schedule, jobs int64 }

// writes returns what was written until now, once the statistics have come in.
func (f *fleet) writes() written {
	f.t.Helper()
	const settling = 12 * time.Second // an idle connection of Postgres tells after ten
	<-time.After(settling)
	var w written
	require.NoError(f.t, f.Pool().QueryRow(f.t.Context(), `
		SELECT
			coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE relname IN ('holdings', 'holding_changes', 'venue_movements', 'histories', 'events', 'accounts', 'logins')), 0)::bigint,
			coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE relname = 'streams'), 0)::bigint,
			coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE relname LIKE 'river%'), 0)::bigint
		FROM pg_stat_user_tables`).Scan(&w.ledger, &w.schedule, &w.jobs))
	return w
}

func heapOf() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// resident is the memory of this process, the venues' side included.
func resident(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(b, err)
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(b, err)
			return float64(n) / 1000
		}
	}
	return 0
}
