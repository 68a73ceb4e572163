package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

var (
	_ custody.Transfers    = (*Store)(nil)
	_ custody.Transactions = (*Store)(nil)
)

// Transfer implements custody.Transfers. Both wallets are locked before either is
// looked at: of two transfers that want the same money, the second sees what the
// first left.
func (s *Store) Transfer(ctx context.Context, order custody.Order) (custody.Transaction, error) {
	var made custody.Transaction
	err := s.write(ctx, "transfer", func(q *db.Queries) error {
		b := books{q: q}
		if err := b.hold(ctx, []uuid.UUID{order.Source, order.Destination}); err != nil {
			return err
		}
		asset, err := b.permit(ctx, order)
		if err != nil {
			return err
		}
		err = q.PutTransfer(ctx, db.PutTransferParams{
			ID: order.ID, Tenant: order.Realm.Tenant, Environment: string(order.Realm.Environment),
			SourceWallet: order.Source, DestinationWallet: order.Destination, AssetID: asset, Amount: order.Amount, Note: order.Note,
		})
		if err != nil {
			return fmt.Errorf("put transfer: %w", err)
		}
		if _, err := q.TransactionEvents(ctx, db.TransactionEventsParams{Type: "transaction.created", Ids: []uuid.UUID{order.ID}}); err != nil {
			return fmt.Errorf("write event of the transfer: %w", err)
		}
		_, err = b.post(ctx, []custody.Journal{{
			Realm: order.Realm, Kind: custody.JournalTransfer, Reference: order.ID, Version: 1,
			Postings: custody.Movement(custody.Available(order.Source), custody.Available(order.Destination), asset, order.Amount),
		}})
		if err != nil {
			return err
		}
		if _, err := b.close(ctx); err != nil {
			return err
		}
		made, err = oneTransaction(ctx, q, order.Realm, order.ID)
		return err
	})
	return made, err
}

// permit returns the asset that an order moves, or why it may not.
func (b *books) permit(ctx context.Context, order custody.Order) (int64, error) {
	there := func(id uuid.UUID) (db.LockWalletsRow, bool) {
		row, held := b.held[id]
		return row, held && realmOf(row.Tenant, row.Environment) == order.Realm
	}
	source, ok := there(order.Source)
	if !ok {
		return 0, indexer.ErrNotFound
	}
	archived, err := b.q.ArchivedWallets(ctx, []uuid.UUID{order.Source, order.Destination})
	if err != nil {
		return 0, fmt.Errorf("read the status of vaults: %w", err)
	}
	destination, ok := there(order.Destination)
	switch {
	case order.Source == order.Destination:
		return 0, custody.ErrSameWallet
	case !ok:
		return 0, custody.ErrNoDestination
	case source.AssetID != destination.AssetID:
		return 0, custody.ErrOtherAsset
	case archived:
		return 0, custody.ErrArchived
	case source.Status == string(custody.WalletFrozen):
		return 0, custody.ErrFrozen
	case order.Amount.Sign() <= 0:
		return 0, custody.ErrAmountPositive
	case order.Amount.Cmp(source.Available) > 0:
		return 0, custody.ErrInsufficient
	}
	return source.AssetID, nil
}

// CustodyTransaction implements custody.Transactions.
func (s *Store) CustodyTransaction(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Transaction, error) {
	var found custody.Transaction
	err := s.read(ctx, func(tx pgx.Tx) error {
		var err error
		found, err = oneTransaction(ctx, db.New(tx), realm, id)
		return err
	})
	return found, err
}

func oneTransaction(ctx context.Context, q *db.Queries, realm indexer.Realm, id uuid.UUID) (custody.Transaction, error) {
	p := db.TransactionRowsParams{Tenant: realm.Tenant, Environment: string(realm.Environment), ID: &id, Kinds: []string{}, Statuses: []string{}, Rows: 1}
	found, err := transactions(ctx, q, realm, p)
	if err != nil {
		return custody.Transaction{}, err
	}
	if len(found) == 0 {
		return custody.Transaction{}, indexer.ErrNotFound
	}
	return found[0], nil
}

// CustodyTransactions implements custody.Transactions.
func (s *Store) CustodyTransactions(ctx context.Context, realm indexer.Realm, filter custody.TransactionFilter) ([]custody.Transaction, *custody.Place, error) {
	p := db.TransactionRowsParams{
		Tenant: realm.Tenant, Environment: string(realm.Environment), WalletID: filter.Wallet, VaultID: filter.Vault,
		Kinds: texts(filter.Kinds), Statuses: texts(filter.Statuses), Caip19: string(filter.Asset),
		Since: filter.Since, Until: filter.Until, Rows: int32(filter.Limit) + 1, //nolint:gosec // checked at the edge
	}
	p.AfterAt, p.AfterID = placeOf(filter.After)
	var found []custody.Transaction
	var next *custody.Place
	err := s.read(ctx, func(tx pgx.Tx) error {
		var err error
		found, err = transactions(ctx, db.New(tx), realm, p)
		found, next = page(found, filter.Limit, func(t custody.Transaction) custody.Place { return custody.Place{Time: t.CreatedAt, ID: t.ID} })
		return err
	})
	return found, next, err
}

// transactions reads transactions, and the deposits that are among them.
func transactions(ctx context.Context, q *db.Queries, realm indexer.Realm, p db.TransactionRowsParams) ([]custody.Transaction, error) {
	rows, err := q.TransactionRows(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("read transactions: %w", err)
	}
	found := make([]custody.Transaction, 0, len(rows))
	var ids []uuid.UUID
	for i := range rows {
		row, t := &rows[i], &rows[i].Transaction
		found = append(found, custody.Transaction{
			ID: t.ID, Realm: realm, Kind: custody.Kind(t.Kind), Status: custody.Status(t.Status), Reason: t.Reason,
			Source: t.SourceWallet, Destination: t.DestinationWallet, Chain: row.Chain, Amount: t.Amount, Note: t.Note,
			Asset:   asset(row.Caip19, row.Symbol, row.AssetName, row.Decimals, row.Listed),
			Version: t.Version, CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(),
		})
		if t.Kind == string(custody.KindDeposit) {
			ids = append(ids, t.ID)
		}
	}
	if len(ids) == 0 {
		return found, nil
	}
	rowsOf, err := deposits(ctx, q, realm, db.DepositRowsParams{Ids: ids, Rows: int32(len(ids))}) //nolint:gosec // at most a page
	if err != nil {
		return nil, err
	}
	byID := make(map[uuid.UUID]*custody.Deposit, len(rowsOf))
	for i := range rowsOf {
		byID[rowsOf[i].ID] = &rowsOf[i]
	}
	for i := range found {
		d := byID[found[i].ID]
		found[i].Deposit = d
		// What was credited is what moved, whatever a token's log says.
		if d != nil && found[i].Status == custody.Completed && d.Received != nil {
			found[i].Amount = *d.Received
		}
	}
	return found, nil
}

// texts returns a list of names as Postgres takes it.
func texts[T ~string](list []T) []string {
	all := make([]string, 0, len(list))
	for _, one := range list {
		all = append(all, string(one))
	}
	return all
}
