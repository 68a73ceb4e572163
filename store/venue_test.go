package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/indexer"
	"tallyd/store"
	"tallyd/store/secret"
)

// login returns credentials of a key.
func login(key string) venue.Credentials {
	return venue.NewCredentials(map[string]string{venue.FieldKey: key, venue.FieldSecret: "secret of " + key})
}

// connectVenue adds an account at a venue.
func (b *bench) connectVenue(t testing.TB, name, key string) indexer.VenueAccount {
	t.Helper()
	account := indexer.VenueAccount{
		Account: indexer.Account{ID: uuid.New(), Realm: b.realm, UserID: b.user, Kind: indexer.KindVenue, Venue: name, Wallet: login(key).Digest(name)},
		Region:  "global", Login: "login of " + b.realm.Tenant, State: indexer.VenueState{Warnings: []string{"beware"}},
	}
	require.NoError(t, b.CreateVenueAccount(t.Context(), account, login(key)))
	return account
}

// hold takes the lease of an account.
func (b *bench) hold(t testing.TB, account uuid.UUID) indexer.Stream {
	t.Helper()
	stream, err := b.AcquireStream(t.Context(), account, uuid.New(), leaseTime)
	require.NoError(t, err)
	return stream
}

// spot returns balances of the spot wallet, given as code and total in turn.
func spot(at time.Time, pairs ...string) *venue.Balances {
	read := &venue.Balances{At: at}
	for i := 0; i < len(pairs); i += 2 {
		total, err := venue.ParseDecimal(pairs[i+1])
		if err != nil {
			panic(err)
		}
		read.Holdings = append(read.Holdings, venue.Held(venue.Spot, pairs[i], total, venue.NewDecimal(0, 0)))
	}
	return read
}

// held returns what an account holds, in lines.
func (b *bench) held(t testing.TB, account uuid.UUID) []string {
	t.Helper()
	balance, err := b.VenueBalance(t.Context(), b.realm, account)
	require.NoError(t, err)
	lines := []string{}
	for _, h := range balance.Holdings {
		lines = append(lines, fmt.Sprintf("%s %s %s", h.Wallet, h.Code, h.Total))
	}
	return lines
}

// endTurn ends a turn whose balances stand, or with a fault.
func (b *bench) endTurn(t testing.TB, lease indexer.StreamLease, at *time.Time, fault *venue.Error) {
	t.Helper()
	_, err := b.EndTurn(t.Context(), indexer.Turn{
		Lease: lease, BalancesDue: time.Now().Add(time.Minute), HistoryDue: time.Now().Add(time.Minute), SyncedAt: at, Fault: fault,
	})
	require.NoError(t, err)
}

// venueCalls passes each commit boundary of accounts at venues.
func venueCalls(t *testing.T, b *bench) {
	t.Helper()
	ctx := t.Context()
	require.ErrorIs(t, second(b.Sync(ctx, indexer.Syncing{})), indexer.ErrStale)
	account := b.connectVenue(t, "kraken", "calls")
	stream := b.hold(t, account.ID)
	require.NoError(t, second(b.Sync(ctx, indexer.Syncing{Lease: stream.Lease, Balances: spot(time.Now())})))
	b.endTurn(t, stream.Lease, nil, nil)
	require.NoError(t, b.ReplaceCredentials(ctx, account, login("other")))
	require.NoError(t, b.ResumeVenueAccount(ctx, b.realm, account.ID))
	require.NoError(t, b.DeleteAccount(ctx, b.realm, account.ID))
}

