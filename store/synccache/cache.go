package synccache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"tallyd/indexer"
)

const (
	chainTTL   = time.Minute     // of what an owner said of its chain
	listTTL    = 5 * time.Second // of the chains there are
	accountTTL = time.Second     // of the state of an account
)

// Ledger is the truth behind the cache.
type Ledger interface {
	// ChainStatuses returns the status of every chain.
	ChainStatuses(ctx context.Context) ([]indexer.ChainStatus, error)

	// AccountState returns how far an account is, or indexer.ErrNotFound.
	AccountState(ctx context.Context, realm indexer.Realm, account uuid.UUID) (indexer.AccountState, error)
}

// Cache answers from Redis what it can, and the rest from the ledger. It is safe
// for concurrent use.
type Cache struct {
	*server
	ledger Ledger
}

var _ indexer.SyncState = (*Cache)(nil)

// New returns a cache in the Redis at url, which may be a cluster: then it names
// more nodes as addr parameters. No connection is made yet, and none has to be
// possible.
func New(url string, ledger Ledger, log zerolog.Logger) (*Cache, error) {
	server, err := open(url, log)
	if err != nil {
		return nil, err
	}
	return &Cache{server: server, ledger: ledger}, nil
}

// Close ends all connections, those of its limiter and of its replays too.
func (c *Cache) Close() error {
	if err := c.client.Close(); err != nil {
		return fmt.Errorf("close Redis: %w", err)
	}
	return nil
}

// PutChain implements indexer.SyncState.
func (c *Cache) PutChain(ctx context.Context, status indexer.ChainStatus) {
	c.put(ctx, chainKey(status.Chain), status, chainTTL)
}

// ChainStatuses returns the status of every chain, as its owner last said.
func (c *Cache) ChainStatuses(ctx context.Context) ([]indexer.ChainStatus, error) {
	var all []indexer.ChainStatus
	if !c.get(ctx, listKey, &all) {
		var err error
		if all, err = c.ledger.ChainStatuses(ctx); err != nil {
			return nil, err //nolint:wrapcheck // the ledger says what it was doing
		}
		c.put(ctx, listKey, all, listTTL)
	}
	for i := range all {
		var said indexer.ChainStatus
		if c.get(ctx, chainKey(all[i].Chain), &said) && said.UpdatedAt.After(all[i].UpdatedAt) {
			// The owner neither counts scripts nor knows when a halt is ended.
			said.Scripts, said.Halted = all[i].Scripts, all[i].Halted
			all[i] = said
		}
	}
	return all, nil
}

// AccountState returns how far an account is, or indexer.ErrNotFound. It may be a
// second old.
func (c *Cache) AccountState(ctx context.Context, realm indexer.Realm, account uuid.UUID) (indexer.AccountState, error) {
	key := accountKey(realm, account)
	var state indexer.AccountState
	if c.get(ctx, key, &state) {
		return state, nil
	}
	state, err := c.ledger.AccountState(ctx, realm, account)
	if err != nil {
		return state, err //nolint:wrapcheck // the ledger says what it was doing
	}
	c.put(ctx, key, state, accountTTL)
	return state, nil
}

// The keys. What stands in braces chooses the node of a cluster.
const listKey = "tallyd:sync:chains"

func chainKey(chain string) string { return "tallyd:sync:{chain:" + chain + "}" }

// accountKey holds the realm, so that another tenant's id is a miss here too.
func accountKey(realm indexer.Realm, account uuid.UUID) string {
	return "tallyd:sync:{account:" + account.String() + "}:" + string(realm.Environment) + ":" + realm.Tenant
}

func (c *Cache) get(ctx context.Context, key string, into any) bool {
	if c.resting() {
		return false
	}
	text, err := c.client.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return false
	}
	if err != nil {
		c.rest(ctx, err)
		return false
	}
	// What another version has written is a miss.
	return json.Unmarshal(text, into) == nil
}

func (c *Cache) put(ctx context.Context, key string, value any, ttl time.Duration) {
	if c.resting() {
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		c.log.Warn().Err(err).Str("key", key).Msg("state not written as JSON")
		return
	}
	if err := c.client.Set(ctx, key, text, ttl).Err(); err != nil {
		c.rest(ctx, err)
	}
}
