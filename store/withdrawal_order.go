package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// uniqueViolation is the code of Postgres for a row that is there already.
const uniqueViolation = "23505"

// Withdraw implements custody.Ordering.
func (s *Store) Withdraw(ctx context.Context, order custody.WithdrawalOrder) (custody.Withdrawal, error) {
	var made custody.Withdrawal
	err := s.write(ctx, "withdraw", func(q *db.Queries) error {
		b := books{q: q}
		if err := b.hold(ctx, []uuid.UUID{order.Wallet}); err != nil {
			return err
		}
		wallet, err := b.permitWithdrawal(ctx, order)
		if err != nil {
			return err
		}
		at, err := q.WalletPlace(ctx, db.WalletPlaceParams{ID: order.Wallet, Tenant: order.Realm.Tenant, Environment: string(order.Realm.Environment)})
		if err != nil {
			return fmt.Errorf("find wallet: %w", orNotFound(err))
		}
		if err := permitDestination(ctx, q, order.Realm, at.Chain, order.Script); err != nil {
			return err
		}
		err = q.PutWithdrawal(ctx, db.PutWithdrawalParams{
			ID: order.ID, Tenant: order.Realm.Tenant, Environment: string(order.Realm.Environment), Chain: at.Chain,
			Kind: string(custody.KindWithdrawal), WalletID: &order.Wallet, AssetID: wallet.AssetID, Amount: order.Amount,
			Destination: order.Address, Script: order.Script, MaxFee: order.MaxFee, Note: order.Note,
		})
		if err != nil {
			return fmt.Errorf("put withdrawal: %w", err)
		}
		if err := withdrawalEvent(ctx, q, order.ID, "transaction.created"); err != nil {
			return err
		}
		claim := custody.Claim{Wallet: &order.Wallet, Asset: wallet.AssetID, Amount: order.Amount}
		_, err = b.post(ctx, []custody.Journal{{
			Realm: order.Realm, Kind: custody.JournalWithdrawal, Reference: order.ID, Version: 1,
			Postings: claim.Books(custody.Submitted, chains.Amount{}),
		}})
		if err != nil {
			return err
		}
		if _, err := b.close(ctx); err != nil {
			return err
		}
		made, err = oneWithdrawal(ctx, q, order.ID)
		return err
	})
	return made, err
}

func oneWithdrawal(ctx context.Context, q *db.Queries, id uuid.UUID) (custody.Withdrawal, error) {
	read, err := readWithdrawals(ctx, q, indexer.Realm{}, id)
	if err != nil {
		return custody.Withdrawal{}, err
	}
	return read[0].noun(), nil
}

// permitWithdrawal returns the wallet that pays, or why it may not.
func (b *books) permitWithdrawal(ctx context.Context, order custody.WithdrawalOrder) (db.LockWalletsRow, error) {
	wallet, there := b.held[order.Wallet]
	if !there || realmOf(wallet.Tenant, wallet.Environment) != order.Realm {
		return wallet, indexer.ErrNotFound
	}
	archived, err := b.q.ArchivedWallets(ctx, []uuid.UUID{order.Wallet})
	if err != nil {
		return wallet, fmt.Errorf("read the status of the vault: %w", err)
	}
	switch {
	case archived:
		return wallet, custody.ErrArchived
	case wallet.Status == string(custody.WalletFrozen):
		return wallet, custody.ErrFrozen
	case order.Amount.Sign() <= 0:
		return wallet, custody.ErrAmountPositive
	case order.Amount.Cmp(wallet.Available) > 0:
		return wallet, custody.ErrInsufficient
	}
	return wallet, nil
}

// permitDestination returns why a withdrawal may not go to a script, or nil.
func permitDestination(ctx context.Context, q *db.Queries, realm indexer.Realm, chain string, script []byte) error {
	_, err := q.OwnAddress(ctx, db.OwnAddressParams{Tenant: realm.Tenant, Environment: string(realm.Environment), Chain: chain, Script: script})
	switch {
	case err == nil:
		return custody.ErrOwnAddress
	case !errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("look for the destination among addresses: %w", err)
	}
	return permitEntry(ctx, q, realm, chain, script)
}

