package store_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// A method that fails within a request leaves nothing behind, and the request may
// go on.
func TestFailureWithinARequest(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	nowhere := indexer.Realm{Tenant: "none", Environment: chains.Test}
	_, _, err := o.Write(ctx, o.entry("k"), nil, func(ctx context.Context) access.Answer {
		require.ErrorIs(t, o.CreateUser(ctx, indexer.User{ID: uuid.New(), Realm: nowhere}), indexer.ErrNotFound)
		require.ErrorIs(t, o.CreateKey(ctx, access.Key{ID: "k", Realm: nowhere, Hash: []byte{1}}), indexer.ErrNotFound)
		_, err := o.CreateEndpoint(ctx, webhook.Endpoint{ID: uuid.New(), Realm: nowhere, URL: "https://example.com", Concurrency: 1}, webhook.NewKey())
		require.ErrorIs(t, err, indexer.ErrNotFound)
		made, err := o.CreateEndpoint(ctx, webhook.Endpoint{ID: uuid.New(), Realm: o.realm, URL: "https://example.com", Concurrency: 1}, webhook.NewKey())
		require.NoError(t, err)
		// An edit that is refused takes its part back alone.
		_, err = o.ChangeEndpoint(ctx, o.realm, made.ID, func(e *webhook.Endpoint) error {
			e.URL = "https://example.org"
			return errFault
		})
		require.ErrorIs(t, err, errFault)
		return o.add(t, "ann")(ctx)
	})
	require.NoError(t, err)
	require.Equal(t, []string{"ann"}, o.names(t, ctx))
	endpoints, _, err := o.Endpoints(ctx, o.realm, nil, 100)
	require.NoError(t, err)
	require.Len(t, endpoints, 1)
	require.Equal(t, "https://example.com", endpoints[0].URL)
}

// Every reading within a request sees what the request wrote, and nothing outside
// does before it ends.
func TestReadingWithinARequest(t *testing.T) {
	t.Parallel()
	b, _, tip := start(t, store.Options{Secrets: newKeyset(t)})
	tip = b.apply(t, tip, 2, chains.Match{Transfers: []chains.Transfer{b.pay(1, 1, 7)}})
	ctx := t.Context()
	id := uuid.New()
	_, _, err := b.Write(ctx, access.Entry{Realm: b.realm}, nil, func(ctx context.Context) access.Answer {
		require.NoError(t, b.CreateAccount(ctx, indexer.Account{
			ID: id, Realm: b.realm, UserID: b.user, Chain: b.chain.Slug, Kind: indexer.KindAddress, Wallet: "w",
		}, []indexer.WatchedScript{{Script: script(1)}}))
		balance, err := b.AccountBalance(ctx, b.realm, id)
		require.NoError(t, err)
		require.Equal(t, "7", balance.Balances[0].Amount.String())
		page, _, err := b.Transactions(ctx, b.realm, indexer.TransactionFilter{Accounts: []uuid.UUID{id}, Limit: 5})
		require.NoError(t, err)
		require.Len(t, page, 1)
		at, err := b.Tip(ctx, b.chain.Slug)
		require.NoError(t, err)
		require.Equal(t, tip, at)
		table := chains.NewWatchTable(0, 0)
		_, err = b.LoadWatch(ctx, b.chain.Slug, -1, table)
		require.NoError(t, err)
		require.ErrorIs(t, second(b.Account(t.Context(), b.realm, id)), indexer.ErrNotFound) //nolint:contextcheck // it looks from outside of the request
		return access.Answer{Status: 200}
	})
	require.NoError(t, err)
	require.Equal(t, "7", b.balance(t, id))
	require.Equal(t, []string{"account.synced", "transfer.confirmed", "account.synced"}, b.types(t))
}

// A hint is given once its request can be seen, and never for one that is taken
// back.
func TestHintsFollowTheCommit(t *testing.T) {
	t.Parallel()
	var f fault
	o := newOffice(t, store.Options{Failpoint: f.fail})
	ctx, hangUp := context.WithCancel(t.Context())
	hinted := 0
	hint := func(ctx context.Context) {
		require.NoError(t, ctx.Err())
		require.Equal(t, []string{"ann"}, o.names(t, t.Context())) //nolint:contextcheck // it looks from outside of the request
		hinted++
	}
	write := func(ctx context.Context, then func(context.Context) access.Answer) error {
		_, _, err := o.Write(ctx, o.entry("k"), nil, func(ctx context.Context) access.Answer {
			o.AfterCommit(ctx, hint)
			require.Zero(t, hinted)
			return then(ctx)
		})
		return err
	}
	require.NoError(t, write(ctx, refused))
	f.arm("request" + store.BeforeCommit)
	require.ErrorIs(t, write(ctx, o.add(t, "ann")), errFault)
	require.Zero(t, hinted)

	require.NoError(t, write(ctx, o.add(t, "ann")))
	require.Equal(t, 1, hinted)
	o.AfterCommit(ctx, hint)
	require.Equal(t, 2, hinted)
	hangUp()
}

// A context carries the request of one store only.
func TestRequestIsOfOneStore(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	other := openStore(t, store.Options{URL: o.url})
	_, _, err := o.Write(t.Context(), o.entry("k"), nil, func(ctx context.Context) access.Answer {
		require.NoError(t, other.CreateUser(ctx, indexer.User{ID: uuid.New(), Realm: o.realm, Name: "ann", CreatedAt: time.Now()}))
		return refused(ctx)
	})
	require.NoError(t, err)
	require.Equal(t, []string{"ann"}, o.names(t, t.Context()))
}

// Outside of what opens transactions and of what must not wait for a request,
// nothing takes its connection past the context.
func TestConnectionsComeFromTheContext(t *testing.T) {
	t.Parallel()
	apart := []string{"store.go", "request.go", "answer.go", "schema.go", "migrate.go", "audit.go", "replay.go", "webhook_upkeep.go"}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if slices.Contains(apart, name) || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotRegexp(t, `\b[a-z]+\.(pool|side)\.|\(s\.(pool|side)\)`, string(text), name)
	}
}
