package chains

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// WatchTable is the set of everything one chain watches: scripts, and unspent
// outpoints. It holds 64-bit fingerprints, not the things themselves, so that
// ten million of each take 270 MB and a block is matched at nearly the cost of an
// empty table. A hit is therefore only very probably true, and the ledger
// confirms it exactly.
//
// Fingerprints are keyed with a seed of this process, so that nobody can prepare
// scripts that collide, and mean nothing outside of this table.
//
// Readers never wait, and any number of them may run beside additions. A lookup
// that starts after an Add has returned sees what was added.
type WatchTable struct {
	seed      maphash.Seed
	scripts   fingerprints
	outpoints fingerprints
}

// OutpointSize is the length of an outpoint as the bitcoin family writes it into
// a transaction: 32 bytes of transaction id and 4 of output number, little-endian.
const OutpointSize = 36

// NewWatchTable returns an empty table with room for the expected numbers, which
// may be exceeded: it grows as needed.
func NewWatchTable(expectScripts, expectOutpoints int) *WatchTable {
	t := &WatchTable{seed: maphash.MakeSeed()}
	t.scripts.init(expectScripts)
	t.outpoints.init(expectOutpoints)
	return t
}

// AddScript watches a script, or an address of 20 bytes. Adding it again changes
// nothing.
func (t *WatchTable) AddScript(script []byte) { t.scripts.add(t.Fingerprint(script)) }

// AddOutpoint watches an outpoint. Adding it again changes nothing.
func (t *WatchTable) AddOutpoint(o Outpoint) { t.outpoints.add(t.outpoint(o)) }

// HasScript reports whether a script is watched.
func (t *WatchTable) HasScript(script []byte) bool { return t.scripts.has(t.Fingerprint(script)) }

// HasOutpoint reports whether an outpoint is watched.
func (t *WatchTable) HasOutpoint(o Outpoint) bool { return t.outpoints.has(t.outpoint(o)) }

// Len returns how many scripts and how many outpoints are watched.
func (t *WatchTable) Len() (scripts, outpoints int) {
	return t.scripts.len(), t.outpoints.len()
}

// Fingerprint returns the fingerprint of a script or of an outpoint of
// OutpointSize bytes, for the batched probes. It is never zero.
func (t *WatchTable) Fingerprint(b []byte) uint64 {
	// Zero marks a free slot.
	return max(maphash.Bytes(t.seed, b), 1)
}

// ProbeScripts appends to hits the position of each of the script fingerprints
// that is watched, and returns hits. It allocates only what hits has to grow.
func (t *WatchTable) ProbeScripts(fingerprints []uint64, hits []int) []int {
	return t.scripts.probe(fingerprints, hits)
}

// ProbeOutpoints does for outpoints what ProbeScripts does for scripts.
func (t *WatchTable) ProbeOutpoints(fingerprints []uint64, hits []int) []int {
	return t.outpoints.probe(fingerprints, hits)
}

func (t *WatchTable) outpoint(o Outpoint) uint64 {
	var wire [OutpointSize]byte
	txid := o.Tx.Reversed()
	copy(wire[:], txid[:])
	binary.LittleEndian.PutUint32(wire[32:], o.Vout)
	return t.Fingerprint(wire[:])
}

// bucket is one cache line of fingerprints, filled from the first slot on. A full
// bucket overflows into the next.
type bucket [8]uint64

// has compares all eight without a branch: which of them is the last one taken
// cannot be predicted, and a wrong guess costs more than the comparisons.
func (b *bucket) has(fp uint64) bool {
	low := differs(atomic.LoadUint64(&b[0]), fp) & differs(atomic.LoadUint64(&b[1]), fp) &
		differs(atomic.LoadUint64(&b[2]), fp) & differs(atomic.LoadUint64(&b[3]), fp)
	high := differs(atomic.LoadUint64(&b[4]), fp) & differs(atomic.LoadUint64(&b[5]), fp) &
		differs(atomic.LoadUint64(&b[6]), fp) & differs(atomic.LoadUint64(&b[7]), fp)
	return low&high>>63 == 0
}

