package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/migrations"
	"tallyd/store"
	"tallyd/store/embedded"
)

// TestMain makes the model test as long as a test may be; with -rapid.checks it
// is as long as one likes.
func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set("20")
	}
	goleak.VerifyTestMain(m)
}

const leaseTime = time.Minute

// numberer owns what tests lease: one process, so that it need not wait for itself.
var numberer = uuid.New()

// newDatabase returns the URL of a migrated database of the test's own.
func newDatabase(t testing.TB) string {
	t.Helper()
	digest := sha256.New()
	require.NoError(t, fs.WalkDir(migrations.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := migrations.Files.ReadFile(path)
		digest.Write(text)
		return err
	}))
	return embedded.TestDatabaseFrom(t, "store"+hex.EncodeToString(digest.Sum(nil)), func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, store.Options{URL: url})
		return err
	})
}

func openStore(t testing.TB, opts store.Options) *store.Store {
	t.Helper()
	if opts.URL == "" {
		opts.URL = newDatabase(t)
	}
	opts.Log = zerolog.Nop()
	s, err := store.Open(t.Context(), opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			s.Close()
		}()
		select {
		case <-closed:
		case <-time.After(time.Minute):
			t.Error("the test left a connection in use, and closing waits for it")
		}
	})
	return s
}

// sweeper empties a database now and then: a model that takes thousands of
// histories in one would ask slower and slower of ledgers that nobody needs.
type sweeper struct {
	*store.Store
	cases int
}

// sweepEvery is how many histories share a database before it is emptied.
const sweepEvery = 40

// next returns the store for one more history.
func (s *sweeper) next(t testing.TB) *store.Store {
	t.Helper()
	if s.cases++; s.cases%sweepEvery == 0 {
		_, err := s.Pool().Exec(t.Context(), `
DO $$ BEGIN
    SET LOCAL session_replication_role = replica; -- else the books refuse
    EXECUTE (
        SELECT 'TRUNCATE ' || string_agg(quote_ident(relname), ', ')
        FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
        AND (relkind = 'p' OR relkind = 'r' AND NOT relispartition)
        AND relname NOT LIKE 'river%'
        AND relname NOT IN ('goose_db_version', 'tenants', 'sequencer', 'fanout')
    );
END $$`)
		require.NoError(t, err)
	}
	return s.Store
}

var errFault = errors.New("fault")

// fault is a failpoint that fails once where it is armed.
type fault struct{ at atomic.Pointer[string] }

func (f *fault) arm(name string) { f.at.Store(&name) }

func (f *fault) fail(name string) error {
	at := f.at.Load()
	if at != nil && *at == name && f.at.CompareAndSwap(at, nil) {
		return errFault
	}
	return nil
}

// hash returns a hash that is told apart by its number and kind.
func hash(kind byte, n int) chains.Hash {
	var text [9]byte
	text[0] = kind
	binary.BigEndian.PutUint64(text[1:], uint64(n))
	return sha256.Sum256(text[:])
}

// script returns the watched script with a number.
func script(n int) []byte { return []byte{0x00, 0x14, byte(n)} }

func testChain(slug string, family chains.Family) chains.Chain {
	id := "bip122:" + slug
	if family == chains.FamilyEVM {
		id = "eip155:" + slug
	}
	return chains.Chain{
		Slug: slug, ID: id, Family: family, Environment: chains.Test, Genesis: hash('g', 0), Maturity: 3,
		Native: chains.Asset{ID: chains.AssetID(id + "/slip44:0"), Symbol: "BTC", Decimals: 8, Listed: true},
	}
}

// bench is one chain of one realm with a user, in a store.
type bench struct {
	*store.Store
	chain chains.Chain
	realm indexer.Realm
	user  uuid.UUID
	lease indexer.Lease
}

func newBench(t testing.TB, s *store.Store, family chains.Family) *bench {
	t.Helper()
	name := uuid.NewString()[:8]
	b := &bench{Store: s, chain: testChain(name, family), realm: indexer.Realm{Tenant: name, Environment: chains.Test}, user: uuid.New()}
	ctx := t.Context()
	require.NoError(t, s.CreateTenant(ctx, access.Tenant{ID: name, Name: name}))
	require.NoError(t, s.CreateUser(ctx, indexer.User{ID: b.user, Realm: b.realm, Name: "u", CreatedAt: time.Now()}))
	require.NoError(t, s.Register(ctx, b.chain, nil))
	cursor, err := s.Acquire(ctx, name, numberer, leaseTime)
	require.NoError(t, err)
	b.lease = cursor.Lease
	return b
}

