package evm

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains/rpc"
)

// maxTraceDepth is more than the EVM lets calls nest.
const maxTraceDepth = 1100

// refusedCode stands for the code a node leaves out when it refuses one trace of
// many: JSON-RPC's for errors of the server.
const refusedCode = -32000

// trace is the internal calls of one transaction, as geth's callTracer tells
// them. No root covers a trace: it is the node's word.
type trace struct {
	tx     common.Hash // zero where the node does not say
	frames []frame     // the root first; without those that failed, or whose caller did
	failed bool        // the root failed
}

// frame is one call.
type frame struct {
	kind     string
	from, to common.Address
	value    word
	parent   int // position in frames, -1 for the root
	place    int // among the calls of its parent, failed ones counted
}

// moves reports whether a call of this kind hands its value over.
func (f *frame) moves() bool {
	switch f.kind {
	case "CALL", "CREATE", "CREATE2", "SELFDESTRUCT":
		return true
	}
	return false // DELEGATECALL, STATICCALL and CALLCODE move nothing
}

// path returns where frame i stands, such as 0.2.1: the places from the root's
// call down to it.
func (t *trace) path(i int) string {
	var places []string
	for ; t.frames[i].parent >= 0; i = t.frames[i].parent {
		places = append(places, strconv.Itoa(t.frames[i].place))
	}
	slices.Reverse(places)
	return strings.Join(places, ".")
}

// decodeTraces reads the answer to debug_traceBlockByHash with callTracer.
func decodeTraces(text []byte) ([]trace, error) {
	s := &scanner{text: text}
	list := []trace{}
	var refused error
	for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
		var t trace
		for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
			switch name := s.key(); string(name) {
			case "txHash":
				t.tx = s.hash()
			case "result":
				t.failed = !t.decodeFrame(s, -1, 0, 0)
			case "error":
				refused = absent(&rpc.Error{Code: refusedCode, Message: string(s.str())})
			default:
				s.skip()
			}
		}
		list = append(list, t)
	}
	if s.err != nil {
		return nil, unverified("trace", "%w", s.err)
	}
	if refused != nil {
		return nil, fmt.Errorf("trace a transaction: %w", refused)
	}
	return list, nil
}

// decodeFrame reads one call with all below it, and reports whether it
// succeeded. A failed one leaves nothing behind, but for the root itself.
func (t *trace) decodeFrame(s *scanner, parent, place, depth int) (succeeded bool) {
	if depth > maxTraceDepth {
		s.fail("%w: calls nest too deep", errJSON)
		return false
	}
	at := len(t.frames)
	t.frames = append(t.frames, frame{parent: parent, place: place})
	f := frame{parent: parent, place: place}
	succeeded = true
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "type":
			f.kind = strings.Clone(string(s.str()))
		case "from":
			f.from, _ = s.address()
		case "to":
			f.to, _ = s.address()
		case "value":
			f.value = s.word()
		case "error":
			succeeded = len(s.str()) == 0
		case "calls":
			for n, ok := 0, s.open('[') && s.more(']'); ok; n, ok = n+1, s.more(']') {
				t.decodeFrame(s, at, n, depth+1)
			}
		default:
			s.skip()
		}
	}
	t.frames[at] = f
	switch {
	case succeeded:
	case depth == 0:
		t.frames = t.frames[:1]
	default:
		t.frames = t.frames[:at]
	}
	return succeeded
}

// attach adds traces to a verified block, if they agree with everything that is
// known of its transactions. The error is chains.ErrUnverified.
func (b *block) attach(traces []trace) error {
	if len(traces) != b.inRoots {
		return unverified("trace", "block %d has %d transactions and %d traces", b.header.number, b.inRoots, len(traces))
	}
	for i := range traces {
		t, tx, r := &traces[i], &b.txs[i], &b.receipts[i]
		if (t.tx != common.Hash{}) && t.tx != tx.hash {
			return unverified("trace", "trace %d belongs to another transaction", i)
		}
		if len(t.frames) == 0 {
			return unverified("trace", "transaction %d has no trace", i)
		}
		root := &t.frames[0]
		to := tx.to
		if tx.creates {
			to = root.to // failed creations leave it out; created tells it better
		}
		ok, known := r.succeeded()
		if root.from != tx.from || root.to != to || root.value != tx.value || known && ok == t.failed {
			return unverified("trace", "trace %d tells another story than its transaction", i)
		}
	}
	b.traces = traces
	return nil
}
