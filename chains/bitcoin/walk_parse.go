package bitcoin

import (
	"encoding/binary"
	"fmt"
	"math"

	"tallyd/chains"
)

// ParseError says that bytes are no block or transaction of the chain. The node
// and this program then disagree about the format, which no retry mends.
type ParseError struct {
	Offset int // of the first byte that cannot be
	Reason string
}

// Error returns the reason and the offset.
func (e *ParseError) Error() string {
	return fmt.Sprintf("parse at byte %d: %s", e.Offset, e.Reason)
}

// Flags of a transaction in the extended serialization.
const (
	flagWitness = 0x01 // BIP 144
	flagMWEB    = 0x08 // LIP-0003
)

const opReturn = 0x6a

// The least bytes an input and an output take.
const (
	minInput  = chains.OutpointSize + 1 + 4
	minOutput = 8 + 1
)

func (w *Walker) parseBlock(block []byte, watch *chains.WatchTable) error {
	w.reset(block, watch)
	header, err := ParseHeader(block)
	if err != nil {
		return err
	}
	w.header = header
	at := HeaderSize
	if w.params.AuxPow && hasAuxPow(header) {
		var proof auxPow
		if proof, err = parseAuxPow(block); err != nil {
			return err
		}
		at = proof.end
	}
	count, at, err := readCount(block, at, "the number of transactions")
	if err != nil {
		return err
	}
	for i := range count {
		if at, err = w.transaction(at); err != nil {
			return fmt.Errorf("transaction %d of block %s: %w", i, header.Hash, err)
		}
		if i == 0 {
			// A coinbase spends nothing.
			w.ins, w.inPrints = w.ins[:0], w.inPrints[:0]
		}
	}
	if count == 0 {
		return &ParseError{Offset: at, Reason: "the block has no transaction"}
	}
	if at != len(block) && !w.endsInExtension() {
		return &ParseError{Offset: at, Reason: "bytes follow the last transaction"}
	}
	w.known = resized(w.known, len(w.txs))
	w.ids = resized(w.ids, 32*len(w.txs))
	clear(w.known)
	return nil
}

func (w *Walker) parseTx(tx []byte, watch *chains.WatchTable) error {
	w.reset(tx, watch)
	w.loose = true
	at, err := w.transaction(0)
	if err != nil {
		return err
	}
	if at != len(tx) {
		return &ParseError{Offset: at, Reason: "bytes follow the transaction"}
	}
	w.known = resized(w.known, 1)
	w.ids = resized(w.ids, 32)
	clear(w.known)
	return nil
}

func (w *Walker) reset(raw []byte, watch *chains.WatchTable) {
	w.raw, w.watch, w.header, w.loose = raw, watch, Header{}, false
	w.txs = w.txs[:0]
	w.ins, w.inPrints = w.ins[:0], w.inPrints[:0]
	w.outs, w.outPrint = w.outs[:0], w.outPrint[:0]
}

// endsInExtension reports whether the last transaction says that an extension
// block follows it (the HogEx of LIP-0003). The extension block moves coins that
// are not transparent, and only its commitment in the HogEx concerns us.
func (w *Walker) endsInExtension() bool {
	return len(w.txs) >= 2 && w.txs[len(w.txs)-1].flag&flagMWEB != 0
}

// transaction reads the transaction at an offset and returns the offset behind
// it.
func (w *Walker) transaction(at int) (int, error) {
	raw := w.raw
	if len(raw) > math.MaxInt32 {
		return 0, &ParseError{Offset: math.MaxInt32, Reason: "the block is longer than 2 GiB"}
	}
	t := span{start: uint32(at), firstIn: len(w.ins), firstOut: len(w.outs)}
	if len(raw)-at < 4+2 {
		return 0, &ParseError{Offset: at, Reason: "the transaction runs past the end"}
	}
	at += 4
	if raw[at] == 0 && w.params.SegWit {
		t.flag = raw[at+1]
		if t.flag == 0 || t.flag&^w.flags() != 0 {
			return 0, &ParseError{Offset: at + 1, Reason: "the flag of the transaction is unknown"}
		}
		at += 2
	}
	t.body = uint32(at)
	inputs, at, err := w.inputs(at)
	if err != nil {
		return 0, err
	}
	if at, err = w.outputs(at); err != nil {
		return 0, err
	}
	t.bodyEnd = uint32(at)
	if t.flag&flagWitness != 0 {
		if at, err = skipWitness(raw, at, inputs); err != nil {
			return 0, err
		}
	}
	t.tail = uint32(at)
	if t.flag&flagMWEB != 0 {
		if at, err = w.skipMWEB(at); err != nil {
			return 0, err
		}
	}
	if len(raw)-at < 4 {
		return 0, &ParseError{Offset: at, Reason: "the lock time runs past the end"}
	}
	at += 4
	t.end = uint32(at)
	w.txs = append(w.txs, t)
	return at, nil
}

func (w *Walker) flags() byte {
	if w.params.MWEB {
		return flagWitness | flagMWEB
	}
	return flagWitness
}