func TestSync(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var f fault
	b := newBench(t, openStore(t, store.Options{Failpoint: f.fail, Secrets: newKeyset(t)}), chains.FamilyBitcoin)
	account := b.connectVenue(t, "kraken", "k1")
	again := account
	again.ID = uuid.New()
	require.ErrorIs(t, b.CreateVenueAccount(ctx, again, login("k1")), indexer.ErrExists)

	due, err := b.DueStreams(ctx, 10)
	require.NoError(t, err)
	require.Equal(t, []indexer.DueStream{{Account: account.ID, Venue: "kraken"}}, due)
	stream := b.hold(t, account.ID)
	require.Equal(t, "secret of k1", stream.Credentials.Get(venue.FieldSecret))
	_, err = b.AcquireStream(ctx, account.ID, uuid.New(), leaseTime)
	require.ErrorIs(t, err, indexer.ErrLeased)
	_, err = b.AcquireStream(ctx, uuid.New(), uuid.New(), leaseTime)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	due, err = b.DueStreams(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, due, "somebody reads it")

	// Thirty digits on each side of the point, and what is owed.
	at := time.Now().UTC().Truncate(time.Millisecond)
	first := spot(at, "XETH", "-0.5", "XXBT", "123456789012345678901234567890.000000000000000000000000000001")
	syncing := indexer.Syncing{Lease: stream.Lease, Balances: first}
	for _, boundary := range []string{store.BeforeBegin, store.BeforeCommit} {
		f.arm("sync" + boundary)
		require.ErrorIs(t, second(b.Sync(ctx, syncing)), errFault)
		require.Empty(t, b.held(t, account.ID))
	}
	state, err := b.VenueAccount(ctx, b.realm, account.ID)
	require.NoError(t, err)
	require.Nil(t, state.State.LastSync)
	require.Equal(t, indexer.StateSyncing, state.State.Status)

	f.arm("sync" + store.AfterCommit)
	require.ErrorIs(t, second(b.Sync(ctx, syncing)), errFault)
	require.NoError(t, second(b.Sync(ctx, syncing)), "again changes nothing")
	require.Equal(t, []string{"spot XETH -0.5", "spot XXBT 123456789012345678901234567890.000000000000000000000000000001"}, b.held(t, account.ID))
	b.endTurn(t, stream.Lease, &at, nil)
	state, err = b.VenueAccount(ctx, b.realm, account.ID)
	require.NoError(t, err)
	require.Equal(t, indexer.StateLevel, state.State.Status)
	require.True(t, at.Equal(*state.State.LastSync))
	require.Equal(t, []string{"beware"}, state.State.Warnings)
	require.Equal(t, []string{"account.synced"}, b.types(t))

	stream = b.hold(t, account.ID)
	require.Equal(t, []string{"XETH", "XXBT"}, stream.Codes)
	syncing = indexer.Syncing{Lease: stream.Lease, Balances: spot(at.Add(time.Second), "XXBT", "2")}
	syncing.Balances.Missing = []venue.Missing{{Wallet: venue.Earn, Reason: venue.PermissionMissing, Detail: "no\x00"}}
	synced, err := b.Sync(ctx, syncing)
	require.NoError(t, err)
	require.Equal(t, indexer.Synced{Holdings: 2, Events: 1}, synced)
	require.Equal(t, []string{"spot XXBT 2"}, b.held(t, account.ID))
	var told struct {
		Changes []struct{ Code, Asset, Total, Was string }
	}
	events := b.events(t)
	require.Equal(t, "balance.updated", events[1].Type)
	require.NoError(t, json.Unmarshal(events[1].Data, &told))
	require.Equal(t, "XETH", told.Changes[0].Code)
	require.Equal(t, "0", told.Changes[0].Total)
	require.Equal(t, "-0.5", told.Changes[0].Was)
	require.Contains(t, told.Changes[1].Asset, "bip122:")

	// The paused owner, another tenant, and a deleted account.
	b.endTurn(t, stream.Lease, nil, nil)
	stream = b.hold(t, account.ID)
	require.ErrorIs(t, second(b.Sync(ctx, syncing)), indexer.ErrStale)
	_, err = b.EndTurn(ctx, indexer.Turn{Lease: syncing.Lease})
	require.ErrorIs(t, err, indexer.ErrStale)
	require.ErrorIs(t, b.RenewStream(ctx, syncing.Lease, leaseTime), indexer.ErrStale)
	require.NoError(t, b.RenewStream(ctx, stream.Lease, leaseTime))
	_, err = b.VenueBalance(ctx, indexer.Realm{Tenant: "default", Environment: chains.Test}, account.ID)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	past, err := b.VenueHistory(ctx, b.realm, b.user, []time.Time{at})
	require.NoError(t, err)
	require.Len(t, past, 1)
	require.Len(t, past[0].Points[0].Held, 2)
	require.NoError(t, b.DeleteAccount(ctx, b.realm, account.ID))
	syncing.Lease = stream.Lease
	require.ErrorIs(t, second(b.Sync(ctx, syncing)), indexer.ErrStale)
}

