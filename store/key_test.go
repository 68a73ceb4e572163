package store_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/indexer"
	"tallyd/store"
	"tallyd/store/secret"
)

// metaData is an object whose numbers no float can hold.
var metaData = json.RawMessage(`{"b": 9007199254740993,"a": [123456789012345678901234567890, 1e400],  "a b":"\u0041"}`)

func (o *office) key(t testing.TB, kind access.Kind) (access.Key, string) {
	t.Helper()
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	key, text, err := access.NewKey(access.Pepper("pepper of the tests"), access.Request{
		Realm: o.realm, Owner: "team", Name: "n", Kind: kind, Scopes: []string{"users:read", "*:delete"}, ExpiresAt: &expires,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::1/128")},
		PerMinute: 77, UnsignedQuery: kind == access.Signed, CreatedBy: "master", MetaData: metaData,
	}, time.Now().UTC().Truncate(time.Microsecond))
	require.NoError(t, err)
	return key, text
}

// same compares keys; times of the database come in another zone.
func same(t testing.TB, want, got access.Key) {
	t.Helper()
	for _, k := range []*access.Key{&want, &got} {
		for _, at := range []**time.Time{&k.ExpiresAt, &k.LastUsedAt, &k.RevokedAt, &k.OldUntil} {
			if *at != nil {
				utc := (*at).UTC().Truncate(time.Microsecond)
				*at = &utc
			}
		}
	}
	require.Equal(t, want, got)
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, kind := range []access.Kind{access.Bearer, access.Signed} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, store.Options{})
			ctx := t.Context()
			made, text := o.key(t, kind)
			require.NoError(t, o.CreateKey(ctx, made))
			require.ErrorIs(t, o.CreateKey(ctx, made), indexer.ErrExists)
			got, err := o.KeyByID(ctx, made.ID)
			require.NoError(t, err)
			same(t, made, got)
			require.Equal(t, metaData, got.MetaData)

			at := time.Now()
			changed, err := o.ChangeKey(ctx, o.realm, made.ID, func(k *access.Key) error {
				same(t, made, *k)
				var err error
				next, err := k.Rotate(access.Pepper("pepper of the tests"), time.Hour, at)
				require.NotEqual(t, text, next)
				k.Name, k.Scopes, k.ExpiresAt, k.Addresses, k.PerMinute, k.UnsignedQuery = "m", []string{"*:*"}, nil, nil, 0, false
				k.RevokedAt = &at
				return err
			})
			require.NoError(t, err)
			require.EqualValues(t, 2, changed.Version)
			if kind == access.Signed {
				require.Equal(t, text, string(changed.OldSecret))
			} else {
				require.Equal(t, made.Hash, changed.OldHash)
			}
			got, err = o.KeyByID(ctx, made.ID)
			require.NoError(t, err)
			changed.Addresses = []netip.Prefix{}
			same(t, changed, got)

			_, err = o.ChangeKey(ctx, o.realm, made.ID, func(k *access.Key) error {
				k.Name = "x"
				return errFault
			})
			require.ErrorIs(t, err, errFault)
			list, err := o.Keys(ctx, o.realm, "")
			require.NoError(t, err)
			got.Secret, got.OldSecret = nil, nil
			require.Len(t, list, 1)
			same(t, got, list[0])
		})
	}
}

func TestKeysOfAnOwner(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	for i, owner := range []string{"a", "b", "a"} {
		key, _ := o.key(t, access.Bearer)
		key.Owner, key.Name, key.CreatedAt = owner, strconv.Itoa(i), key.CreatedAt.Add(time.Duration(i)*time.Second)
		require.NoError(t, o.CreateKey(ctx, key))
	}
	for owner, want := range map[string][]string{"": {"0", "1", "2"}, "a": {"0", "2"}, "b": {"1"}, "c": nil} {
		list, err := o.Keys(ctx, o.realm, owner)
		require.NoError(t, err)
		var names []string
		for _, k := range list {
			names = append(names, k.Name)
		}
		require.Equal(t, want, names, owner)
	}
}