func (w *Walker) inputs(at int) (count uint64, next int, err error) {
	raw := w.raw
	count, at, err = readCount(raw, at, "the number of inputs")
	if err != nil {
		return 0, 0, err
	}
	if count == 0 {
		return 0, 0, &ParseError{Offset: at, Reason: "the transaction has no input"}
	}
	for range count {
		if len(raw)-at < minInput {
			return 0, 0, &ParseError{Offset: at, Reason: "an input runs past the end"}
		}
		if w.watch != nil {
			w.ins = append(w.ins, uint32(at))
			w.inPrints = append(w.inPrints, w.watch.Fingerprint(raw[at:at+chains.OutpointSize]))
		}
		size, start, ok := compactSize(raw, at+chains.OutpointSize)
		if !ok || size > uint64(len(raw)-start) || len(raw)-start-int(size) < 4 {
			return 0, 0, &ParseError{Offset: at + chains.OutpointSize, Reason: "an input script runs past the end"}
		}
		at = start + int(size) + 4
	}
	return count, at, nil
}

func (w *Walker) outputs(at int) (int, error) {
	raw := w.raw
	count, at, err := readCount(raw, at, "the number of outputs")
	if err != nil {
		return 0, err
	}
	for i := range count {
		if len(raw)-at < minOutput {
			return 0, &ParseError{Offset: at, Reason: "an output runs past the end"}
		}
		size, start, ok := compactSize(raw, at+8)
		if !ok || size > uint64(len(raw)-start) {
			return 0, &ParseError{Offset: at + 8, Reason: "an output script runs past the end"}
		}
		end := start + int(size)
		if w.watch != nil {
			script := raw[start:end]
			if w.params.CashTokens {
				script = w.lockingScript(script)
			}
			if len(script) > 0 && script[0] != opReturn {
				w.outs = append(w.outs, output{at: uint32(at), index: uint32(i)})
				w.outPrint = append(w.outPrint, w.watch.Fingerprint(script))
			}
		}
		at = end
	}
	return at, nil
}

// skipWitness passes over the witness stacks of all inputs. All of them empty is
// an error, as it is for every node: such a transaction has another serialization.
func skipWitness(raw []byte, at int, inputs uint64) (int, error) {
	begin := at
	var items uint64
	for range inputs {
		count, next, err := readCount(raw, at, "the number of witness items")
		if err != nil {
			return 0, err
		}
		at = next
		for range count {
			size, start, ok := compactSize(raw, at)
			if !ok || size > uint64(len(raw)-start) {
				return 0, &ParseError{Offset: at, Reason: "a witness item runs past the end"}
			}
			at = start + int(size)
		}
		items += count
	}
	if items == 0 {
		return 0, &ParseError{Offset: begin, Reason: "the witness is empty"}
	}
	return at, nil
}

// skipMWEB passes over the extension data of one transaction: in a block the
// single byte that marks the HogEx, in a loose transaction all but the lock time.
func (w *Walker) skipMWEB(at int) (int, error) {
	if w.loose {
		if len(w.raw)-at < 1+4 {
			return 0, &ParseError{Offset: at, Reason: "the extension data runs past the end"}
		}
		return len(w.raw) - 4, nil
	}
	if at >= len(w.raw) || w.raw[at] != 0 {
		return 0, &ParseError{Offset: at, Reason: "a transaction in a block carries extension data"}
	}
	return at + 1, nil
}

// readCount reads how many things follow and returns the offset behind.
func readCount(raw []byte, at int, what string) (count uint64, next int, err error) {
	count, next, ok := compactSize(raw, at)
	if !ok || count > uint64(len(raw)-next) {
		// Everything counted takes a byte at least.
		return 0, 0, &ParseError{Offset: at, Reason: what + " runs past the end"}
	}
	return count, next, nil
}

// compactSize reads a number of variable length and returns the offset behind
// it. It reports false at the end of raw and for a number that has a shorter form,
// which nodes refuse.
func compactSize(raw []byte, at int) (n uint64, next int, ok bool) {
	if at < len(raw) && raw[at] < 0xfd {
		return uint64(raw[at]), at + 1, true
	}
	return longSize(raw, at)
}

func longSize(raw []byte, at int) (n uint64, next int, ok bool) {
	if at >= len(raw) {
		return 0, at, false
	}
	rest := raw[at+1:]
	switch {
	case raw[at] == 0xfd && len(rest) >= 2:
		n = uint64(binary.LittleEndian.Uint16(rest))
		return n, at + 3, n >= 0xfd
	case raw[at] == 0xfe && len(rest) >= 4:
		n = uint64(binary.LittleEndian.Uint32(rest))
		return n, at + 5, n > math.MaxUint16
	case raw[at] == 0xff && len(rest) >= 8:
		n = binary.LittleEndian.Uint64(rest)
		return n, at + 9, n > math.MaxUint32
	}
	return 0, at, false
}

// resized returns s with length n, and what it holds is unspecified.
func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
