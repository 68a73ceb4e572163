package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Gallery = (*Store)(nil)

// What is kept of an NFT is bounded again where it is written, whoever read it:
// in bytes.
const (
	maxNFTText  = 8 << 10
	maxNFTImage = 64 << 10
)

// NFTHolders returns the accounts of a user on EVM chains, oldest first, each with
// how many NFTs it holds; an address that several have counts for the oldest. With
// an account it returns that one, or ErrNotFound.
func (s *Store) NFTHolders(ctx context.Context, realm indexer.Realm, user uuid.UUID, only *uuid.UUID) ([]indexer.NFTHolder, error) {
	var holders []indexer.NFTHolder
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		states, err := q.AccountStates(ctx, db.AccountStatesParams{
			Tenant: realm.Tenant, Environment: string(realm.Environment), UserID: &user, Nfts: true,
		})
		if err != nil {
			return fmt.Errorf("read accounts: %w", err)
		}
		counts, err := q.NFTCounts(ctx, db.NFTCountsParams{
			UserID: user, Tenant: realm.Tenant, Environment: string(realm.Environment), AccountID: only,
		})
		if err != nil {
			return fmt.Errorf("count NFTs: %w", err)
		}
		held := make(map[uuid.UUID]int64, len(counts))
		for _, row := range counts {
			held[row.AccountID] = row.Held
		}
		for i := range states {
			row := &states[i]
			if row.Family != string(chains.FamilyEVM) || only != nil && row.Account.ID != *only {
				continue
			}
			holder := indexer.NFTHolder{Account: account(row.Account), State: accountState(row), Held: held[row.Account.ID]}
			if len(row.TipHash) > 0 {
				holder.Tip = blockRef(row.Height, chains.Hash(row.TipHash), chains.Hash(row.TipParent), row.TipTime, row.TipWork)
			}
			holders = append(holders, holder)
		}
		return nil
	})
	if err == nil && only != nil && len(holders) == 0 {
		return nil, indexer.ErrNotFound
	}
	return holders, err
}

