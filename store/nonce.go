package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains/venue"
	"tallyd/store/db"
)

const (
	// nonceTime is how long the turn of a key lasts whose owner died: longer than
	// a request may take.
	nonceTime = 45 * time.Second

	// nonceLook is how often a turn is asked for that another daemon has.
	nonceLook = 50 * time.Millisecond
)

// errNonce says that a number is beyond what can be kept.
var errNonce = errors.New("the number is too large")

// Nonces hands out the rising numbers of keys, for all daemons on one database.
//
// A number and the turn of its key are taken by one statement that has committed
// before the request leaves, and no connection is held while the venue answers: so
// it runs behind any pooler, and a venue that is slow costs no connections. The
// turn ends with the answer, or nonceTime after its owner died.
type Nonces struct {
	store *Store
	owner uuid.UUID

	mu    sync.Mutex
	turns map[string]chan struct{} // by key, each with one token; guarded by mu
}

var _ venue.Nonces = (*Nonces)(nil)

// Nonces returns the numbers of this store's database.
func (s *Store) Nonces() *Nonces {
	return &Nonces{store: s, owner: uuid.New(), turns: map[string]chan struct{}{}}
}

// Next implements venue.Nonces.
func (n *Nonces) Next(ctx context.Context, key string, least uint64, send func(nonce uint64) error) error {
	if least > math.MaxInt64 {
		return fmt.Errorf("take a number of a key: %w", errNonce)
	}
	// Within this process requests of a key wait here, so that only another
	// daemon's turn is ever looked for twice.
	turn := n.turn(key)
	select {
	case <-turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { turn <- struct{}{} }()
	nonce, err := n.take(ctx, key, int64(least))
	if err != nil {
		return err
	}
	// From here on no daemon hands this number out again, whatever happens.
	defer n.drop(ctx, key)
	return send(uint64(nonce))
}

// take waits for the turn of a key and returns its next number.
func (n *Nonces) take(ctx context.Context, key string, least int64) (int64, error) {
	tick := time.NewTicker(nonceLook)
	defer tick.Stop()
	for {
		// Never within a request: its transaction may be rolled back.
		nonce, err := db.New(n.store.pool).TakeNonce(ctx, db.TakeNonceParams{
			Name: key, Least: least, Owner: n.owner, Seconds: nonceTime.Seconds(),
		})
		if err == nil {
			return nonce, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return 0, fmt.Errorf("take a number of a key: %w", err)
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// drop gives the turn of a key up. One that could not be given up runs out.
func (n *Nonces) drop(ctx context.Context, key string) {
	dropping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := db.New(n.store.pool).DropNonce(dropping, db.DropNonceParams{Name: key, Owner: n.owner}); err != nil {
		n.store.log.Debug().Err(err).Msg("turn of a key not given up")
	}
}

func (n *Nonces) turn(key string) chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	turn, found := n.turns[key]
	if !found {
		turn = make(chan struct{}, 1)
		turn <- struct{}{}
		n.turns[key] = turn
	}
	return turn
}