// A wallet that was not read keeps what stood before, whatever else was read.
func TestMissingWalletKeepsWhatItHeld(t *testing.T) {
	t.Parallel()
	b := newBench(t, openStore(t, store.Options{Secrets: newKeyset(t)}), chains.FamilyBitcoin)
	account := b.connectVenue(t, "okx", "k")
	stream := b.hold(t, account.ID)
	read := spot(time.Now(), "BTC", "1")
	read.Holdings = append(read.Holdings, venue.Owned(venue.Earn, "ETH", venue.NewDecimal(5, 0)))
	require.NoError(t, second(b.Sync(t.Context(), indexer.Syncing{Lease: stream.Lease, Balances: read})))
	read = spot(time.Now(), "BTC", "2")
	read.Missing = []venue.Missing{{Wallet: venue.Earn, Reason: venue.Maintenance, Detail: "back soon"}}
	require.NoError(t, second(b.Sync(t.Context(), indexer.Syncing{Lease: stream.Lease, Balances: read})))
	require.Equal(t, []string{"earn ETH 5", "spot BTC 2"}, b.held(t, account.ID))
	state, err := b.VenueAccount(t.Context(), b.realm, account.ID)
	require.NoError(t, err)
	require.Equal(t, read.Missing, state.State.Missing)
	require.NoError(t, second(b.Sync(t.Context(), indexer.Syncing{Lease: stream.Lease, Balances: spot(time.Now(), "BTC", "2")})))
	require.Equal(t, []string{"spot BTC 2"}, b.held(t, account.ID))
}

// What the venue says of a login later stands in place of what it said when it was
// connected, and when it was asked is known to whoever reads next.
func TestLoginChecked(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t, openStore(t, store.Options{Secrets: newKeyset(t)}), chains.FamilyBitcoin)
	account := b.connectVenue(t, "okx", "k")
	stream := b.hold(t, account.ID)
	require.WithinDuration(t, time.Now(), stream.CheckedAt, time.Minute, "it was tried when it was connected")
	at := time.Now().UTC().Add(24 * time.Hour).Truncate(time.Microsecond)
	for _, warnings := range [][]string{{"closing"}, nil} {
		require.NoError(t, second(b.Sync(ctx, indexer.Syncing{Lease: stream.Lease, Checked: &indexer.Checked{At: at, Warnings: warnings}})))
		got, err := b.VenueAccount(ctx, b.realm, account.ID)
		require.NoError(t, err)
		require.ElementsMatch(t, warnings, got.State.Warnings)
		again, err := b.AcquireStream(ctx, account.ID, stream.Lease.Owner, leaseTime)
		require.NoError(t, err)
		require.Equal(t, at, again.CheckedAt)
	}
}

// An unchanged balance begins no transaction and writes no row.
func TestUnchangedBalanceWritesNothing(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	begun := 0
	b := newBench(t, openStore(t, store.Options{Secrets: newKeyset(t), Failpoint: func(name string) error {
		if name == "sync"+store.BeforeBegin {
			begun++
		}
		return nil
	}}), chains.FamilyBitcoin)
	account := b.connectVenue(t, "okx", "k")
	stream := b.hold(t, account.ID)
	for range 5 {
		read := spot(time.Now(), "BTC", "1.50")
		synced, err := b.Sync(ctx, indexer.Syncing{Lease: stream.Lease, Balances: read})
		require.NoError(t, err)
		require.LessOrEqual(t, synced.Holdings, 1)
	}
	require.Equal(t, 1, begun)
	// What is free changed, and what belongs to the user did not: no event.
	read := spot(time.Now(), "BTC", "1.5")
	read.Holdings[0].Available, read.Holdings[0].Locked = venue.NewDecimal(1, 0), venue.NewDecimal(5, 1)
	synced, err := b.Sync(ctx, indexer.Syncing{Lease: stream.Lease, Balances: read})
	require.NoError(t, err)
	require.Equal(t, indexer.Synced{Holdings: 1}, synced)
	require.Equal(t, []string{"account.synced"}, b.types(t))
}

