package store

import (
	"context"
	"fmt"
	"math"
	"strings"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// maxName bounds what a token may call itself, in bytes.
const maxName = 256

// names are assets as columns.
type names struct {
	caip19s, symbols, names []string
	decimals                []int32
}

func assetNames(assets []chains.Asset) names {
	n := names{caip19s: []string{}}
	for _, a := range assets {
		n.caip19s = append(n.caip19s, string(a.ID))
		n.symbols = append(n.symbols, storable(a.Symbol))
		n.names = append(n.names, storable(a.Name))
		n.decimals = append(n.decimals, int32(min(max(a.Decimals, -1), math.MaxInt32)))
	}
	return n
}

// storable makes a text of a contract one that Postgres takes. A hostile name
// must not make a commit fail.
func storable(s string) string { return clip(s, maxName) }

// clip makes a text of others one that Postgres takes, of at most size bytes.
func clip(s string, size int) string {
	if len(s) > size {
		s = s[:size]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}

// assetIDs returns the row ids of assets, made where there are none, and which
// those are.
func assetIDs(ctx context.Context, q *db.Queries, chain string, wanted []chains.AssetID) (map[chains.AssetID]int64, []chains.AssetID, error) {
	if len(wanted) == 0 {
		return nil, nil, nil
	}
	ids := make(map[chains.AssetID]int64, len(wanted))
	var distinct []string
	for _, id := range wanted {
		if _, seen := ids[id]; !seen {
			ids[id] = 0
			distinct = append(distinct, string(id))
		}
	}
	fresh, err := q.AddAssets(ctx, db.AddAssetsParams{Chain: chain, Caip19s: distinct})
	if err != nil {
		return nil, nil, fmt.Errorf("add assets: %w", err)
	}
	rows, err := q.AssetIDs(ctx, db.AssetIDsParams{Chain: chain, Caip19s: distinct})
	if err != nil {
		return nil, nil, fmt.Errorf("read asset ids: %w", err)
	}
	for _, row := range rows {
		ids[chains.AssetID(row.Caip19)] = row.ID
	}
	return ids, toAssetIDs(fresh), nil
}

func toAssetIDs(texts []string) []chains.AssetID {
	var ids []chains.AssetID
	for _, text := range texts {
		ids = append(ids, chains.AssetID(text))
	}
	return ids
}

// KnownAssets implements indexer.Assets.
func (s *Store) KnownAssets(ctx context.Context, chain string) ([]chains.AssetID, error) {
	rows, err := s.queries(ctx).KnownAssets(ctx, chain)
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	return toAssetIDs(rows), nil
}

// UnnamedAssets implements indexer.Assets.
func (s *Store) UnnamedAssets(ctx context.Context, chain string, limit int) ([]chains.AssetID, error) {
	rows, err := s.queries(ctx).UnnamedAssets(ctx, db.UnnamedAssetsParams{Chain: chain, Rows: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("read unnamed assets: %w", err)
	}
	return toAssetIDs(rows), nil
}

var _ indexer.Assets = (*Store)(nil)
