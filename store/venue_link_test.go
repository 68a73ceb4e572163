package store_test

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/indexer"
	"tallyd/store"
)

// bitcoin is a bench on the chain that venues mean by Bitcoin.
func bitcoin(t *testing.T) *bench {
	t.Helper()
	s := openStore(t, store.Options{Secrets: newKeyset(t)})
	b := newBench(t, s, chains.FamilyBitcoin)
	b.chain = testChain("btc", chains.FamilyBitcoin)
	b.chain.ID = "bip122:000000000019d6689c085ae165831e93"
	require.NoError(t, s.Register(t.Context(), b.chain, nil))
	cursor, err := s.Acquire(t.Context(), "btc", numberer, leaseTime)
	require.NoError(t, err)
	b.lease = cursor.Lease
	return b
}

// page writes one page of a stream.
func (b *bench) page(t *testing.T, lease indexer.StreamLease, stream venue.Stream, movements ...venue.Movement) indexer.Synced {
	t.Helper()
	read := &indexer.Reading{Stream: stream, Since: time.Unix(0, 0), Due: time.Now(), Movements: movements}
	for range movements {
		read.Shown = append(read.Shown, true)
	}
	synced, err := b.Sync(t.Context(), indexer.Syncing{Lease: lease, Reading: read})
	require.NoError(t, err)
	return synced
}

