package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// Register implements indexer.Leases. The chain keeps the policy it has.
func (s *Store) Register(ctx context.Context, chain chains.Chain, listed []chains.Asset) error {
	return s.register(ctx, chain, listed, nil)
}

// RegisterWith is Register with the policy that the chain's deposits are credited by
// from then on, those among them that are claimed because their asset is listed again.
func (s *Store) RegisterWith(ctx context.Context, chain chains.Chain, listed []chains.Asset, policy custody.Policy) error {
	return s.register(ctx, chain, listed, &policy)
}

func (s *Store) register(ctx context.Context, chain chains.Chain, listed []chains.Asset, policy *custody.Policy) error {
	return s.write(ctx, "register", func(q *db.Queries) error {
		_, err := q.CreateCursor(ctx, db.CreateCursorParams{
			Chain: chain.Slug, Caip2: chain.ID, Family: string(chain.Family), Environment: string(chain.Environment),
			Genesis: chain.Genesis, Maturity: int64(chain.Maturity),
		})
		if err != nil {
			return fmt.Errorf("create cursor: %w", err)
		}
		cursor, err := q.LockCursor(ctx, chain.Slug)
		if err != nil {
			return fmt.Errorf("lock cursor: %w", err)
		}
		if cursor.Genesis != chain.Genesis {
			return indexer.ErrGenesis
		}
		due := false
		if policy != nil {
			if due, err = setPolicy(ctx, q, cursor, *policy); err != nil {
				return err
			}
		}
		w := writing{q: q, chain: chain.Slug, custody: cursor.Custody}
		back, err := w.registerAssets(ctx, chain, listed)
		if err != nil {
			return err
		}
		return w.settle(ctx, due || back)
	})
}

// registerAssets makes the assets of a chain those that the configuration names, and
// reports whether some came back: what wallets were paid of an asset while it was not
// listed is theirs once it is, and what became due meanwhile is credited.
func (w *writing) registerAssets(ctx context.Context, chain chains.Chain, listed []chains.Asset) (back bool, err error) {
	q, native := w.q, chain.Native
	if err := q.DropNative(ctx, db.DropNativeParams{Chain: chain.Slug, Caip19: string(native.ID)}); err != nil {
		return false, fmt.Errorf("drop another native asset: %w", err)
	}
	err = q.PutNative(ctx, db.PutNativeParams{
		Chain: chain.Slug, Caip19: string(native.ID), Symbol: native.Symbol, Name: native.Name, Decimals: int32(native.Decimals),
	})
	if err != nil {
		return false, fmt.Errorf("put native asset: %w", err)
	}
	names := assetNames(listed)
	unlisted, err := q.Unlisted(ctx, db.UnlistedParams{Chain: chain.Slug, Caip19s: names.caip19s})
	if err != nil {
		return false, fmt.Errorf("find assets that come back: %w", err)
	}
	if err := q.UnlistAssets(ctx, db.UnlistAssetsParams{Chain: chain.Slug, Caip19s: names.caip19s}); err != nil {
		return false, fmt.Errorf("unlist assets: %w", err)
	}
	err = q.ListAssets(ctx, db.ListAssetsParams{
		Chain: chain.Slug, Caip19s: names.caip19s, Symbols: names.symbols, Names: names.names, Decimals: names.decimals,
	})
	if err != nil {
		return false, fmt.Errorf("list assets: %w", err)
	}
	if !w.custody || len(unlisted) == 0 {
		return false, nil
	}
	wallets, err := q.WalletsOfAssets(ctx, unlisted)
	if err != nil {
		return false, fmt.Errorf("find wallets of assets that come back: %w", err)
	}
	return true, w.unclaimed(ctx, wallets, nil)
}

// Rebase makes a chain begin again with another genesis block, as a development
// chain that was wiped does: every block leaves the canonical chain, every
// confirmed transfer is orphaned with its event, every search begins again, and
// whoever holds the lease loses it. The lists of tokens are left to Register. It
// returns ErrNotFound if the chain was never registered.
func (s *Store) Rebase(ctx context.Context, chain chains.Chain) error {
	return s.write(ctx, "rebase", func(q *db.Queries) error {
		cursor, err := q.LockCursor(ctx, chain.Slug)
		if err != nil {
			return fmt.Errorf("lock cursor: %w", orNotFound(err))
		}
		w := writing{q: q, chain: chain.Slug, custody: cursor.Custody, rebased: true}
		if err := w.restart(ctx); err != nil {
			return err
		}
		if err := w.settle(ctx, true); err != nil {
			return err
		}
		err = q.ReplaceGenesis(ctx, db.ReplaceGenesisParams{
			Chain: chain.Slug, Caip2: chain.ID, Genesis: chain.Genesis, Maturity: int64(chain.Maturity),
		})
		if err != nil {
			return fmt.Errorf("replace genesis: %w", err)
		}
		return nil
	})
}

// restart takes every block off the chain. The tip is the caller's to clear.
func (w *writing) restart(ctx context.Context) error {
	q := w.q
	orphaned, err := q.OrphanAll(ctx, w.chain)
	if err != nil {
		return fmt.Errorf("orphan transfers: %w", err)
	}
	if err := w.events(ctx, orphaned); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		run  func(ctx context.Context, chain string) error
	}{
		{"unmark blocks", q.UnmarkBlocks},
		{"clear sums", q.ClearSums},
		{"drop stale balances", q.DropStale},
		{"drop unreached balances", q.DropUnreached},
		{"restart searches", q.RestartSearches},
		{"mark accounts", q.UnsyncAccounts},
	} {
		if err := step.run(ctx, w.chain); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// Acquire implements indexer.Leases.
func (s *Store) Acquire(ctx context.Context, chain string, owner uuid.UUID, ttl time.Duration) (indexer.Cursor, error) {
	q := s.queries(ctx)
	row, err := q.TakeLease(ctx, db.TakeLeaseParams{Chain: chain, Owner: owner, Seconds: ttl.Seconds()})
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := q.WatchVersion(ctx, chain); err != nil {
			return indexer.Cursor{}, fmt.Errorf("read cursor: %w", orNotFound(err))
		}
		return indexer.Cursor{}, indexer.ErrLeased
	}
	if err != nil {
		return indexer.Cursor{}, fmt.Errorf("take lease: %w", err)
	}
	// The tip may be moved by the owner itself meanwhile, never by another.
	tip, err := s.Tip(ctx, chain)
	if err != nil {
		return indexer.Cursor{}, err
	}
	return indexer.Cursor{
		Lease: indexer.Lease{Chain: chain, Owner: owner, Epoch: row.Epoch}, Tip: tip,
		Head: uint64(row.Head), Genesis: row.Genesis, WatchVersion: row.WatchVersion, Halted: row.Halted,
		Dispute: indexer.Dispute{Reason: row.Disputed, Height: uint64(row.Contested)},
	}, nil
}

// Release implements indexer.Leases.
func (s *Store) Release(ctx context.Context, lease indexer.Lease) error {
	err := s.queries(ctx).DropLease(ctx, db.DropLeaseParams{Chain: lease.Chain, Owner: lease.Owner, Epoch: lease.Epoch})
	if err != nil {
		return fmt.Errorf("release lease: %w", err)
	}
	return nil
}

// orNotFound makes the absence of a row the sentinel of package indexer.
func orNotFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return indexer.ErrNotFound
	}
	return err
}