// connect adds an account with scripts.
func (b *bench) connect(t testing.TB, scripts ...[]byte) uuid.UUID {
	t.Helper()
	id := uuid.New()
	watched := make([]indexer.WatchedScript, len(scripts))
	for i, s := range scripts {
		watched[i] = indexer.WatchedScript{Script: s, Address: "addr" + hex.EncodeToString(s), Index: uint32(i)}
	}
	require.NoError(t, b.CreateAccount(t.Context(), indexer.Account{
		ID: id, Realm: b.realm, UserID: b.user, Chain: b.chain.Slug, Kind: indexer.KindDescriptor, Wallet: id.String(),
	}, watched))
	return id
}

// block returns a block on top of a parent.
func block(parent chains.BlockRef, n int) chains.BlockRef {
	ref := chains.BlockRef{Height: parent.Height + 1, Hash: hash('b', n), Parent: parent.Hash, Time: time.Unix(int64(1_700_000_000+600*n), 0).UTC()}
	ref.Work[31] = 2
	return ref
}

// version returns the chain's watch version.
func (b *bench) version(t testing.TB) int64 {
	t.Helper()
	version, err := b.LoadWatch(t.Context(), b.chain.Slug, -1, chains.NewWatchTable(0, 0))
	require.NoError(t, err)
	return version
}

// apply appends a block with a match and returns it.
func (b *bench) apply(t testing.TB, parent chains.BlockRef, n int, match chains.Match) chains.BlockRef {
	t.Helper()
	ref := block(parent, n)
	_, err := b.Apply(t.Context(), indexer.Step{Lease: b.lease, Parent: parent.Hash, WatchVersion: b.version(t), Block: ref, Match: match})
	require.NoError(t, err)
	return ref
}

// pay returns a transfer of the first output.
func (b *bench) pay(tx, to, amount int) chains.Transfer {
	return chains.Transfer{
		Tx: hash('t', tx), Source: chains.SourceVout(0), Side: chains.In, Asset: b.chain.Native.ID,
		Amount: chains.NewAmount(int64(amount)), Script: script(to),
	}
}

func spend(tx, spentTx int) chains.Spend {
	return chains.Spend{Tx: hash('t', tx), Spent: chains.Outpoint{Tx: hash('t', spentTx)}}
}

// complete ends the searches of all scripts of the chain with nothing found.
func (b *bench) complete(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	scripts, err := b.SearchScripts(ctx, b.chain.Slug, 1000)
	require.NoError(t, err)
	tip, err := b.Tip(ctx, b.chain.Slug)
	require.NoError(t, err)
	for _, s := range scripts {
		require.NoError(t, b.Fill(ctx, indexer.Filling{
			Chain: b.chain.Slug, Scripts: []int64{s.ID}, Progress: true, Complete: true, Through: tip,
			Next: uint64(s.Handover + 1), Method: chains.MethodRaw,
		}))
	}
}

// events numbers everything and returns the realm's events as type and version.
func (b *bench) events(t testing.TB) []indexer.Event {
	t.Helper()
	ctx := t.Context()
	for {
		n, err := b.Number(ctx, b.lease.Owner, 1000)
		require.NoError(t, err)
		if n == 0 {
			break
		}
	}
	events, err := b.EventsAfter(ctx, b.realm, 0, 100_000)
	require.NoError(t, err)
	return events
}

func (b *bench) types(t testing.TB) []string {
	t.Helper()
	var types []string
	for _, e := range b.events(t) {
		types = append(types, e.Type)
	}
	return types
}

// balance returns the native amount of an account, or "" while it is unknown.
func (b *bench) balance(t testing.TB, account uuid.UUID) string {
	t.Helper()
	balance, err := b.AccountBalance(t.Context(), b.realm, account)
	require.NoError(t, err)
	for _, one := range balance.Balances {
		if one.Asset.ID == b.chain.Native.ID {
			return one.Amount.String()
		}
	}
	return ""
}