// A withdrawal to an own address, and a deposit from one, find their other end,
// whichever is seen first; a reorg takes the link away, and nobody else has it.
func TestMovesBetweenOwnAccounts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := bitcoin(t)
	own := b.connect(t, script(1))
	b.connect(t, script(2)) // paid by the same transaction
	at := b.connectVenue(t, "kraken", "k")
	stream := b.hold(t, at.ID)

	incoming := venue.Movement{
		Stream: venue.Withdrawals, ID: "w", Kind: venue.Withdrawal, Status: venue.Settled, Network: "Bitcoin", TxHash: strings.ToUpper(hash('t', 1).String()), Vout: -1,
		Address: "addr" + hex.EncodeToString(script(1)), Time: time.Now(), Legs: []venue.Leg{{Code: "XXBT", Amount: venue.NewDecimal(-7, 8)}},
	}
	outgoing := venue.Movement{
		Stream: venue.Deposits, ID: "d", Kind: venue.Deposit, Status: venue.Settled, Network: "Bitcoin", TxHash: hash('t', 2).String(), Vout: 0,
		Time: time.Now(), Legs: []venue.Leg{{Code: "XXBT", Amount: venue.NewDecimal(6, 8)}},
	}
	inside := incoming
	inside.ID, inside.Inside = "i", true
	b.page(t, stream.Lease, venue.Withdrawals, incoming, inside)
	list := func() map[string]indexer.VenueMovement {
		t.Helper()
		found, err := b.VenueMovements(ctx, b.realm, indexer.VenueMovementFilter{Accounts: []uuid.UUID{at.ID}, Limit: 10})
		require.NoError(t, err)
		byID := map[string]indexer.VenueMovement{}
		for _, m := range found {
			byID[m.Movement.ID] = m
		}
		return byID
	}
	require.Equal(t, b.chain.ID, list()["w"].Chain)
	require.Empty(t, list()["w"].Links, "the chain has not seen it yet")
	beside := b.pay(1, 2, 9)
	beside.Source = chains.SourceVout(1)
	tip := b.apply(t, chains.BlockRef{}, 1, chains.Match{Transfers: []chains.Transfer{b.pay(1, 1, 7), beside}})
	links := list()["w"].Links
	require.Len(t, links, 1, "the one to the address the venue paid")
	require.Equal(t, own, links[0].AccountID)
	require.Equal(t, []any{"btc", hash('t', 1), chains.In, "7"}, []any{links[0].Chain, links[0].Tx, links[0].Side, links[0].Amount.String()})
	require.Empty(t, list()["i"].Links, "a move within the venue is on no chain")

	// The other way round: the chain saw it first.
	tip = b.apply(t, tip, 2, chains.Match{Spends: []chains.Spend{spend(2, 1)}})
	b.page(t, stream.Lease, venue.Deposits, outgoing)
	links = list()["d"].Links
	require.Len(t, links, 1)
	require.Equal(t, chains.Out, links[0].Side)
	linked, err := b.LinkedMovements(ctx, b.realm, b.user, "btc", []chains.Hash{hash('t', 1), hash('t', 2), hash('t', 9)})
	require.NoError(t, err)
	require.Len(t, linked, 2)
	none, err := b.LinkedMovements(ctx, b.realm, uuid.New(), "btc", []chains.Hash{hash('t', 1)})
	require.NoError(t, err)
	require.Empty(t, none)

	_, err = b.Revert(ctx, b.lease, tip)
	require.NoError(t, err)
	require.Empty(t, list()["d"].Links, "the chain took it back")

	// Another user of the same realm sees their row and no link to these.
	other := uuid.New()
	require.NoError(t, b.CreateUser(ctx, indexer.User{ID: other, Realm: b.realm, Name: "o", CreatedAt: time.Now()}))
	theirs := indexer.VenueAccount{Account: indexer.Account{ID: uuid.New(), Realm: b.realm, UserID: other, Kind: indexer.KindVenue, Venue: "kraken", Wallet: "x"}}
	require.NoError(t, b.CreateVenueAccount(ctx, theirs, login("x")))
	b.page(t, b.hold(t, theirs.ID).Lease, venue.Withdrawals, incoming)
	found, err := b.VenueMovements(ctx, b.realm, indexer.VenueMovementFilter{Accounts: []uuid.UUID{theirs.ID}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Empty(t, found[0].Links)
	stranger, err := b.VenueMovements(ctx, indexer.Realm{Tenant: "default", Environment: chains.Test}, indexer.VenueMovementFilter{Accounts: []uuid.UUID{at.ID}, Limit: 10})
	require.NoError(t, err)
	require.Empty(t, stranger)
}

// What a venue writes never makes a commit fail: no character, no length, no time.
func TestHostileRows(t *testing.T) {
	t.Parallel()
	b := newBench(t, openStore(t, store.Options{Secrets: newKeyset(t)}), chains.FamilyBitcoin)
	at := b.connectVenue(t, "okx", "k")
	stream := b.hold(t, at.ID)
	long := strings.Repeat("ab\x00\xff", 5000)
	b.page(t, stream.Lease, venue.Ledger,
		venue.Movement{ID: long, Kind: venue.Kind(long[:3]), Type: long, Status: venue.Settled, Network: long, TxHash: long, Address: long, Tag: `\u0000`, Time: time.Unix(1<<40, 0), Updated: time.Time{}.AddDate(-3000, 0, 0), Legs: []venue.Leg{{Wallet: venue.Wallet(long), Code: long, Amount: venue.NewDecimal(1, 90)}}},
		venue.Movement{ID: long + "x", Kind: venue.Entry, Status: venue.Settled, Vout: 1 << 40},
	)
	read := spot(time.Unix(1<<40, 0), long, "1", long+"x", "2")
	read.Missing = []venue.Missing{{Wallet: venue.Wallet(long), Reason: venue.Refused, Detail: long}}
	require.NoError(t, second(b.Sync(t.Context(), indexer.Syncing{Lease: stream.Lease, Balances: read})))
	b.endTurn(t, stream.Lease, &read.At, &venue.Error{Reason: venue.Refused, Code: long, Detail: long, Hint: "h"})
	require.Len(t, b.held(t, at.ID), 2)
	found, err := b.VenueMovements(t.Context(), b.realm, indexer.VenueMovementFilter{Accounts: []uuid.UUID{at.ID}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, found, 2)
}

// Events of venues have the members that the document of the webhooks names.
func TestVenueEventsAreAsDocumented(t *testing.T) {
	t.Parallel()
	b := newBench(t, openStore(t, store.Options{Secrets: newKeyset(t)}), chains.FamilyBitcoin)
	at := b.connectVenue(t, "okx", "k")
	stream, now := b.hold(t, at.ID), time.Now()
	for _, total := range []string{"1", "2"} {
		require.NoError(t, second(b.Sync(t.Context(), indexer.Syncing{Lease: stream.Lease, Balances: spot(now, "BTC", total)})))
	}
	for _, status := range []venue.Status{venue.Pending, venue.Settled, venue.Failed, venue.Canceled, venue.Reversed} {
		for _, kind := range []venue.Kind{venue.Deposit, venue.Withdrawal} {
			b.page(t, stream.Lease, venue.Transactions, venue.Movement{ID: string(kind), Kind: kind, Status: status, Time: now, Legs: []venue.Leg{{Code: "BTC", Amount: venue.NewDecimal(1, 0)}}})
		}
	}
	b.endTurn(t, stream.Lease, nil, &venue.Error{Reason: venue.KeyExpired, Detail: "d", Hint: "h"})
	require.NoError(t, b.ResumeVenueAccount(t.Context(), b.realm, at.ID))
	b.endTurn(t, b.hold(t, at.ID).Lease, &now, nil)
	documented := map[string]reflect.Type{}
	for _, kind := range webhook.Types() {
		documented[kind.Name] = kind.Data
	}
	told := map[string]bool{}
	for _, e := range b.events(t) {
		told[e.Type] = true
		data, known := documented[e.Type]
		require.True(t, known, e.Type)
		decoder := json.NewDecoder(strings.NewReader(string(e.Data)))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(reflect.New(data).Interface()), e.Type)
	}
	require.Len(t, told, 14)
}
