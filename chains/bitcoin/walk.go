package bitcoin

import (
	"encoding/binary"
	"slices"
	"sort"

	"tallyd/chains"
)

// Walker reads raw blocks and finds what touches a watch table. It passes over
// the bytes once, decodes nothing that is not asked for, and keeps its buffers, so
// that a block without a hit allocates nothing.
//
// It has no limits of its own: whatever a valid block can contain is walked.
//
// A Walker is used by one goroutine at a time. What its methods return about a
// block is valid until the next block or transaction is walked.
type Walker struct {
	params Params

	raw    []byte // what is being walked
	watch  *chains.WatchTable
	header Header
	loose  bool // raw is a single transaction, not a block

	txs      []span
	ins      []uint32 // offset of each recorded input
	inPrints []uint64
	outs     []output
	outPrint []uint64

	inHits  []int
	outHits []int
	own     map[uint64]struct{} // outpoints that this block itself pays to watched scripts
	hits    []Hit

	hash     *hasher
	ids      []byte   // transaction ids in the order of the wire, 32 bytes each
	known    []bool   // which ids have been computed
	messages [][]byte // what is hashed together
	tree     []byte   // leaves of a merkle tree
	scratch  []byte   // transactions in another serialization
}

// span is one transaction within raw.
type span struct {
	start, end uint32
	body       uint32 // behind version, marker and flag
	bodyEnd    uint32 // behind the last output
	tail       uint32 // behind the last witness
	flag       byte
	firstIn    int // of ins
	firstOut   int // of outs
}

// output is an output that could be watched.
type output struct {
	at    uint32 // offset of its value
	index uint32 // within its transaction
}

// Hit is one output to a watched script, or one input that spends a watched
// outpoint, as far as fingerprints can tell.
type Hit struct {
	Tx     int             // position of the transaction; Walker.TxID returns its id
	Input  bool            // an input, else an output
	Index  uint32          // vin or vout
	Value  uint64          // base units; outputs only
	Script []byte          // scriptPubKey without token prefix, within the raw block; outputs only
	Spent  chains.Outpoint // inputs only
}

// NewWalker returns a walker for the blocks of one chain.
func NewWalker(params Params) *Walker {
	return &Walker{params: params, hash: newHasher(), own: make(map[uint64]struct{})}
}

// Match walks a raw block and returns its hits in the order of its transactions,
// inputs before outputs. It believes the block: see Verify.
//
// An output that hits counts as a watched outpoint for the inputs of the same
// block. Outputs that can never be spent (OP_RETURN) are not looked at. Where the
// chain orders transactions by id, a spend may come before what it spends.
//
// A block that cannot be read is a *ParseError.
func (w *Walker) Match(block []byte, watch *chains.WatchTable) ([]Hit, error) {
	if err := w.parseBlock(block, watch); err != nil {
		return nil, err
	}
	return w.match(), nil
}

// Verify does what Match does, after it has checked that the block is the one its
// header commits to, and that work was done for that header. A nil table only
// verifies. The caller compares Header().Hash to the one it asked for.
//
// An error is a *ParseError, or wraps ErrUnproven.
func (w *Walker) Verify(block []byte, watch *chains.WatchTable) ([]Hit, error) {
	if err := w.parseBlock(block, watch); err != nil {
		return nil, err
	}
	if err := w.verify(); err != nil {
		return nil, err
	}
	return w.match(), nil
}

// MatchTx walks one raw transaction, as Match does a block. Its position is 0.
func (w *Walker) MatchTx(tx []byte, watch *chains.WatchTable) ([]Hit, error) {
	if err := w.parseTx(tx, watch); err != nil {
		return nil, err
	}
	return w.match(), nil
}

// Header returns the header of the walked block.
func (w *Walker) Header() Header { return w.header }

// Len returns how many transactions the walked block has.
func (w *Walker) Len() int { return len(w.txs) }

// Tx returns the bytes of transaction i within the raw block.
func (w *Walker) Tx(i int) []byte { return w.raw[w.txs[i].start:w.txs[i].end] }

