package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

var _ custody.Deposits = (*Store)(nil)

// Deposit implements custody.Deposits.
func (s *Store) Deposit(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Deposit, error) {
	found, err := deposits(ctx, s.queries(ctx), realm, db.DepositRowsParams{Ids: []uuid.UUID{id}, Rows: 1})
	if err != nil {
		return custody.Deposit{}, err
	}
	if len(found) == 0 {
		return custody.Deposit{}, indexer.ErrNotFound
	}
	return found[0], nil
}

// Deposits implements custody.Deposits.
func (s *Store) Deposits(ctx context.Context, realm indexer.Realm, filter custody.DepositFilter) ([]custody.Deposit, *custody.Place, error) {
	p := db.DepositRowsParams{
		WalletID: filter.Wallet, VaultID: filter.Vault, Chain: filter.Chain, States: texts(filter.States),
		Since: filter.Since, Until: filter.Until, Rows: int32(filter.Limit) + 1, //nolint:gosec // checked at the edge
	}
	p.AfterAt, p.AfterID = placeOf(filter.After)
	found, err := deposits(ctx, s.queries(ctx), realm, p)
	if err != nil {
		return nil, nil, err
	}
	found, next := page(found, filter.Limit, func(d custody.Deposit) custody.Place { return custody.Place{Time: d.CreatedAt, ID: d.ID} })
	return found, next, nil
}

func deposits(ctx context.Context, q *db.Queries, realm indexer.Realm, p db.DepositRowsParams) ([]custody.Deposit, error) {
	p.Tenant, p.Environment = realm.Tenant, string(realm.Environment)
	if p.Ids == nil {
		p.Ids = []uuid.UUID{}
	}
	if p.States == nil {
		p.States = []string{}
	}
	rows, err := q.DepositRows(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("read deposits: %w", err)
	}
	found := make([]custody.Deposit, 0, len(rows))
	for i := range rows {
		found = append(found, deposit(realm, &rows[i]))
	}
	return found, nil
}

func deposit(realm indexer.Realm, row *db.DepositRowsRow) custody.Deposit {
	r := &row.Deposit
	d := custody.Deposit{
		ID: r.ID, Realm: realm, WalletID: r.WalletID, VaultID: row.VaultID, Chain: r.Chain, Family: chains.Family(row.Family),
		Asset: asset(row.Caip19, row.Symbol, row.AssetName, row.Decimals, row.Listed), Amount: r.Amount, Received: r.Received,
		Address: row.Address, State: custody.DepositState(r.State), Reason: r.Reason, Tx: row.Tx, Source: row.Source,
		ReplacedBy: row.ReplacedBy, Tip: uint64(row.Tip), Version: r.Version, CreatedAt: r.CreatedAt.UTC(), ChangedAt: r.ChangedAt.UTC(), //nolint:gosec // a height
	}
	if row.ExternalID != nil {
		d.ExternalID = *row.ExternalID
	}
	if r.Height != nil && len(row.Block) > 0 {
		d.Block = blockRef(*r.Height, chains.Hash(row.Block), chains.Hash(row.Parent), row.BlockTime, chains.Amount{})
	}
	if r.Due != nil && r.Height != nil {
		due := *r.Due
		if r.LeansOn != nil {
			due += *r.LeansOn - *r.Height
		}
		d.Due = &custody.Due{Basis: custody.Basis(r.Basis), Height: uint64(due)} //nolint:gosec // a height
		if r.Mature != nil {
			d.Due.Mature = uint64(*r.Mature) //nolint:gosec // a height
		}
	}
	return d
}
