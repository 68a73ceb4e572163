package bitcoin

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"

	"github.com/aead/siphash"

	"tallyd/chains"
)

// Parameters of the basic filter (BIP 158).
const (
	filterP = 19
	filterM = 784931
)

var errFilter = errors.New("match block filter: the filter is cut off")

// MatchFilter reports whether a basic block filter (BIP 158), as nodes send it,
// may contain one of the scripts. False is certain as far as the filter is the
// block's own; one block in 784931 per script is true by chance. No scripts match
// nothing.
func MatchFilter(filter []byte, block chains.Hash, scripts [][]byte) (bool, error) {
	count, at, ok := compactSize(filter, 0)
	if !ok || count > uint64(len(filter))*8/(filterP+1) {
		return false, errFilter
	}
	if count == 0 || len(scripts) == 0 {
		return false, nil
	}
	wanted := filterValues(block, count*filterM, scripts)
	reader := bitReader{rest: filter[at:]}
	value := uint64(0)
	for range count {
		delta, ok := reader.golomb()
		if !ok {
			return false, errFilter
		}
		value += delta
		for wanted[0] < value {
			if wanted = wanted[1:]; len(wanted) == 0 {
				return false, nil
			}
		}
		if wanted[0] == value {
			return true, nil
		}
	}
	return false, nil
}

// filterValues returns the numbers below limit that scripts have in the filter of
// a block, in ascending order.
func filterValues(block chains.Hash, limit uint64, scripts [][]byte) []uint64 {
	wire := block.Reversed()
	key := [16]byte(wire[:16])
	values := make([]uint64, len(scripts))
	for i, script := range scripts {
		values[i], _ = bits.Mul64(siphash.Sum64(script, &key), limit)
	}
	slices.Sort(values)
	return values
}

// bitReader reads bits from the most significant one on, a word at a time.
type bitReader struct {
	rest  []byte
	word  uint64 // the next bits, from the top
	count int    // how many of them there are
}

// fill makes at least 57 bits available, or all that are left.
func (r *bitReader) fill() {
	if len(r.rest) >= 8 {
		r.word |= binary.BigEndian.Uint64(r.rest) >> r.count
		taken := (64 - r.count) / 8
		r.rest = r.rest[taken:]
		r.count += taken * 8
		// What was read beyond whole bytes comes again with the next fill.
		r.word &= ^uint64(0) << (64 - r.count)
		return
	}
	for r.count <= 56 && len(r.rest) > 0 {
		r.word |= uint64(r.rest[0]) << (56 - r.count)
		r.rest = r.rest[1:]
		r.count += 8
	}
}

// golomb reads one number: a quotient in ones that a zero ends, and filterP bits
// of remainder. It reports false at the end.
func (r *bitReader) golomb() (uint64, bool) {
	quotient := uint64(0)
	for {
		if r.count < 57 {
			r.fill()
		}
		ones := min(bits.LeadingZeros64(^r.word), r.count)
		quotient += uint64(ones)
		if ones < r.count {
			r.word <<= ones + 1
			r.count -= ones + 1
			break
		}
		r.word, r.count = 0, 0
		if len(r.rest) == 0 {
			return 0, false
		}
	}
	if r.count < filterP {
		r.fill()
		if r.count < filterP {
			return 0, false
		}
	}
	remainder := r.word >> (64 - filterP)
	r.word <<= filterP
	r.count -= filterP
	return quotient<<filterP | remainder, true
}