// An account that stops says why, is asked no more, and goes on with other
// credentials.
func TestStoppedAccount(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t, openStore(t, store.Options{Secrets: newKeyset(t)}), chains.FamilyBitcoin)
	account := b.connectVenue(t, "kraken", "k1")
	state := func() indexer.VenueState {
		t.Helper()
		got, err := b.VenueAccount(ctx, b.realm, account.ID)
		require.NoError(t, err)
		return got.State
	}
	stream, at := b.hold(t, account.ID), time.Now()
	b.endTurn(t, stream.Lease, nil, &venue.Error{Reason: venue.Unreachable, Detail: "no answer in time"})
	require.Equal(t, indexer.StateSyncing, state().Status, "nothing was ever read")
	require.Equal(t, venue.Unreachable, state().Reason)
	stream = b.hold(t, account.ID)
	require.Equal(t, 1, stream.Failures)
	require.NoError(t, second(b.Sync(ctx, indexer.Syncing{Lease: stream.Lease, Balances: spot(at, "A", "1")})))
	b.endTurn(t, stream.Lease, &at, nil)
	require.Equal(t, indexer.StateLevel, state().Status)
	require.Empty(t, state().Reason)
	stream = b.hold(t, account.ID)
	b.endTurn(t, stream.Lease, nil, &venue.Error{Reason: venue.RateLimited})
	require.Equal(t, indexer.StateDegraded, state().Status)

	stream = b.hold(t, account.ID)
	b.endTurn(t, stream.Lease, nil, &venue.Error{Reason: venue.KeyRefused, Code: "EAPI:Invalid key", Detail: "gone\x00", Hint: "make a new key"})
	got := state()
	require.Equal(t, indexer.StateStopped, got.Status)
	require.Equal(t, []any{venue.KeyRefused, "EAPI:Invalid key", "gone\ufffd", "make a new key"}, []any{got.Reason, got.Code, got.Detail, got.Hint})
	require.Nil(t, got.RetryAt)
	require.NotNil(t, got.Since)
	require.Equal(t, []string{"spot A 1"}, b.held(t, account.ID), "what was read still stands")
	_, err := b.AcquireStream(ctx, account.ID, uuid.New(), leaseTime)
	require.ErrorIs(t, err, indexer.ErrStopped)
	due, err := b.DueStreams(ctx, 10)
	require.NoError(t, err)
	require.Empty(t, due)
	require.Equal(t, []string{"account.synced", "account.stopped"}, b.types(t))

	other := b.connectVenue(t, "kraken", "k3")
	account.Wallet = login("k3").Digest("kraken")
	require.ErrorIs(t, b.ReplaceCredentials(ctx, account, login("k3")), indexer.ErrExists)
	require.NoError(t, b.DeleteAccount(ctx, b.realm, other.ID))
	account.Wallet, account.Login = login("k2").Digest("kraken"), "somebody else"
	require.ErrorIs(t, b.ReplaceCredentials(ctx, account, login("k2")), indexer.ErrOtherLogin)
	account.Login = ""
	require.NoError(t, b.ReplaceCredentials(ctx, account, login("k2")))
	stream = b.hold(t, account.ID)
	require.Equal(t, "secret of k2", stream.Credentials.Get(venue.FieldSecret))
	b.endTurn(t, stream.Lease, &at, nil)
	require.Equal(t, []string{"account.synced", "account.stopped", "account.recovered"}, b.types(t))
	stream = b.hold(t, account.ID)
	b.endTurn(t, stream.Lease, &at, nil)
	require.Len(t, b.types(t), 3, "it recovers once")
}

