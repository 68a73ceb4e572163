package store

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// addressSize is the length of an EVM address.
const addressSize = 20

// Transactions returns up to filter.Limit transactions of accounts of a realm,
// newest first, and the place after which the next page begins, nil if there is
// none. Accounts of another realm have none.
func (s *Store) Transactions(ctx context.Context, realm indexer.Realm, filter indexer.TransactionFilter) ([]indexer.Transaction, *indexer.TransactionCursor, error) {
	if len(filter.Accounts) == 0 || filter.Limit <= 0 {
		return nil, nil, nil
	}
	// One more than asked for tells whether another page follows.
	p := db.TransactionPageParams{
		Since: filter.Since, Until: filter.Until, Accounts: filter.Accounts, Statuses: []string{},
		Tenant: realm.Tenant, Environment: string(realm.Environment), Rows: int32(filter.Limit) + 1, ScriptRows: int32(filter.Limit) + 2,
	}
	for _, status := range filter.Statuses {
		p.Statuses = append(p.Statuses, string(status))
	}
	if after := filter.After; after != nil {
		p.AfterAt, p.AfterTx, p.AfterAccount = &after.Time, after.Tx[:], &after.Account
	}
	var found []indexer.Transaction
	var next *indexer.TransactionCursor
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		page, err := q.TransactionPage(ctx, p)
		if err != nil {
			return fmt.Errorf("read a page of transactions: %w", err)
		}
		if len(page) > filter.Limit {
			page = page[:filter.Limit]
			last := page[filter.Limit-1]
			next = &indexer.TransactionCursor{Time: last.At.UTC(), Tx: chains.Hash(last.Tx), Account: last.AccountID}
		}
		found, err = transactionsOf(ctx, q, page)
		return err
	})
	return found, next, err
}

// transactionsOf returns the transactions of a page in its order.
func transactionsOf(ctx context.Context, q *db.Queries, page []db.TransactionPageRow) ([]indexer.Transaction, error) {
	if len(page) == 0 {
		return nil, nil
	}
	var p db.LegsOfParams
	for _, row := range page {
		p.Accounts, p.Txs = append(p.Accounts, row.AccountID), append(p.Txs, row.Tx)
	}
	rows, err := q.LegsOf(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("read transfers: %w", err)
	}
	found := make([]indexer.Transaction, 0, len(page))
	type key struct {
		account uuid.UUID
		source  string
		side    string
	}
	var seen map[key]struct{}
	for i := range rows {
		row := &rows[i]
		if i == 0 || row.N != rows[i-1].N {
			found = append(found, transaction(row))
			seen = make(map[key]struct{})
		}
		// Forms of a leg that are gone come after the one that stands.
		k := key{row.AccountID, row.Source, row.Side}
		if _, known := seen[k]; !known {
			seen[k] = struct{}{}
			last := &found[len(found)-1]
			last.Legs = append(last.Legs, legOf(row))
		}
	}
	return found, nil
}

// transaction returns a transaction without its legs. Its first leg is one that
// is alive if any is.
func transaction(row *db.LegsOfRow) indexer.Transaction {
	t := indexer.Transaction{
		AccountID: row.AccountID, Chain: row.Chain, Tx: row.Tx, Status: indexer.TransferStatus(row.Status),
		TxIndex: uint32(row.TxIndex), Time: row.At.UTC(),
	}
	if row.Height >= 0 {
		t.Block = blockRef(row.Height, chains.Hash(row.Block), chains.Hash(row.Parent), row.BlockTime, row.Work)
		t.Confirmations = uint64(max(row.Tip-row.Height+1, 0))
	}
	return t
}

func legOf(row *db.LegsOfRow) indexer.Leg {
	leg := indexer.Leg{
		ID: row.ID, Source: row.Source, Side: chains.Side(row.Side), Amount: row.Amount, Address: row.Address, Coinbase: row.Coinbase,
		Asset: asset(row.Caip19, row.Symbol, row.Name, row.Decimals, row.Listed),
	}
	if row.Family == string(chains.FamilyEVM) && len(row.Peer) == addressSize {
		leg.PeerAddress = "0x" + hex.EncodeToString(row.Peer)
	}
	return leg
}
