package bitcoin

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"tallyd/chains"
)

// shaState is a state of SHA-256 in the order of sha256Pair: F E B A, H G D C.
type shaState [8]uint32

// hasher computes double SHA-256 of many messages. Where the processor can, it
// works on two of them at a time, which is worth a factor of two to three against
// one call of crypto/sha256 after the other: blocks are made of short messages.
type hasher struct {
	paired bool
	lanes  [2]lane
	spare  shaState // takes the second place when one message is left

	dst   []byte
	queue [][]byte
	next  int
	pairs [][]byte
}

// lane is one message on its way through the hash.
type lane struct {
	state   shaState
	message []byte    // whole blocks that are still to come, and the rest behind them
	blocks  int       // of message
	stage   laneStage // what comes after those
	size    int       // of the whole message
	dst     *[32]byte
	tail    [128]byte // the last block or two, padded
}

// laneStage is what a lane works on.
type laneStage uint8

const (
	laneIdle   laneStage = iota
	laneWhole            // the whole blocks of the message
	laneTail             // its end and the padding
	laneSecond           // the hash of the hash
)

func newHasher() *hasher { return &hasher{paired: hasSHA()} }

// sum sets the i-th 32 bytes of dst to the double hash of messages[i], and leaves
// them as they are where that is nil. Messages may lie in dst if all are of one
// length and none starts before its own hash.
func (h *hasher) sum(dst []byte, messages [][]byte) {
	if !h.paired {
		for i, m := range messages {
			if m != nil {
				hash := doubleHash(m)
				copy(dst[32*i:], hash[:])
			}
		}
		return
	}
	a, b := &h.lanes[0], &h.lanes[1]
	h.dst, h.queue, h.next = dst, messages, 0
	for {
		switch workA, workB := h.ready(a), h.ready(b); {
		case workA && workB:
			n := min(a.blocks, b.blocks)
			sha256Pair(&a.state, &b.state, &a.message[0], &b.message[0], n)
			a.took(n)
			b.took(n)
		case workA:
			h.run(a, a.blocks)
		case workB:
			h.run(b, b.blocks)
		default:
			h.dst, h.queue = nil, nil
			return
		}
	}
}

// ready gives a lane its next blocks, from the queue when it is through with its
// message, and reports whether there are any.
func (h *hasher) ready(l *lane) bool {
	for l.blocks == 0 {
		if l.stage != laneIdle {
			l.advance()
			continue
		}
		for h.next < len(h.queue) && h.queue[h.next] == nil {
			h.next++
		}
		if h.next == len(h.queue) {
			return false
		}
		l.start(h.queue[h.next], (*[32]byte)(h.dst[32*h.next:]))
		h.next++
	}
	return true
}

// merkleRoot returns the root of the tree over the 32-byte leaves in tree, which
// is overwritten and needs room for one more leaf in its capacity. It reports
// mutated when two neighbours under one parent are equal: such a list of leaves
// has the root of a shorter one, so that the root proves neither (CVE-2012-2459).
func (h *hasher) merkleRoot(tree []byte) (root [32]byte, mutated bool) {
	for len(tree) > 32 {
		if len(tree)%64 != 0 {
			tree = append(tree, tree[len(tree)-32:]...)
		} else if bytes.Equal(tree[len(tree)-64:len(tree)-32], tree[len(tree)-32:]) {
			mutated = true
		}
		h.pairs = h.pairs[:0]
		for at := 0; at < len(tree); at += 64 {
			pair := tree[at : at+64]
			if at+64 < len(tree) && bytes.Equal(pair[:32], pair[32:]) {
				mutated = true
			}
			h.pairs = append(h.pairs, pair)
		}
		h.sum(tree, h.pairs)
		tree = tree[:len(tree)/2]
	}
	return [32]byte(tree), mutated
}

// run advances one lane alone.
func (h *hasher) run(l *lane, n int) {
	sha256Pair(&l.state, &h.spare, &l.message[0], &l.message[0], n)
	l.took(n)
}

func (l *lane) took(n int) {
	l.message = l.message[64*n:]
	l.blocks -= n
}

func (l *lane) reset() {
	l.state = shaState{0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667, 0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372}
}

func (l *lane) start(message []byte, dst *[32]byte) {
	l.reset()
	l.message, l.size, l.dst = message, len(message), dst
	l.blocks = len(message) / 64
	l.stage = laneWhole
}

// advance sets the lane to its next stage, once all blocks of the last are done.
func (l *lane) advance() {
	switch l.stage {
	case laneWhole:
		l.pad(l.message, l.size)
		l.stage = laneTail
	case laneTail:
		var first [32]byte
		l.read(&first)
		l.reset()
		l.pad(first[:], len(first))
		l.stage = laneSecond
	case laneSecond:
		l.read(l.dst)
		l.stage = laneIdle
		l.message, l.dst = nil, nil
	case laneIdle:
	}
}

// pad makes the end of a message, less than a block, what comes next.
func (l *lane) pad(end []byte, size int) {
	n := copy(l.tail[:], end)
	l.blocks = 1
	if n >= 56 {
		l.blocks = 2
	}
	l.message = l.tail[:64*l.blocks]
	clear(l.message[n:])
	l.message[n] = 0x80
	binary.BigEndian.PutUint64(l.message[len(l.message)-8:], uint64(size)*8)
}

func (l *lane) read(dst *[32]byte) {
	for i, at := range [8]int{3, 2, 7, 6, 1, 0, 5, 4} {
		binary.BigEndian.PutUint32(dst[4*i:], l.state[at])
	}
}

// doubleHash returns SHA-256 of SHA-256, in the order of the wire.
func doubleHash(b []byte) [32]byte {
	once := sha256.Sum256(b)
	return sha256.Sum256(once[:])
}

// display turns a hash from the order of the wire into the one people read.
func display(hash [32]byte) chains.Hash {
	slices.Reverse(hash[:])
	return hash
}