// NFTs returns a page of what the accounts of a user hold, and the place the next
// page begins after, nil if there is none.
func (s *Store) NFTs(ctx context.Context, realm indexer.Realm, filter indexer.NFTFilter) ([]indexer.NFT, *indexer.NFTCursor, error) {
	rows, err := s.queries(ctx).NFTs(ctx, db.NFTsParams{
		UserID: filter.User, Tenant: realm.Tenant, Environment: string(realm.Environment), AccountID: filter.Account,
		AfterScript: filter.After.Script, AfterAsset: filter.After.Asset, Rows: int32(filter.Limit) + 1,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list NFTs: %w", err)
	}
	var next *indexer.NFTCursor
	if len(rows) > filter.Limit {
		rows = rows[:filter.Limit]
		last := &rows[len(rows)-1]
		next = &indexer.NFTCursor{Script: last.ScriptID, Asset: last.AssetID}
	}
	nfts := make([]indexer.NFT, 0, len(rows))
	for i := range rows {
		one, err := nft(&rows[i])
		if err != nil {
			return nil, nil, err
		}
		nfts = append(nfts, one)
	}
	return nfts, next, nil
}

func nft(row *db.NFTsRow) (indexer.NFT, error) {
	n := indexer.NFT{
		Account: row.AccountID, Chain: row.Chain, Address: row.Address, ID: chains.AssetID(row.Caip19), Amount: row.Amount,
		Proof: chains.Proof(row.Proof), Collection: row.Collection, Symbol: row.Symbol, URI: row.Uri,
		Document: chains.NFTDocument{Name: row.Name, Description: row.Description, Image: row.Image, ExternalURL: row.ExternalUrl},
		Status:   indexer.NFTStatus(row.Status), Reason: row.Reason, ReadAt: utc(row.AsOf), TriedAt: utc(row.TriedAt),
	}
	if len(row.Hash) > 0 {
		n.AsOf = chains.BlockRef{Height: uint64(row.Height), Hash: chains.Hash(row.Hash), Time: row.BlockTime.UTC()}
	}
	if len(row.AcquiredTx) > 0 {
		n.Acquired = &indexer.Acquisition{
			Tx: chains.Hash(row.AcquiredTx), Height: uint64(row.AcquiredHeight), Time: row.AcquiredAt.UTC(),
		}
	}
	if err := json.Unmarshal(row.Attributes, &n.Document.Attributes); err != nil {
		return n, fmt.Errorf("read the attributes of %s: %w", n.ID, err)
	}
	return n, nil
}

// utc returns a time in UTC, nil for none.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

// DueNFTs implements indexer.Gallery.
func (s *Store) DueNFTs(ctx context.Context, chain string) (bool, error) {
	due, err := s.queries(ctx).DueNFTs(ctx, chain)
	if err != nil {
		return false, fmt.Errorf("look for NFTs that are due: %w", err)
	}
	return due, nil
}

// ClaimNFTs implements indexer.Gallery.
func (s *Store) ClaimNFTs(ctx context.Context, chain string, limit int, claim time.Duration) ([]indexer.DueNFT, error) {
	rows, err := s.queries(ctx).ClaimNFTs(ctx, db.ClaimNFTsParams{Chain: chain, Rows: int32(limit), Seconds: claim.Seconds()})
	if err != nil {
		return nil, fmt.Errorf("claim NFTs: %w", err)
	}
	due := make([]indexer.DueNFT, 0, len(rows))
	for _, row := range rows {
		due = append(due, indexer.DueNFT{Row: row.AssetID, ID: chains.AssetID(row.Caip19), Attempts: int(row.Attempts)})
	}
	return due, nil
}

// DescribeNFT implements indexer.Gallery.
func (s *Store) DescribeNFT(ctx context.Context, row int64, said indexer.NFTSaid, again time.Duration) error {
	attributes, err := attributesJSON(said.Document.Attributes)
	if err != nil {
		return err
	}
	err = s.queries(ctx).DescribeNFT(ctx, db.DescribeNFTParams{
		AssetID: row, Collection: storable(said.Claim.Name), Symbol: storable(said.Claim.Symbol), Uri: storableURI(said.Claim.URI),
		Name: clip(said.Document.Name, maxNFTText), Description: clip(said.Document.Description, maxNFTText),
		Image: clip(said.Document.Image, maxNFTImage), ExternalUrl: clip(said.Document.ExternalURL, maxNFTText),
		Attributes: attributes, Seconds: again.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("keep metadata: %w", err)
	}
	return nil
}

// attributesJSON writes attributes as JSON that Postgres takes.
func attributesJSON(attributes []chains.NFTAttribute) (json.RawMessage, error) {
	kept := make([]chains.NFTAttribute, 0, len(attributes))
	for _, a := range attributes {
		kept = append(kept, chains.NFTAttribute{Trait: storable(a.Trait), Value: clip(a.Value, maxNFTText)})
	}
	raw, err := json.Marshal(kept)
	if err != nil {
		return nil, fmt.Errorf("encode attributes: %w", err)
	}
	return raw, nil
}

// FailNFT implements indexer.Gallery.
func (s *Store) FailNFT(ctx context.Context, row int64, said indexer.NFTSaid, reason string, again time.Duration) error {
	err := s.queries(ctx).FailNFT(ctx, db.FailNFTParams{
		AssetID: row, Collection: storable(said.Claim.Name), Symbol: storable(said.Claim.Symbol), Uri: storableURI(said.Claim.URI),
		Reason: storable(reason), Seconds: again.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("keep why metadata is missing: %w", err)
	}
	return nil
}

// storableURI makes a URI of a contract one that Postgres takes. One that is the
// metadata itself is not kept twice.
func storableURI(uri string) string {
	if strings.HasPrefix(uri, "data:") {
		return "data:"
	}
	return clip(uri, maxNFTText)
}
