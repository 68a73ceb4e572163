package bitcoin

import (
	"bytes"
	"fmt"
)

// witnessCommitment starts the output script that commits to the witnesses of a
// block (BIP 141): OP_RETURN, a push of 36 bytes, and the tag.
const witnessCommitment = "\x6a\x24\xaa\x21\xa9\xed"

// verify checks the walked block against its header.
func (w *Walker) verify() error {
	if err := verifyWork(w.params, w.header, w.raw); err != nil {
		return err
	}
	if !w.startsWithCoinbase() {
		// Without this rule a 64-byte transaction could pass for an inner node
		// of the tree (CVE-2017-12842).
		return fmt.Errorf("block %s does not start with a coinbase: %w", w.header.Hash, ErrUnproven)
	}
	w.messages, w.scratch = w.messages[:0], w.scratch[:0]
	for i, t := range w.txs {
		w.messages = append(w.messages, w.stripped(t))
		w.known[i] = true
	}
	w.hash.sum(w.ids, w.messages)
	w.tree = append(w.tree[:0], w.ids...)
	root, mutated := w.hash.merkleRoot(w.tree)
	if mutated || display(root) != w.header.MerkleRoot {
		return fmt.Errorf("transactions of block %s do not have its merkle root: %w", w.header.Hash, ErrUnproven)
	}
	return w.verifyWitness()
}

func (w *Walker) startsWithCoinbase() bool {
	t := w.txs[0]
	count, at, _ := compactSize(w.raw, int(t.body))
	var none [32]byte
	return count == 1 && bytes.Equal(w.raw[at:at+32], none[:]) &&
		bytes.Equal(w.raw[at+32:at+36], []byte{0xff, 0xff, 0xff, 0xff})
}

// verifyWitness checks the commitment to the witnesses. A block in which no
// transaction has one needs none, and may carry one from before segregated witness
// was active.
func (w *Walker) verifyWitness() error {
	witnesses := false
	for i := range w.txs {
		witnesses = witnesses || w.txs[i].flag&flagWitness != 0
	}
	if !witnesses {
		return nil
	}
	commitment, reserved := w.commitment(), w.reserved()
	if commitment == nil || reserved == nil {
		return fmt.Errorf("block %s has witnesses and does not commit to them: %w", w.header.Hash, ErrUnproven)
	}
	w.messages, w.scratch = w.messages[:0], w.scratch[:0]
	for i, t := range w.txs {
		var message []byte // without a witness, the id is the witness id
		if t.flag&flagWitness != 0 && i > 0 {
			message = w.withWitness(t)
		}
		w.messages = append(w.messages, message)
	}
	w.tree = append(w.tree[:0], w.ids...)
	clear(w.tree[:32]) // the coinbase stands in the tree as zero
	w.hash.sum(w.tree, w.messages)
	root, _ := w.hash.merkleRoot(w.tree)
	w.scratch = append(append(w.scratch[:0], root[:]...), reserved...)
	if sum := doubleHash(w.scratch); !bytes.Equal(sum[:], commitment) {
		return fmt.Errorf("witnesses of block %s are not those it commits to: %w", w.header.Hash, ErrUnproven)
	}
	return nil
}

// commitment returns the 32 bytes that the coinbase commits to the witnesses
// with, or nil. The last such output counts.
func (w *Walker) commitment() []byte {
	var found []byte
	at := int(w.txs[0].body)
	inputs, at, _ := compactSize(w.raw, at)
	for range inputs {
		size, start, _ := compactSize(w.raw, at+36)
		at = start + int(size) + 4
	}
	outputs, at, _ := compactSize(w.raw, at)
	for range outputs {
		size, start, _ := compactSize(w.raw, at+8)
		at = start + int(size)
		if script := w.raw[start:at]; len(script) >= 38 && string(script[:6]) == witnessCommitment {
			found = script[6:38]
		}
	}
	return found
}

// reserved returns the witness of the coinbase, 32 bytes that take part in the
// commitment, or nil if it has none of that form.
func (w *Walker) reserved() []byte {
	t := w.txs[0]
	witness := w.raw[t.bodyEnd:t.tail]
	if len(witness) != 34 || witness[0] != 1 || witness[1] != 32 {
		return nil
	}
	return witness[2:]
}

// withWitness returns a transaction as its witness id commits to it: without
// extension data. It is valid until scratch is emptied.
func (w *Walker) withWitness(t span) []byte {
	if t.flag == flagWitness {
		return w.raw[t.start:t.end]
	}
	at := len(w.scratch)
	w.scratch = append(w.scratch, w.raw[t.start:t.start+4]...)
	w.scratch = append(w.scratch, 0, flagWitness)
	w.scratch = append(w.scratch, w.raw[t.body:t.tail]...)
	w.scratch = append(w.scratch, w.raw[t.end-4:t.end]...)
	return w.scratch[at:]
}
