package store_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/indexer"
	"tallyd/store"
)

// What an account at a venue held is what it was read with; before it was connected
// the movements that the venue shows are undone, and the answer says so.
func TestPastAtVenues(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t, openStore(t, store.Options{Secrets: newKeyset(t)}), chains.FamilyBitcoin)
	account, unread := b.connectVenue(t, "kraken", "k1"), b.connectVenue(t, "kraken", "k2")
	stream := b.hold(t, account.ID)
	noon := time.Now().UTC().Truncate(time.Microsecond).Add(-time.Hour)
	hour := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	sync := func(read indexer.Syncing) {
		t.Helper()
		read.Lease = stream.Lease
		_, err := b.Sync(ctx, read)
		require.NoError(t, err)
	}
	amount := func(text string) venue.Decimal {
		d, err := venue.ParseDecimal(text)
		require.NoError(t, err)
		return d
	}
	move := func(id string, at time.Time, status venue.Status, pairs ...string) venue.Movement {
		m := venue.Movement{Stream: "ledger", ID: id, Kind: venue.Entry, Status: status, Time: at, Vout: -1}
		for i := 0; i < len(pairs); i += 2 {
			m.Legs = append(m.Legs, venue.Leg{Code: pairs[i], Amount: amount(pairs[i+1])})
		}
		return m
	}
	read := spot(hour(0), "XXBT", "1.5", "ZUSD", "100")
	read.Holdings = append(read.Holdings, venue.Held(venue.Earn, "XXBT", amount("0.25"), amount("0")))
	sync(indexer.Syncing{Balances: read, Reading: &indexer.Reading{
		Stream: "ledger", Shown: []bool{true, true, false, true, true, true},
		Movements: []venue.Movement{
			move("buy", hour(-10), venue.Settled, "XXBT", "0.5", "ZUSD", "-30000.000000000000000000000001"),
			move("deposit", hour(-30), venue.Settled, "ZUSD", "500"),
			move("told twice", hour(-30), venue.Settled, "ZUSD", "500"),
			move("failed", hour(-5), venue.Failed, "ZUSD", "-1"),
			move("exactly at a point", hour(-20), venue.Settled, "DOGE", "7"),
			move("later", hour(15), venue.Settled, "ZUSD", "9"),
		},
	}})
	later := spot(hour(20), "XXBT", "2")
	later.Missing = []venue.Missing{{Wallet: venue.Earn, Reason: venue.PermissionMissing}}
	sync(indexer.Syncing{Balances: later})

	times := []time.Time{hour(-40), hour(-20), hour(-10), hour(-9), hour(0), hour(10), hour(20), hour(30)}
	found, err := b.VenueHistory(ctx, b.realm, b.user, times)
	require.NoError(t, err)
	require.Len(t, found, 2)
	lines := func(past indexer.VenueAccountPast) (lines []string) {
		require.Len(t, past.Points, len(times))
		for _, point := range past.Points {
			var held []string
			for _, h := range point.Held {
				held = append(held, h.Asset.Symbol+" "+h.Total.String())
			}
			slices.Sort(held)
			line := strings.Join(held, ", ")
			if point.Partial != "" {
				line += "?"
			}
			lines = append(lines, line)
		}
		return lines
	}
	require.Equal(t, account.ID, found[0].Account.ID)
	require.Equal(t, []string{
		"BTC 1.25, DOGE -7, USD 29600.000000000000000000000001?",
		"BTC 1.25, USD 30100.000000000000000000000001?",
		"BTC 1.75, USD 100?",
		"BTC 1.75, USD 100?",
		"BTC 1.75, USD 100",
		"BTC 1.75, USD 100",
		"BTC 2.25",
		"BTC 2.25",
	}, lines(found[0]))
	require.Contains(t, found[0].Points[0].Partial, "before the account was connected")
	require.Equal(t, unread.ID, found[1].Account.ID)
	for _, point := range found[1].Points {
		require.Equal(t, indexer.PastUnread, point.Partial)
		require.Empty(t, point.Held)
	}
	others, err := b.VenueHistory(ctx, indexer.Realm{Tenant: "other", Environment: chains.Test}, b.user, times)
	require.NoError(t, err)
	require.Empty(t, others)
	require.NoError(t, b.DeleteAccount(ctx, b.realm, account.ID))
	found, err = b.VenueHistory(ctx, b.realm, b.user, times)
	require.NoError(t, err)
	require.Len(t, found, 1)
}