// differs returns a number whose top bit is set if a and b are not equal.
func differs(a, b uint64) uint64 { return (a ^ b) | -(a ^ b) }

// fingerprints is a set of nonzero 64-bit values with open addressing. Its
// buckets are replaced as a whole when they grow, and readers go on with the ones
// they hold.
type fingerprints struct {
	buckets atomic.Pointer[[]bucket]
	count   atomic.Int64
	writer  sync.Mutex // held to add
}

// A set grows when 3/4 of its slots are taken, on average 6 of a bucket's 8.
const maxPerBucket = 6

// probeBatch is how many lookups wait for memory at the same time. A core keeps
// about a dozen loads in flight; more than that only costs stack.
const probeBatch = 64

func (f *fingerprints) init(expect int) {
	buckets := make([]bucket, bucketsFor(expect))
	f.buckets.Store(&buckets)
}

// bucketsFor returns the power of two of buckets that n values fit into. It is at
// least 2, since the shift to a bucket number must be below 64.
func bucketsFor(n int) int {
	need := max((n+maxPerBucket-1)/maxPerBucket, 2)
	return 1 << bits.Len(uint(need-1))
}

// shiftFor returns how far a fingerprint is shifted to the right to leave the
// number of its bucket.
func shiftFor(buckets []bucket) uint {
	return uint(64-bits.TrailingZeros(uint(len(buckets)))) & 63
}

func (f *fingerprints) len() int { return int(f.count.Load()) }

func (f *fingerprints) has(fp uint64) bool {
	buckets := *f.buckets.Load()
	return contains(buckets, int(fp>>shiftFor(buckets)), fp)
}

// contains looks for fp from its home bucket on.
func contains(buckets []bucket, at int, fp uint64) bool {
	for {
		b := &buckets[at]
		if b.has(fp) {
			return true
		}
		if atomic.LoadUint64(&b[7]) == 0 {
			return false
		}
		at = (at + 1) & (len(buckets) - 1)
	}
}

func (f *fingerprints) probe(fps []uint64, hits []int) []int {
	buckets := *f.buckets.Load()
	shift := shiftFor(buckets)
	var last [probeBatch]uint64
	for base := 0; base < len(fps); base += probeBatch {
		batch := fps[base:min(base+probeBatch, len(fps))]
		// The first pass only touches each bucket. Its loads do not depend on
		// each other, so that their cache misses overlap; the second pass
		// finds every line near.
		for i, fp := range batch {
			last[i&(probeBatch-1)] = atomic.LoadUint64(&buckets[fp>>shift][7])
		}
		for i, fp := range batch {
			at := int(fp >> shift)
			b := &buckets[at]
			switch {
			case b.has(fp):
				hits = append(hits, base+i)
			case last[i&(probeBatch-1)] != 0 && contains(buckets, at, fp):
				hits = append(hits, base+i)
			}
		}
	}
	return hits
}

func (f *fingerprints) add(fp uint64) {
	f.writer.Lock()
	defer f.writer.Unlock()
	buckets := *f.buckets.Load()
	if f.len() >= len(buckets)*maxPerBucket {
		buckets = grown(buckets)
		f.buckets.Store(&buckets)
	}
	if insert(buckets, fp) {
		f.count.Add(1)
	}
}

// insert puts fp into the first free slot from its home bucket on, and reports
// false if it was there.
func insert(buckets []bucket, fp uint64) bool {
	for at := int(fp >> shiftFor(buckets)); ; at = (at + 1) & (len(buckets) - 1) {
		b := &buckets[at]
		for i := range b {
			switch b[i] {
			case fp:
				return false
			case 0:
				atomic.StoreUint64(&b[i], fp)
				return true
			}
		}
	}
}

// grown returns twice as many buckets with the same values.
func grown(buckets []bucket) []bucket {
	next := make([]bucket, 2*len(buckets))
	for i := range buckets {
		for _, fp := range buckets[i] {
			if fp != 0 {
				insert(next, fp)
			}
		}
	}
	return next
}