// Credentials stand nowhere but sealed, open for their own account alone, and are
// gone with it.
func TestCredentialsAreSealed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := newDatabase(t)
	keys := newKeyset(t)
	b := newBench(t, openStore(t, store.Options{URL: url, Secrets: keys}), chains.FamilyBitcoin)
	const needle = "needle-4711"
	one, two := b.connectVenue(t, "kraken", needle), b.connectVenue(t, "kraken", "another")
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	dump := func() string {
		var text string
		require.NoError(t, conn.QueryRow(ctx, `SELECT coalesce(string_agg(l::text || encode(sealed, 'escape'), ''), '') FROM logins AS l`).Scan(&text))
		var accounts string
		require.NoError(t, conn.QueryRow(ctx, `SELECT string_agg(a::text || coalesce(s::text, ''), '') FROM accounts AS a LEFT JOIN streams AS s ON s.account_id = a.id`).Scan(&accounts))
		return text + accounts
	}
	require.NotContains(t, dump(), needle)

	// Swapped between accounts, neither opens.
	_, err = conn.Exec(ctx, `UPDATE logins SET sealed = (SELECT sealed FROM logins WHERE account_id = $2) WHERE account_id = $1`, one.ID, two.ID)
	require.NoError(t, err)
	require.Empty(t, b.hold(t, one.ID).Credentials.Names())
	// Nor with another keyset.
	elsewhere := &bench{Store: openStore(t, store.Options{URL: url, Secrets: newKeyset(t)})}
	require.Empty(t, elsewhere.hold(t, two.ID).Credentials.Names())
	require.NoError(t, b.ResumeVenueAccount(ctx, b.realm, two.ID))
	require.NotEmpty(t, b.hold(t, two.ID).Credentials.Names())
	unsealed := &bench{Store: openStore(t, store.Options{URL: url}), realm: b.realm, user: b.user}
	account := indexer.VenueAccount{Account: indexer.Account{ID: uuid.New(), Realm: b.realm, UserID: b.user, Kind: indexer.KindVenue, Venue: "okx", Wallet: "w"}}
	require.ErrorIs(t, unsealed.CreateVenueAccount(ctx, account, login("k")), store.ErrNoKeyset)

	// Erased with the account, and with its user.
	count := func() (logins int) {
		require.NoError(t, conn.QueryRow(ctx, `SELECT count(*) FROM logins`).Scan(&logins))
		return logins
	}
	require.Equal(t, 2, count())
	require.NoError(t, b.DeleteAccount(ctx, b.realm, one.ID))
	require.Equal(t, 1, count())
	require.NoError(t, b.DeleteUser(ctx, b.realm, b.user))
	require.Zero(t, count())
	require.NotContains(t, strings.ToLower(dump()), "secret of")
}

// Once the keyset's new key seals, the next reading of an account seals its
// credentials anew, and the old key can go.
func TestCredentialsAreSealedAnew(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	text, err := secret.New()
	require.NoError(t, err)
	open := func(text string) *bench {
		keys, err := secret.Parse(text)
		require.NoError(t, err)
		return &bench{Store: openStore(t, store.Options{URL: url, Secrets: keys})}
	}
	b := newBench(t, open(text).Store, chains.FamilyBitcoin)
	account := b.connectVenue(t, "kraken", "k1")
	added, err := secret.Add(text)
	require.NoError(t, err)
	promoted, err := secret.Promote(added)
	require.NoError(t, err)
	// The new key alone, as it is once the operator has taken the old one out.
	var keys struct {
		PrimaryKeyID uint32           `json:"primaryKeyId"`
		Key          []map[string]any `json:"key"`
	}
	require.NoError(t, json.Unmarshal([]byte(promoted), &keys))
	keys.Key = keys.Key[1:]
	alone, err := json.Marshal(keys)
	require.NoError(t, err)

	resume := func() { require.NoError(t, b.ResumeVenueAccount(t.Context(), b.realm, account.ID)) }
	require.Empty(t, open(string(alone)).hold(t, account.ID).Credentials.Names())
	resume()
	require.NotEmpty(t, open(promoted).hold(t, account.ID).Credentials.Names())
	resume()
	require.Equal(t, "secret of k1", open(string(alone)).hold(t, account.ID).Credentials.Get(venue.FieldSecret))
}