// TxID returns the id of transaction i. It is computed when it is first asked
// for.
func (w *Walker) TxID(i int) chains.Hash { return display(w.id(i)) }

func (w *Walker) match() []Hit {
	w.hits = w.hits[:0]
	if w.watch == nil {
		return w.hits
	}
	w.outHits = w.watch.ProbeScripts(w.outPrint, w.outHits[:0])
	w.inHits = w.watch.ProbeOutpoints(w.inPrints, w.inHits[:0])
	if len(w.outHits) > 0 {
		w.matchOwn()
	}
	ins, outs := w.inHits, w.outHits
	for len(ins) > 0 || len(outs) > 0 {
		if len(outs) == 0 || len(ins) > 0 && w.txOfIn(ins[0]) <= w.txOfOut(outs[0]) {
			w.hits = append(w.hits, w.inputHit(ins[0]))
			ins = ins[1:]
		} else {
			w.hits = append(w.hits, w.outputHit(outs[0]))
			outs = outs[1:]
		}
	}
	return w.hits
}

// matchOwn adds the inputs that spend an output this very block pays to a watched
// script. They cannot be in the table yet.
func (w *Walker) matchOwn() {
	clear(w.own)
	var outpoint [chains.OutpointSize]byte
	for _, i := range w.outHits {
		id := w.id(w.txOfOut(i))
		copy(outpoint[:], id[:])
		binary.LittleEndian.PutUint32(outpoint[32:], w.outs[i].index)
		w.own[w.watch.Fingerprint(outpoint[:])] = struct{}{}
	}
	found := len(w.inHits)
	for i, fingerprint := range w.inPrints {
		if _, ok := w.own[fingerprint]; ok {
			w.inHits = append(w.inHits, i)
		}
	}
	if len(w.inHits) > found {
		slices.Sort(w.inHits)
		w.inHits = slices.Compact(w.inHits)
	}
}

// txOfOut returns the transaction of recorded output i, txOfIn of input i.
func (w *Walker) txOfOut(i int) int {
	return sort.Search(len(w.txs), func(tx int) bool { return w.txs[tx].firstOut > i }) - 1
}

func (w *Walker) txOfIn(i int) int {
	return sort.Search(len(w.txs), func(tx int) bool { return w.txs[tx].firstIn > i }) - 1
}

func (w *Walker) inputHit(i int) Hit {
	tx := w.txOfIn(i)
	at := w.ins[i]
	return Hit{
		Tx:    tx,
		Input: true,
		Index: uint32(i - w.txs[tx].firstIn),
		Spent: chains.Outpoint{
			Tx:   display([32]byte(w.raw[at : at+32])),
			Vout: binary.LittleEndian.Uint32(w.raw[at+32:]),
		},
	}
}

func (w *Walker) outputHit(i int) Hit {
	at := w.outs[i].at
	size, start, _ := compactSize(w.raw, int(at)+8)
	return Hit{
		Tx:     w.txOfOut(i),
		Index:  w.outs[i].index,
		Value:  binary.LittleEndian.Uint64(w.raw[at:]),
		Script: w.lockingScript(w.raw[start : start+int(size)]),
	}
}

// id returns the id of transaction i in the order of the wire.
func (w *Walker) id(i int) [32]byte {
	id := w.ids[32*i : 32*i+32]
	if !w.known[i] {
		w.scratch = w.scratch[:0]
		hash := doubleHash(w.stripped(w.txs[i]))
		copy(id, hash[:])
		w.known[i] = true
	}
	return [32]byte(id)
}

// stripped returns a transaction as its id commits to it: without witness and
// extension data. It is valid until scratch is emptied.
func (w *Walker) stripped(t span) []byte {
	if t.flag == 0 {
		return w.raw[t.start:t.end]
	}
	at := len(w.scratch)
	w.scratch = append(w.scratch, w.raw[t.start:t.start+4]...)
	w.scratch = append(w.scratch, w.raw[t.body:t.bodyEnd]...)
	w.scratch = append(w.scratch, w.raw[t.end-4:t.end]...)
	return w.scratch[at:]
}