func permitEntry(ctx context.Context, q *db.Queries, realm indexer.Realm, chain string, script []byte) error {
	entry, err := q.UsableEntry(ctx, db.UsableEntryParams{Tenant: realm.Tenant, Environment: string(realm.Environment), Chain: chain, Script: script})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return custody.ErrNotInBook
	case err != nil:
		return fmt.Errorf("look for the destination in the address book: %w", err)
	case !entry.Usable:
		return &custody.CoolingError{UsableAt: entry.UsableAt.UTC()}
	}
	return nil
}

// MoveWithin implements custody.Ordering.
func (s *Store) MoveWithin(ctx context.Context, order custody.InternalOrder) (custody.Withdrawal, error) {
	var made custody.Withdrawal
	err := s.write(ctx, "move_within", func(q *db.Queries) error {
		p, err := within(ctx, q, order)
		if err != nil {
			return err
		}
		p.ID, p.Tenant, p.Environment, p.Chain = order.ID, order.Realm.Tenant, string(order.Realm.Environment), order.Chain
		p.Kind, p.MaxFee, p.Note = string(order.Kind), order.MaxFee, order.Note
		if err := q.PutWithdrawal(ctx, p); err != nil {
			if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == uniqueViolation && refused.ConstraintName == "withdrawals_sweep" {
				return custody.ErrUnderWay
			}
			return fmt.Errorf("put %s: %w", order.Kind, err)
		}
		if err := withdrawalEvent(ctx, q, order.ID, "transaction.created"); err != nil {
			return err
		}
		made, err = oneWithdrawal(ctx, q, order.ID)
		return err
	})
	return made, err
}

// within returns what is moved from where to where.
func within(ctx context.Context, q *db.Queries, order custody.InternalOrder) (db.PutWithdrawalParams, error) {
	var p db.PutWithdrawalParams
	realm, environment := order.Realm, string(order.Realm.Environment)
	own, err := q.OwnAddress(ctx, db.OwnAddressParams{Tenant: realm.Tenant, Environment: environment, Chain: order.Chain, Script: order.Script})
	if err != nil {
		return p, fmt.Errorf("find address: %w", orNotFound(err))
	}
	if own.Purpose != "deposit" {
		return p, indexer.ErrNotFound
	}
	treasury, err := q.Treasury(ctx, db.TreasuryParams{Tenant: realm.Tenant, Environment: environment, Chain: order.Chain})
	if err != nil {
		return p, orOutcome("find treasury", err, custody.ErrNoTreasury)
	}
	assets, err := q.ChainAssets(ctx, order.Chain)
	if err != nil {
		return p, fmt.Errorf("read assets: %w", err)
	}
	at := slices.IndexFunc(assets, func(a db.Asset) bool {
		return order.Kind == custody.KindGasTopUp && a.Native || order.Kind == custody.KindSweep && a.Caip19 == string(order.Asset)
	})
	if at < 0 {
		return p, indexer.ErrNotFound
	}
	p.AssetID = assets[at].ID
	if order.Kind == custody.KindGasTopUp {
		if order.Amount.Sign() <= 0 {
			return p, custody.ErrAmountPositive
		}
		p.Amount, p.Destination, p.Script = order.Amount, own.Address, order.Script
		return p, nil
	}
	underWay, err := q.SweepUnderWay(ctx, db.SweepUnderWayParams{Tenant: realm.Tenant, Environment: environment, SenderID: own.ScriptID, AssetID: p.AssetID})
	if err != nil {
		return p, fmt.Errorf("look for a sweep under way: %w", err)
	}
	if underWay {
		return p, custody.ErrUnderWay
	}
	const most = 1000 // assets of one address
	holdings, err := q.PoolHoldings(ctx, db.PoolHoldingsParams{Tenant: realm.Tenant, Environment: environment, Chain: order.Chain, ScriptID: &own.ScriptID, Rows: most})
	if err != nil {
		return p, fmt.Errorf("read what the address holds: %w", err)
	}
	at = slices.IndexFunc(holdings, func(h db.PoolHoldingsRow) bool { return h.AssetID == p.AssetID })
	if at < 0 {
		return p, custody.ErrNothingThere
	}
	// How much it is when it is signed, the draft says.
	p.Amount, p.Destination, p.Script, p.SenderID = holdings[at].Amount, treasury.Address, treasury.Script, &own.ScriptID
	return p, nil
}
