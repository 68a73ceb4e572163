package evm

import (
	"context"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

const (
	resubscribeFirst = time.Second
	resubscribeMost  = 30 * time.Second
)

// headFeed remembers the newest block that a subscription announced.
type headFeed struct {
	stop       context.CancelFunc
	done       chan struct{}
	subscribes bool // some node has a WebSocket

	mu       sync.Mutex
	hash     common.Hash   // announced last; zero while nothing was, or after a break
	reported common.Hash   // the announcement that WaitHead has returned for
	changed  chan struct{} // closed when hash changes
}

// followHeads starts to listen for new heads, if a node has a WebSocket. It goes
// on after ctx has ended, until the feed is closed.
func (s *Source) followHeads(ctx context.Context) *headFeed {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	f := &headFeed{stop: stop, done: make(chan struct{}), changed: make(chan struct{})}
	var upstreams []*rpc.Upstream
	for _, u := range s.pool.Upstreams() {
		if u.Spec().Websocket != "" {
			upstreams = append(upstreams, u)
		}
	}
	f.subscribes = len(upstreams) > 0
	go func() {
		defer close(f.done)
		s.listen(ctx, f, upstreams)
	}()
	return f
}

// listen subscribes to one node after the other, until ctx ends.
func (s *Source) listen(ctx context.Context, f *headFeed, upstreams []*rpc.Upstream) {
	wait := resubscribeFirst
	for i := 0; len(upstreams) > 0; i++ {
		u := upstreams[i%len(upstreams)]
		request := rpc.Request{Method: "eth_subscribe", Params: []any{"newHeads"}}
		err := u.Subscribe(ctx, request, func() { wait = resubscribeFirst }, f.announce)
		if ctx.Err() != nil {
			return
		}
		// Whoever waits looks by itself, since something may have been missed.
		f.set(common.Hash{})
		s.log.Warn().Str("upstream", u.Name()).Err(err).Msg("subscription to new heads ended")
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = min(2*wait, resubscribeMost)
	}
}

// announce takes one notification. One that makes no sense still says that
// something happened.
func (f *headFeed) announce(n rpc.Notification) error {
	s := &scanner{text: n.Params}
	var h header
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		if string(s.key()) != "result" {
			s.skip()
			continue
		}
		for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
			if name := s.key(); !h.member(s, name) {
				s.skip()
			}
		}
	}
	f.set(h.hash)
	return nil
}

func (f *headFeed) set(hash common.Hash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hash = hash
	close(f.changed)
	f.changed = make(chan struct{})
}

// news reports whether a head other than known was announced, once for each
// announcement: a node that goes back to an older head announces nothing, and
// what it had announced before must not keep anyone awake.
func (f *headFeed) news(known common.Hash) (news bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news = f.hash != common.Hash{} && f.hash != known && f.hash != f.reported
	if news {
		f.reported = f.hash
	}
	return news, f.changed
}

// broken reports whether nothing was announced since the subscription began, or
// broke.
func (f *headFeed) broken() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hash == common.Hash{}
}

func (f *headFeed) close() {
	f.stop()
	<-f.done
}

// WaitHead implements chains.HeadWaiter. The hint is a node's announcement of a
// new head by WebSocket; nothing of it is believed. Before the first one the
// node is asked once. Where no node has a WebSocket, it waits until ctx ends,
// which leaves the tick to the caller.
func (s *Source) WaitHead(ctx context.Context, known chains.Hash) error {
	news, changed := s.heads.news(common.Hash(known))
	if s.heads.broken() && s.heads.subscribes {
		head, err := s.Head(ctx)
		news = err == nil && head.Hash != known
	}
	for !news {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
			if s.heads.broken() {
				return nil
			}
			news, changed = s.heads.news(common.Hash(known))
		}
	}
	return nil
}
