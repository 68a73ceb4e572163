package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains/venue"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Streams = (*Store)(nil)

// DueStreams implements indexer.Streams.
func (s *Store) DueStreams(ctx context.Context, limit int) ([]indexer.DueStream, error) {
	rows, err := s.queries(ctx).DueStreams(ctx, int32(limit))
	if err != nil {
		return nil, fmt.Errorf("read due streams: %w", err)
	}
	due := make([]indexer.DueStream, 0, len(rows))
	for _, row := range rows {
		due = append(due, indexer.DueStream{Account: row.AccountID, Venue: row.Venue, Epoch: row.Epoch, History: row.History})
	}
	return due, nil
}

// AcquireStream implements indexer.Streams.
func (s *Store) AcquireStream(ctx context.Context, account, owner uuid.UUID, ttl time.Duration) (indexer.Stream, error) {
	q := s.queries(ctx)
	row, err := q.TakeStream(ctx, db.TakeStreamParams{AccountID: account, Owner: owner, Seconds: ttl.Seconds()})
	if errors.Is(err, pgx.ErrNoRows) {
		status, err := q.StreamStatus(ctx, account)
		switch {
		case err != nil:
			return indexer.Stream{}, fmt.Errorf("find account: %w", orNotFound(err))
		case status == indexer.StateStopped:
			return indexer.Stream{}, indexer.ErrStopped
		}
		return indexer.Stream{}, indexer.ErrLeased
	}
	if err != nil {
		return indexer.Stream{}, fmt.Errorf("take stream: %w", err)
	}
	stream := indexer.Stream{
		Lease: indexer.StreamLease{Account: account, Owner: owner, Epoch: row.Epoch},
		Venue: row.Venue, Credentials: s.openLogin(row.Tenant, row.Venue, account, row.Sealed), SyncedAt: row.SyncedAt, ValuedAt: row.ValuedAt, CheckedAt: row.CheckedAt.UTC(),
		BalancesDue: row.BalancesDue, HistoryDue: row.HistoryDue, Failures: int(row.Failures), Codes: row.Codes,
		Histories: map[venue.Stream]indexer.StreamHistory{},
	}
	if err := s.reseal(ctx, row, account); err != nil {
		return indexer.Stream{}, err
	}
	histories, err := q.Histories(ctx, account)
	if err != nil {
		return indexer.Stream{}, fmt.Errorf("read histories: %w", err)
	}
	for _, h := range histories {
		var progress venue.Progress
		if err := json.Unmarshal(h.Progress, &progress); err != nil {
			return indexer.Stream{}, fmt.Errorf("read progress of %s: %w", h.Stream, err)
		}
		stream.Histories[venue.Stream(h.Stream)] = indexer.StreamHistory{Progress: progress, Due: h.Due, Failures: int(h.Failures)}
	}
	return stream, nil
}

// reseal seals the credentials of an account with the primary key if another one
// has: each reading after a rotation of the keyset does so, and the old key is
// needed no more.
func (s *Store) reseal(ctx context.Context, row db.TakeStreamRow, account uuid.UUID) error {
	if s.secrets == nil || !s.secrets.Old(row.Sealed) {
		return nil
	}
	whose := loginOf(row.Tenant, row.Venue, account)
	plain, err := s.open(row.Sealed, whose)
	if err != nil {
		return nil // openLogin has told of it
	}
	defer clear(plain)
	anew, err := s.seal(plain, whose)
	if err != nil {
		return fmt.Errorf("seal credentials: %w", err)
	}
	if err := s.queries(ctx).ResealLogin(ctx, db.ResealLoginParams{AccountID: account, Sealed: row.Sealed, Anew: anew}); err != nil {
		return fmt.Errorf("seal credentials anew: %w", err)
	}
	return nil
}

