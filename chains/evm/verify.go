package evm

import (
	"bytes"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
)

// verify checks everything in the block against the hash that was asked for, the
// cheap checks first. What passes can only be wrong where no root covers it: see
// bound, and the fields of receipt that say so.
func (b *block) verify(asked common.Hash) error {
	for _, check := range []func() error{
		func() error { return b.verifyStructure(asked) },
		b.verifyBloom,
		b.verifyReceipts,
		b.verifyTransactions,
		b.verifyWithdrawals,
		b.verifyHeader,
		b.verifySenders,
		b.verifyPrices,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// verifyStructure checks that the parts of the answer speak of one block.
func (b *block) verifyStructure(asked common.Hash) error {
	if b.header.hash != asked {
		return unverified("structure", "asked for block %s, got %s", asked, b.header.hash)
	}
	if len(b.receipts) != len(b.txs) {
		return unverified("structure", "block %d has %d transactions and %d receipts", b.header.number, len(b.txs), len(b.receipts))
	}
	b.inRoots = len(b.txs)
	if n := len(b.txs); n > 0 && b.rules.network.stateSync && b.txs[n-1].isStateSync() {
		b.inRoots--
	}
	var next, gas uint64 // of the next log at least; of the transactions so far
	for i := range b.receipts {
		r := &b.receipts[i]
		if r.tx != b.txs[i].hash || r.kind != b.txs[i].kind || r.block != asked {
			return unverified("structure", "receipt %d belongs to another transaction or block", i)
		}
		for k := range r.logs {
			l := &r.logs[k]
			if l.block != asked || l.tx != r.tx || l.removed || l.index < next {
				return unverified("structure", "log %d of transaction %d belongs elsewhere", k, i)
			}
			next = l.index + 1
		}
		if i < b.inRoots {
			if r.cumGas < gas {
				return unverified("structure", "gas used falls at transaction %d", i)
			}
			r.gas, gas = r.cumGas-gas, r.cumGas
		}
	}
	return nil
}

// isStateSync reports whether a transaction has the form of one that Polygon
// adds to a block without executing it as one.
func (tx *transaction) isStateSync() bool {
	return tx.from == common.Address{} && tx.to == common.Address{} && tx.gas == 0 && tx.r.isZero()
}

// verifyBloom checks that the logs are exactly those in the header's bloom, not
// only among them: an omitted log leaves bits without a reason.
func (b *block) verifyBloom() error {
	var sum types.Bloom
	for i := range b.receipts[:b.inRoots] {
		b.receipts[i].computeBloom()
		if len(b.receipts[i].logs) == 0 {
			continue
		}
		for k, bits := range b.receipts[i].bloom {
			sum[k] |= bits
		}
	}
	if sum != b.header.bloom {
		return unverified("logs bloom", "the logs of block %d are not those of its header", b.header.number)
	}
	return nil
}

// verifyReceipts recomputes receiptsRoot.
func (b *block) verifyReceipts() error {
	for i := range b.receipts[:b.inRoots] {
		if b.receipts[i].kind > 0x7f {
			return unverified("receipts root", "transaction %d has type %#x, which EIP-2718 does not allow", i, b.receipts[i].kind)
		}
	}
	if root := deriveRoot(receiptList(b.receipts[:b.inRoots])); root != b.header.receiptRoot {
		return unverified("receipts root", "receipts of block %d give %s, header says %s", b.header.number, root, b.header.receiptRoot)
	}
	return nil
}

// verifyTransactions recomputes the hash of every transaction and
// transactionsRoot. A type whose encoding is unknown leaves the block unbound:
// nothing then ties its transactions to the header but the node's word.
func (b *block) verifyTransactions() error {
	b.bound = true
	list := encodedList{ends: make([]int, 0, b.inRoots)}
	for i := range b.txs[:b.inRoots] {
		tx := &b.txs[i]
		if !tx.encodable() {
			b.bound = false
			continue
		}
		start := len(list.text)
		list.text = tx.encode(list.text)
		list.ends = append(list.ends, len(list.text))
		sum := crypto.Keccak256Hash(list.text[start:])
		if sum != tx.hash && !b.mayBeUnsigned(tx) {
			return unverified("transactions root", "transaction %d hashes to %s, said to be %s", i, sum, tx.hash)
		}
	}
	if !b.bound {
		return nil
	}
	if root := deriveRoot(list); root != b.header.txRoot {
		return unverified("transactions root", "transactions of block %d give %s, header says %s", b.header.number, root, b.header.txRoot)
	}
	return nil
}

// mayBeUnsigned reports whether a development node made the transaction in the
// name of someone whose key it does not have.
func (b *block) mayBeUnsigned(tx *transaction) bool {
	return b.rules.network.unsigned && tx.r.isZero() && tx.s.isZero()
}

// verifyWithdrawals recomputes withdrawalsRoot, for a header that has one.
func (b *block) verifyWithdrawals() error {
	if !b.header.withdrawals.set {
		if len(b.withdrawals) > 0 {
			return unverified("withdrawals root", "block %d has withdrawals and no root for them", b.header.number)
		}
		return nil
	}
	root := deriveRoot(withdrawalList(b.withdrawals))
	if root == b.header.withdrawals.v {
		return nil
	}
	// The OP stack keeps the storage root of a contract in this place, and
	// has no withdrawals of the beacon chain.
	if len(b.withdrawals) == 0 && len(b.txs) > 0 && b.txs[0].kind == typeDeposit {
		return nil
	}
	return unverified("withdrawals root", "withdrawals of block %d give %s, header says %s", b.header.number, root, b.header.withdrawals.v)
}

// verifyHeader recomputes the hash of the header.
func (b *block) verifyHeader() error {
	if sum := b.header.seal(); sum != b.header.hash {
		return unverified("header hash", "header of block %d hashes to %s, said to be %s", b.header.number, sum, b.header.hash)
	}
	return nil
}

// verifySenders recovers who signed each transaction. It is the dearest check,
// and without it a node could hide what a watched address sent.
func (b *block) verifySenders() error {
	if !b.bound {
		return nil
	}
	for i := range b.txs[:b.inRoots] {
		tx := &b.txs[i]
		from, err := tx.sender()
		if errors.Is(err, errUnsigned) && b.rules.network.unsigned {
			continue
		}
		if err != nil {
			return unverified("sender", "transaction %d: %w", i, err)
		}
		if from != tx.from {
			return unverified("sender", "transaction %d was signed by %s, said to be from %s", i, from, tx.from)
		}
	}
	return nil
}

// verifyPrices checks the price of gas that each receipt claims, where the rules
// of the network tell what it must be.
func (b *block) verifyPrices() error {
	if !b.rules.network.priced || !b.bound {
		return nil
	}
	for i := range b.receipts[:b.inRoots] {
		claimed := b.receipts[i].price
		if price := b.txs[i].price(b.header.baseFee); claimed.set && claimed.v != price {
			return unverified("gas price", "transaction %d paid %s, said to be %s", i, price.amount(), claimed.v.amount())
		}
	}
	return nil
}

// price returns what a unit of gas cost by the rules of EIP-1559.
func (tx *transaction) price(baseFee optional[word]) word {
	if tx.kind <= typeAccessList || tx.kind == typeDeposit {
		return tx.gasPrice
	}
	price := tx.maxTip.amount().Add(baseFee.v.amount())
	if price.Cmp(tx.maxFee.amount()) > 0 {
		return tx.maxFee
	}
	var w word
	price.Big().FillBytes(w[:])
	return w
}

// deriveRoot returns the root of the trie of a list.
func deriveRoot(list types.DerivableList) common.Hash {
	return types.DeriveSha(list, trie.NewStackTrie(nil))
}

// encodedList is a list whose items are encoded already, one after the other.
type encodedList struct {
	text []byte
	ends []int
}

// Len returns how many there are.
func (l encodedList) Len() int { return len(l.ends) }

// EncodeIndex writes item i.
func (l encodedList) EncodeIndex(i int, buf *bytes.Buffer) {
	start := 0
	if i > 0 {
		start = l.ends[i-1]
	}
	buf.Write(l.text[start:l.ends[i]])
}

// withdrawalList gives the withdrawals to the trie under withdrawalsRoot.
type withdrawalList []withdrawal

// Len returns how many there are.
func (l withdrawalList) Len() int { return len(l) }

// EncodeIndex writes withdrawal i as EIP-4895 has it.
func (l withdrawalList) EncodeIndex(i int, buf *bytes.Buffer) {
	w := rlp.NewEncoderBuffer(buf)
	list := w.List()
	w.WriteUint64(l[i].index)
	w.WriteUint64(l[i].validator)
	w.WriteBytes(l[i].address[:])
	w.WriteUint64(l[i].amount)
	w.ListEnd(list)
	_ = w.Flush() // a bytes.Buffer takes everything
}
