package access

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/indexer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// touched is keys that only remember their last use.
type touched struct {
	mu   sync.Mutex
	last map[string]time.Time
	down error
}

func (k *touched) KeyByID(context.Context, string) (Key, error) {
	return Key{}, indexer.ErrNotFound
}

func (k *touched) TouchKeys(_ context.Context, used map[string]time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down != nil {
		return k.down
	}
	maps.Copy(k.last, used)
	return nil
}

func newTestGate(t *testing.T) (*Gate, *touched) {
	t.Helper()
	keys := &touched{last: map[string]time.Time{}}
	tokens, err := NewTokens(make([]byte, 32), nil)
	require.NoError(t, err)
	gate, err := NewGate(Config{Keys: keys, Pepper: pepper, Tokens: tokens})
	require.NoError(t, err)
	return gate, keys
}

// The newest use of a key is written once, and a store that is away loses none.
func TestLastUseSurvivesAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	gate, keys := newTestGate(t)
	keys.down = errors.New("away")
	gate.used.touch("a", now)
	require.ErrorIs(t, gate.Flush(t.Context()), keys.down)
	gate.used.touch("a", now.Add(time.Second))
	gate.used.touch("a", now.Add(-time.Second))
	gate.used.touch("b", now)
	keys.down = nil
	require.NoError(t, gate.Flush(t.Context()))
	require.Equal(t, map[string]time.Time{"a": now.Add(time.Second), "b": now}, keys.last)

	clear(keys.last)
	require.NoError(t, gate.Flush(t.Context()))
	require.Empty(t, keys.last)
}

// Run writes what is left when it ends.
func TestRunFlushesAtTheEnd(t *testing.T) {
	t.Parallel()
	gate, keys := newTestGate(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() { ended <- gate.Run(ctx, zerolog.Nop()) }()
	gate.used.touch("a", now)
	stop := errors.New("stop")
	cancel(stop)
	require.ErrorIs(t, <-ended, stop)
	require.Equal(t, []string{"a"}, slices.Collect(maps.Keys(keys.last)))
}

func TestNewGateNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := NewGate(Config{Pepper: Pepper("short")})
	require.ErrorContains(t, err, "pepper")
	_, err = NewGate(Config{Pepper: pepper})
	require.ErrorContains(t, err, "keys")
	_, err = NewTokens(make([]byte, 31), nil)
	require.ErrorContains(t, err, "31")
}

// Without a master key the empty key is nobody's.
func TestNoMasterKey(t *testing.T) {
	t.Parallel()
	gate, _ := newTestGate(t)
	require.Nil(t, gate.master)
}