// Two who change one key come one after the other, and both are told of.
func TestChangesOfAKey(t *testing.T) {
	t.Parallel()
	var f fault
	o := newOffice(t, store.Options{Failpoint: f.fail})
	ctx := t.Context()
	key, _ := o.key(t, access.Bearer)
	require.NoError(t, o.CreateKey(ctx, key))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			_, err := o.ChangeKey(ctx, o.realm, key.ID, func(k *access.Key) error {
				k.PerMinute++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	got, err := o.KeyByID(ctx, key.ID)
	require.NoError(t, err)
	require.Equal(t, 85, got.PerMinute)
	require.EqualValues(t, 9, got.Version)

	f.arm("change_key" + store.BeforeCommit)
	require.ErrorIs(t, second(o.ChangeKey(ctx, o.realm, key.ID, revoke)), errFault)
	got, err = o.KeyByID(ctx, key.ID)
	require.NoError(t, err)
	require.Nil(t, got.RevokedAt)
	f.arm("change_key" + store.AfterCommit)
	require.ErrorIs(t, second(o.ChangeKey(ctx, o.realm, key.ID, revoke)), errFault)
	got, err = o.KeyByID(ctx, key.ID)
	require.NoError(t, err)
	require.NotNil(t, got.RevokedAt)
}

// KeysChanged tells of every change of the last minute by the time it was made,
// however long ago its transaction had begun; a use is no change.
func TestKeysChanged(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, o.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	key, _ := o.key(t, access.Bearer)
	require.NoError(t, o.CreateKey(ctx, key))
	changed := func() map[string]int64 {
		t.Helper()
		changed, err := o.KeysChanged(ctx)
		require.NoError(t, err)
		return changed
	}
	require.Equal(t, map[string]int64{key.ID: 1}, changed())
	_, err = conn.Exec(ctx, `UPDATE keys SET changed_at = now() - interval '61 seconds'`)
	require.NoError(t, err)
	require.NoError(t, o.TouchKeys(ctx, map[string]time.Time{key.ID: time.Now()}))
	require.Empty(t, changed())

	_, _, err = o.Write(ctx, o.entry("k"), nil, func(ctx context.Context) access.Answer {
		var began time.Time
		require.NoError(t, conn.QueryRow(ctx, `SELECT xact_start FROM pg_stat_activity
			WHERE datname = current_database() AND state = 'idle in transaction'`).Scan(&began))
		require.NoError(t, second(o.ChangeKey(ctx, o.realm, key.ID, revoke)))
		require.Empty(t, changed(), "not before the commit")
		return access.Answer{Status: 200, Body: []byte(began.UTC().Format(time.RFC3339Nano))}
	})
	require.NoError(t, err)
	require.Equal(t, map[string]int64{key.ID: 2}, changed())
}

// What signing keys are sealed with rotates: sealed with the old primary key, a
// secret opens with the new keyset, and is sealed with the new primary key when
// its key is changed. In the row of another key it does not open.
func TestKeysetsRotate(t *testing.T) {
	t.Parallel()
	text, err := secret.New()
	require.NoError(t, err)
	parse := func(text string) *secret.Keyset {
		keyset, err := secret.Parse(text)
		require.NoError(t, err)
		return keyset
	}
	before := newOffice(t, store.Options{Secrets: parse(text)})
	ctx := t.Context()
	key, shown := before.key(t, access.Signed)
	require.NoError(t, before.CreateKey(ctx, key))
	opens := func(keyset *secret.Keyset) (string, error) {
		s := openStore(t, store.Options{URL: before.url, Secrets: keyset}) //nolint:contextcheck // it takes the test's own
		got, err := s.KeyByID(ctx, key.ID)
		return string(got.Secret), err
	}

	added, err := secret.Add(text)
	require.NoError(t, err)
	promoted, err := secret.Promote(added)
	require.NoError(t, err)
	for _, text := range []string{added, promoted} {
		got, err := opens(parse(text))
		require.NoError(t, err)
		require.Equal(t, shown, got)
	}
	_, err = opens(newKeyset(t))
	require.ErrorContains(t, err, "open the secret of key "+key.ID)
	_, err = opens(nil)
	require.ErrorIs(t, err, store.ErrNoKeyset)

	after := openStore(t, store.Options{URL: before.url, Secrets: parse(promoted)})
	require.NoError(t, second(after.ChangeKey(ctx, before.realm, key.ID, func(*access.Key) error { return nil })))
	_, err = opens(parse(text))
	require.Error(t, err, "sealed with the new primary key")
	got, err := opens(parse(added))
	require.NoError(t, err, "a daemon that accepts the new key already")
	require.Equal(t, shown, got)

	other, _ := before.key(t, access.Signed)
	require.NoError(t, before.CreateKey(ctx, other))
	conn, err := pgx.Connect(ctx, before.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	_, err = conn.Exec(ctx, `UPDATE keys SET secret = o.secret FROM keys AS o WHERE o.id = $1 AND keys.id = $2`, key.ID, other.ID)
	require.NoError(t, err)
	_, err = after.KeyByID(ctx, other.ID)
	require.Error(t, err)
}

// A signature is fresh once, whoever asks at the same time.
func TestFresh(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	for range 20 {
		signature, until := []byte(uuid.NewString()), time.Now().Add(time.Minute)
		var fresh atomic.Int32
		var wait sync.WaitGroup
		for range 6 {
			wait.Go(func() {
				first, err := o.Fresh(t.Context(), signature, until)
				if err != nil {
					t.Error(err)
				}
				if first {
					fresh.Add(1)
				}
			})
		}
		wait.Wait()
		require.EqualValues(t, 1, fresh.Load())
	}
	// A request that is rolled back has used its signature.
	_, _, err := o.Write(t.Context(), o.entry("k"), nil, func(ctx context.Context) access.Answer {
		fresh, err := o.Fresh(ctx, []byte("s"), time.Now().Add(time.Minute))
		require.NoError(t, err)
		require.True(t, fresh)
		return refused(ctx)
	})
	require.NoError(t, err)
	fresh, err := o.Fresh(t.Context(), []byte("s"), time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.False(t, fresh)
}

func TestTenants(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	tenant := access.Tenant{ID: "acme", Name: "Acme Payments", CreatedBy: "master", MetaData: metaData}
	require.NoError(t, o.CreateTenant(ctx, tenant))
	require.ErrorIs(t, o.CreateTenant(ctx, tenant), indexer.ErrExists)
	tenants, err := o.Tenants(ctx)
	require.NoError(t, err)
	require.Len(t, tenants, 3)
	require.Equal(t, "default", tenants[0].ID)
	require.WithinDuration(t, time.Now(), tenants[2].CreatedAt, time.Minute)
	tenants[2].CreatedAt = time.Time{}
	require.Equal(t, tenant, tenants[2])
}

// Who made a user or an account, and what they wrote about it, comes back as it
// was written.
func TestMetaDataIsKept(t *testing.T) {
	t.Parallel()
	b, _, _ := start(t, store.Options{})
	ctx := t.Context()
	user := indexer.User{ID: uuid.New(), Realm: b.realm, Name: "u", CreatedAt: time.Now().UTC().Truncate(time.Second), CreatedBy: "k", MetaData: metaData}
	require.NoError(t, b.CreateUser(ctx, user))
	got, err := b.User(ctx, b.realm, user.ID)
	require.NoError(t, err)
	require.Equal(t, user, got)
	users, err := b.Users(ctx, b.realm)
	require.NoError(t, err)
	require.Contains(t, users, user)
	account := indexer.Account{
		ID: uuid.New(), Realm: b.realm, UserID: user.ID, Chain: b.chain.Slug, Kind: indexer.KindAddress, Wallet: "w",
		CreatedBy: "user:" + user.ID.String(), MetaData: metaData,
	}
	require.NoError(t, b.CreateAccount(ctx, account, nil))
	kept, err := b.Account(ctx, b.realm, account.ID)
	require.NoError(t, err)
	require.Equal(t, account.CreatedBy, kept.CreatedBy)
	require.Equal(t, metaData, kept.MetaData)
	balance, err := b.AccountBalance(ctx, b.realm, account.ID)
	require.NoError(t, err)
	require.Equal(t, metaData, balance.Account.MetaData)
}
