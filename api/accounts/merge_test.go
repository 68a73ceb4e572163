package accounts

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/indexer"
)

// both is a ledger of transfers and movements, each newest first.
type both struct {
	VenueAccounts
	transfers []indexer.Transaction
	movements []indexer.VenueMovement
}

func (b *both) Transactions(_ context.Context, _ indexer.Realm, f indexer.TransactionFilter) ([]indexer.Transaction, *indexer.TransactionCursor, error) {
	from := 0
	if f.After != nil {
		from = 1 + slices.IndexFunc(b.transfers, func(t indexer.Transaction) bool { return t.Tx == f.After.Tx })
	}
	page := b.transfers[from:]
	if len(page) <= f.Limit {
		return page, nil, nil
	}
	last := page[f.Limit-1]
	return page[:f.Limit], &indexer.TransactionCursor{Time: last.Time, Tx: last.Tx, Account: last.AccountID}, nil
}

func (b *both) VenueMovements(_ context.Context, _ indexer.Realm, f indexer.VenueMovementFilter) ([]indexer.VenueMovement, error) {
	from := 0
	if f.After != nil {
		from = 1 + slices.IndexFunc(b.movements, func(m indexer.VenueMovement) bool { return m.ID == f.After.ID })
	}
	return b.movements[from:min(len(b.movements), from+f.Limit)], nil
}

func (b *both) LinkedMovements(context.Context, indexer.Realm, uuid.UUID, string, []chains.Hash) ([]indexer.VenueMovement, error) {
	return nil, indexer.ErrNotFound
}

// Whatever happened where, its pages are all of it, newest first and once.
func TestPagesOfChainsAndVenues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ledger := &both{}
		at := noon
		for n := range rapid.IntRange(0, 20).Draw(t, "rows") {
			at = at.Add(-time.Duration(rapid.IntRange(0, 1).Draw(t, "later")) * time.Second)
			if rapid.Bool().Draw(t, "on a chain") {
				ledger.transfers = append(ledger.transfers, indexer.Transaction{Tx: chains.Hash{byte(n)}, Time: at})
			} else {
				ledger.movements = append(ledger.movements, indexer.VenueMovement{ID: int64(n), Movement: venue.Movement{ID: "m", Time: at}})
			}
		}
		s := &surface{Config: Config{Transactions: ledger, VenueAccounts: ledger}, cursors: newCursors([]byte("k"))}
		page := Page{Limit: rapid.IntRange(1, 6).Draw(t, "limit")}
		accounts := []uuid.UUID{{1}}
		var all []transaction
		for {
			list, cursor, err := s.transactions(context.Background(), page, accounts, accounts, false)
			require.NoError(t, err)
			require.LessOrEqual(t, len(list), page.Limit)
			all = append(all, list...)
			if cursor == "" {
				break
			}
			require.Len(t, list, page.Limit, "a page that another follows is full")
			page.Cursor = cursor
		}
		require.Len(t, all, len(ledger.transfers)+len(ledger.movements))
		require.True(t, slices.IsSortedFunc(all, func(a, b transaction) int {
			return time.Time(*b.CreatedAt).Compare(time.Time(*a.CreatedAt))
		}))
	})
}

// An asset that is counted in more decimals in one place than in another has one
// sum, whichever came first.
func TestSumsOfDifferentDecimals(t *testing.T) {
	t.Parallel()
	coarse := chains.Asset{ID: "bip122:x/slip44:0", Symbol: "BTC", Decimals: 8}
	fine := coarse
	fine.Decimals = 12
	for _, order := range [][]chains.Asset{{coarse, fine, coarse}, {fine, coarse, coarse}} {
		held := newSums()
		for _, asset := range order {
			one, err := chains.ParseDecimal("1.00000001", asset.Decimals)
			require.NoError(t, err)
			held.add(asset, one)
		}
		list := held.list()
		require.Len(t, list, 1)
		require.Equal(t, "3.00000003", *list[0].Decimal)
		require.Equal(t, 12, *list[0].Decimals)
		require.EqualValues(t, "3.00000003", symbolsOf(held)["BTC"])
	}
}
