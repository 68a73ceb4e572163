package venue

import (
	"context"
	"sync"
)

// Nonces hands out numbers that a key must send in rising order, for ever: a
// venue that has seen one refuses all below it, and cannot be asked to forget.
type Nonces interface {
	// Next calls send with a number that is above every one handed out for
	// key before, and not below least. It holds the lock of the key until send
	// has returned, so that requests reach the venue in the order of their
	// numbers, also from several daemons; and the number is durable before
	// send is called, so that none is used twice after a crash. It returns
	// what send returned.
	Next(ctx context.Context, key string, least uint64, send func(nonce uint64) error) error
}

// LocalNonces remembers numbers in this process alone: enough for one daemon
// whose numbers are times, since a time after a restart is later.
type LocalNonces struct {
	mu   sync.Mutex
	keys map[string]*counter
}

type counter struct {
	turn chan struct{} // holds one token; whoever has it may send
	last uint64        // guarded by the token
}

// Next implements Nonces.
func (n *LocalNonces) Next(ctx context.Context, key string, least uint64, send func(nonce uint64) error) error {
	c := n.counter(key)
	select {
	case <-c.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { c.turn <- struct{}{} }()
	c.last = max(c.last+1, least)
	return send(c.last)
}

func (n *LocalNonces) counter(key string) *counter {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.keys == nil {
		n.keys = map[string]*counter{}
	}
	c, found := n.keys[key]
	if !found {
		c = &counter{turn: make(chan struct{}, 1)}
		c.turn <- struct{}{}
		n.keys[key] = c
	}
	return c
}
