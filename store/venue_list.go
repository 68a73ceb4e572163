package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/indexer"
	"tallyd/store/db"
)

// VenueMovements implements indexer.VenueReader.
func (s *Store) VenueMovements(ctx context.Context, realm indexer.Realm, filter indexer.VenueMovementFilter) ([]indexer.VenueMovement, error) {
	p := db.VenueMovementsParams{
		Accounts: orEmpty(filter.Accounts), Tenant: realm.Tenant, Environment: string(realm.Environment), Since: filter.Since, Until: filter.Until,
		Kinds: texts(filter.Kinds), Statuses: texts(filter.Statuses), Streams: texts(filter.Streams), OnlyShown: filter.Shown, Rows: int32(filter.Limit),
	}
	if filter.After != nil {
		p.AfterAt, p.AfterID = &filter.After.Time, filter.After.ID
	}
	var found []indexer.VenueMovement
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		rows, err := q.VenueMovements(ctx, p)
		if err != nil {
			return fmt.Errorf("read movements: %w", err)
		}
		found, err = s.movements(ctx, q, rows)
		return err
	})
	return found, err
}

// LinkedMovements implements indexer.VenueReader.
func (s *Store) LinkedMovements(
	ctx context.Context, realm indexer.Realm, user uuid.UUID, chain string, txs []chains.Hash,
) ([]indexer.VenueMovement, error) {
	hashes := make([][]byte, 0, len(txs))
	for i := range txs {
		hashes = append(hashes, txs[i][:])
	}
	var linked []indexer.VenueMovement
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		id, err := q.ChainID(ctx, chain)
		if err != nil {
			return fmt.Errorf("find chain: %w", orNotFound(err))
		}
		rows, err := q.VenueMovementsByTx(ctx, db.VenueMovementsByTxParams{
			Txs: hashes, UserID: user, Tenant: realm.Tenant, Environment: string(realm.Environment),
		})
		if err != nil {
			return fmt.Errorf("read movements: %w", err)
		}
		same := make([]db.VenueMovementsRow, 0, len(rows))
		for _, row := range rows {
			same = append(same, db.VenueMovementsRow(row))
		}
		found, err := s.movements(ctx, q, same)
		if err != nil {
			return err
		}
		for _, m := range found {
			if m.Chain == id {
				linked = append(linked, m)
			}
		}
		return nil
	})
	return linked, err
}

// movements reads rows, and the legs on chains that they are the other end of.
func (s *Store) movements(ctx context.Context, q *db.Queries, rows []db.VenueMovementsRow) ([]indexer.VenueMovement, error) {
	table, err := s.identities()
	if err != nil {
		return nil, fmt.Errorf("read the table of assets: %w", err)
	}
	found := make([]indexer.VenueMovement, 0, len(rows))
	links := links{q: q}
	for _, row := range rows {
		m, err := movement(row, table)
		if err != nil {
			return nil, err
		}
		if row.Tx != nil && m.Chain != "" {
			links.want(m.AccountID, row.Tx)
		}
		found = append(found, m)
	}
	if err := links.load(ctx); err != nil {
		return nil, err
	}
	for i, row := range rows {
		if row.Tx != nil {
			found[i].Links = links.of(&found[i], chains.Hash(row.Tx))
		}
	}
	return found, nil
}

func movement(row db.VenueMovementsRow, table *identity.Table) (indexer.VenueMovement, error) {
	var k keptMovement
	if err := json.Unmarshal(row.Data, &k); err != nil {
		return indexer.VenueMovement{}, fmt.Errorf("read row %d: %w", row.ID, err)
	}
	m := indexer.VenueMovement{
		Movement: venue.Movement{
			Stream: venue.Stream(row.Stream), ID: k.ID, Ref: k.Ref, Group: k.Group, Kind: k.Kind, Type: k.Type, Status: k.Status, State: k.State,
			Network: k.Network, TxHash: k.TxHash, Vout: k.Vout, Address: k.Address, Tag: k.Tag, Inside: k.Inside, Time: k.Time.UTC(),
		},
		ID: row.ID, AccountID: row.AccountID, Venue: row.Venue, Version: row.Version, Chain: table.Network(row.Venue, k.Network),
		FirstSeen: row.FirstSeen.UTC(), Shown: row.Shown,
	}
	if k.Updated != nil {
		m.Updated = k.Updated.UTC()
	}
	for _, leg := range k.Legs {
		m.Legs = append(m.Legs, venue.Leg{Wallet: leg.Wallet, Code: leg.Code, Amount: leg.Amount, Fee: leg.Fee})
		m.Assets = append(m.Assets, table.Identify(row.Venue, leg.Code))
	}
	return m, nil
}

// links finds the legs on chains that carry the same transactions as movements. It
// is asked for each list anew: a link is no fact of its own, so that a reorg, a
// connected or a deleted account changes it by itself.
type links struct {
	q        *db.Queries
	accounts []uuid.UUID
	txs      [][]byte
	legs     []db.LinkedLegsRow
}

func (l *links) want(account uuid.UUID, tx []byte) {
	l.accounts, l.txs = append(l.accounts, account), append(l.txs, tx)
}

func (l *links) load(ctx context.Context) error {
	if len(l.txs) == 0 {
		return nil
	}
	var err error
	l.legs, err = l.q.LinkedLegs(ctx, db.LinkedLegsParams{Accounts: l.accounts, Txs: l.txs})
	if err != nil {
		return fmt.Errorf("read linked legs: %w", err)
	}
	return nil
}

// of returns the legs that are the other end of a movement: on its network, in the
// other direction, and where both name an output or an address, the same.
func (l *links) of(m *indexer.VenueMovement, tx chains.Hash) []indexer.VenueLink {
	var found, addressed []indexer.VenueLink
	side := chains.Out
	if m.Kind == venue.Withdrawal {
		side = chains.In
	}
	for _, leg := range l.legs {
		if leg.VenueAccount != m.AccountID || leg.Tx != tx || leg.Caip2 != m.Chain || leg.Side != string(side) {
			continue
		}
		if side == chains.In && m.Vout >= 0 && leg.Vout != nil && *leg.Vout != int64(m.Vout) {
			continue
		}
		link := indexer.VenueLink{
			AccountID: leg.AccountID, Chain: leg.Chain, Tx: leg.Tx, Source: leg.Source, Side: side, Asset: chains.AssetID(leg.Caip19),
			Amount: leg.Amount, Status: indexer.TransferStatus(leg.Status),
		}
		found = append(found, link)
		if m.Address != "" && strings.EqualFold(m.Address, leg.Address) {
			addressed = append(addressed, link)
		}
	}
	// A venue pays many with one transaction, and two of them may be of one user.
	if side == chains.In && addressed != nil {
		return addressed
	}
	return found
}