// RenewStream implements indexer.Streams.
func (s *Store) RenewStream(ctx context.Context, lease indexer.StreamLease, ttl time.Duration) error {
	held, err := s.queries(ctx).KeepStream(ctx, db.KeepStreamParams{
		AccountID: lease.Account, Owner: lease.Owner, Epoch: lease.Epoch, Seconds: ttl.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("keep stream: %w", err)
	}
	if held == 0 {
		return indexer.ErrStale
	}
	return nil
}

// EndTurn implements indexer.Streams.
func (s *Store) EndTurn(ctx context.Context, turn indexer.Turn) (indexer.Synced, error) {
	var synced indexer.Synced
	err := s.write(ctx, "end_turn", func(q *db.Queries) error {
		synced = indexer.Synced{}
		if turn.Fault == nil {
			ended, err := q.EndLevelTurn(ctx, db.EndLevelTurnParams{
				AccountID: turn.Lease.Account, Owner: turn.Lease.Owner, Epoch: turn.Lease.Epoch,
				BalancesDue: turn.BalancesDue, HistoryDue: turn.HistoryDue, SyncedAt: turn.SyncedAt,
			})
			if err != nil {
				return fmt.Errorf("end turn: %w", err)
			}
			if ended > 0 {
				return failHistories(ctx, q, turn)
			}
		}
		w, err := holdStream(ctx, q, s, turn.Lease)
		if err != nil {
			return err
		}
		if err := w.settle(ctx, turn); err != nil {
			return err
		}
		if err := failHistories(ctx, q, turn); err != nil {
			return err
		}
		_, err = q.EndTurn(ctx, db.EndTurnParams{
			AccountID: turn.Lease.Account, Owner: turn.Lease.Owner, Epoch: turn.Lease.Epoch,
			BalancesDue: turn.BalancesDue, HistoryDue: turn.HistoryDue, SyncedAt: turn.SyncedAt,
		})
		if err != nil {
			return fmt.Errorf("end turn: %w", err)
		}
		synced.Events, err = w.told(ctx)
		return err
	})
	return synced, err
}

// failHistories writes which histories could not be read further.
func failHistories(ctx context.Context, q *db.Queries, turn indexer.Turn) error {
	for _, failed := range turn.Failed {
		err := q.FailHistory(ctx, db.FailHistoryParams{
			AccountID: turn.Lease.Account, Stream: string(failed.Stream), Place: int32(failed.Place), Due: failed.Due,
			Reason: string(failed.Fault.Reason), Detail: kept(failed.Fault.Detail),
		})
		if err != nil {
			return fmt.Errorf("write why %s is not read: %w", failed.Stream, err)
		}
	}
	return nil
}

// settle writes how the reading of an account ended: with its balances, or with a
// fault that stands in the way or stops it.
func (w *syncing) settle(ctx context.Context, turn indexer.Turn) error {
	state := db.PutStreamStateParams{AccountID: w.account, Status: indexer.StateLevel, StoppedAt: w.row.StoppedAt}
	switch fault := turn.Fault; {
	case fault == nil && turn.SyncedAt == nil:
		return nil // nothing is known that was not
	case fault == nil:
		state.StoppedAt = nil
		if w.row.StoppedAt != nil {
			w.tell("account.recovered", accountData{Venue: w.row.Venue})
		}
	default:
		state.Reason, state.Code, state.Detail, state.Hint = string(fault.Reason), kept(fault.Code), plainText(fault.Detail), fault.Hint
		switch {
		case fault.Reason.Stops():
			state.Status = indexer.StateStopped
			now := time.Now()
			state.StoppedAt = &now
			w.tell("account.stopped", accountData{Venue: w.row.Venue, Reason: state.Reason, Detail: state.Detail, Hint: state.Hint})
		case w.row.SyncedAt == nil:
			state.Status = indexer.StateSyncing
		default:
			state.Status = indexer.StateDegraded
		}
	}
	if err := w.q.PutStreamState(ctx, state); err != nil {
		return fmt.Errorf("write the state of the account: %w", err)
	}
	return nil
}
