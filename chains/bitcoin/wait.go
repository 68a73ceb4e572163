package bitcoin

import (
	"context"
	"sync"
	"time"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

const (
	// longPoll is how long a node is asked to wait for a block. A node gives a
	// thread to each waiter, and keeps it when we hang up.
	longPoll = 10 * time.Second

	// blindPoll is longPoll for a node that cannot be told the tip we know: a
	// block between our two questions is seen only after it.
	blindPoll = 2 * time.Second

	// headTick is how often a node that can do neither is asked.
	headTick = time.Second

	// resubscribe is how long a broken subscription rests.
	resubscribe = time.Second
)

// WaitHead returns nil when the head may no longer be known: by long poll where
// the node has it, on a notification of its websocket, or else by asking every
// second.
func (s *Source) WaitHead(ctx context.Context, known chains.Hash) error {
	for {
		began := time.Now()
		next, live := s.news.next()
		head, err := ask(ctx, s, func(ctx context.Context, n node) (chains.Hash, error) {
			if n.can.longPoll && !live {
				return n.waitBlock(ctx, known)
			}
			return n.best(ctx)
		})
		if err != nil {
			return err
		}
		if head != known {
			return nil
		}
		// A long poll has waited itself; one that returns at once does not make
		// this loop a busy one.
		if err := pauseFor(ctx, headTick-time.Since(began), next); err != nil {
			return err
		}
	}
}

// waitBlock returns the node's best block as soon as it is not known, or after
// a time.
func (n node) waitBlock(ctx context.Context, known chains.Hash) (chains.Hash, error) {
	wait := longPoll
	params := []any{known.String()}
	if !n.can.tipParam {
		head, err := n.best(ctx)
		if err != nil || head != known {
			return head, err
		}
		wait, params = blindPoll, nil
	}
	// A node does not notice that a waiter hung up: it is told our deadline.
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline))
	}
	params = append([]any{max(wait.Milliseconds(), 1)}, params...)
	if _, err := n.CallPatient(ctx, wait+10*time.Second, "waitfornewblock", params...); err != nil {
		return chains.Hash{}, err
	}
	return n.best(ctx)
}

// news tells waiters that some node has announced a block.
type news struct {
	mu   sync.Mutex
	come chan struct{} // closed by the next announcement
	live int           // subscriptions that stand
}

func newNews() *news { return &news{come: make(chan struct{})} }

// next returns what the next announcement closes, and whether one can come.
func (n *news) next() (come <-chan struct{}, live bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.come, n.live > 0
}

func (n *news) announce() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.come)
	n.come = make(chan struct{})
}

func (n *news) subscribed(change int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.live += change
}

// subscribe keeps a subscription to one btcd until ctx ends. Its end and its
// return count as an announcement, since blocks may have come meanwhile.
func (s *Source) subscribe(ctx context.Context, u *rpc.Upstream) {
	reported := false
	for ctx.Err() == nil {
		stood := false
		err := u.Subscribe(ctx, rpc.Request{Method: "notifyblocks"}, func() {
			stood, reported = true, false
			s.news.subscribed(1)
			s.news.announce()
		}, func(n rpc.Notification) error {
			// blockconnected and filteredblockconnected announce the same.
			if n.Method == "blockconnected" || n.Method == "blockdisconnected" {
				s.news.announce()
			}
			return nil
		})
		if stood {
			s.news.subscribed(-1)
			s.news.announce()
		}
		if ctx.Err() == nil && !reported {
			reported = true
			s.log.Warn().Err(err).Msg("block subscription ended")
		}
		_ = pauseFor(ctx, resubscribe, nil) // the loop looks at ctx itself
	}
}

// pauseFor waits for d, for early, or for the end of ctx, whose cause it then
// returns.
func pauseFor(ctx context.Context, d time.Duration, early <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-early:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
