package synccache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

const (
	// opTimeout bounds every step of a conversation with Redis.
	opTimeout = 300 * time.Millisecond

	// restTime is how long Redis is left alone after a fault, so that one
	// that hangs costs one timeout and not one for every caller.
	restTime = time.Second
)

// errMalformed hides the URL, which may hold a password.
var errMalformed = errors.New("the URL of Redis is malformed")

// server is the Redis that all of this package talks to.
type server struct {
	client redis.UniversalClient
	log    zerolog.Logger
	rested atomic.Int64 // when Redis may be asked again, in Unix nanoseconds
}

func open(url string, log zerolog.Logger) (*server, error) {
	if strings.Contains(url, "addr=") {
		opts, err := redis.ParseClusterURL(url)
		if err != nil {
			return nil, errMalformed
		}
		opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout, opts.PoolTimeout = opTimeout, opTimeout, opTimeout, opTimeout
		opts.MaxRetries, opts.ContextTimeoutEnabled = -1, true
		return &server{client: redis.NewClusterClient(opts), log: log}, nil
	}
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, errMalformed
	}
	opts.DialTimeout, opts.ReadTimeout, opts.WriteTimeout, opts.PoolTimeout = opTimeout, opTimeout, opTimeout, opTimeout
	opts.MaxRetries, opts.DialerRetries, opts.ContextTimeoutEnabled = -1, 1, true
	return &server{client: redis.NewClient(opts), log: log}, nil
}

func (s *server) resting() bool { return time.Now().UnixNano() < s.rested.Load() }

// rest leaves Redis alone for a while, unless only the caller gave up.
func (s *server) rest(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if !s.resting() {
		s.log.Warn().Err(err).Msg("Redis left alone")
	}
	s.rested.Store(time.Now().Add(restTime).UnixNano())
}

// LogDriver sends what the driver of Redis has to say to log, at debug: it tells of
// every connection lost, on stderr unless told otherwise. It holds for the whole
// process.
func LogDriver(log zerolog.Logger) { redis.SetLogger(driverLog{log}) }

// driverLog is the driver's log.
type driverLog struct{ log zerolog.Logger }

// Printf implements the driver's interface.
func (l driverLog) Printf(_ context.Context, format string, args ...any) {
	l.log.Debug().Str("said", fmt.Sprintf(format, args...)).Msg("driver of Redis spoke")
}
