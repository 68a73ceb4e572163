package evm

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
)

// The transaction types whose encoding is known.
const (
	typeLegacy     = 0x00
	typeAccessList = 0x01 // EIP-2930
	typeDynamicFee = 0x02 // EIP-1559
	typeBlob       = 0x03 // EIP-4844
	typeSetCode    = 0x04 // EIP-7702
	typeDeposit    = 0x7e // OP stack
)

// transaction is one transaction of a block. What is rare stands in more.
type transaction struct {
	hash     common.Hash
	from     common.Address // as claimed; verification compares it with the signature
	to       common.Address
	creates  bool // has no to
	kind     uint64
	nonce    uint64
	gas      uint64
	gasPrice word
	maxFee   word
	maxTip   word
	value    word
	input    []byte
	chainID  word
	v, r, s  word
	parity   optional[word] // typed transactions only; some nodes write v instead
	more     rareFields
}

// rareFields are those of few transactions.
type rareFields struct {
	accessList []accessTuple
	blobFee    word
	blobs      []common.Hash
	auths      []authorization
	sourceHash common.Hash
	mint       word
	system     bool
}

type accessTuple struct {
	address common.Address
	keys    []common.Hash
}

type authorization struct {
	chainID word
	address common.Address
	nonce   uint64
	parity  word
	r, s    word
}

// decodeTx reads one transaction object.
func decodeTx(s *scanner, tx *transaction) {
	tx.creates = true
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "hash":
			tx.hash = s.hash()
		case "type":
			tx.kind = s.number()
		case "from":
			tx.from, _ = s.address()
		case "to":
			var present bool
			tx.to, present = s.address()
			tx.creates = !present
		case "nonce":
			tx.nonce = s.number()
		case "gas":
			tx.gas = s.number()
		case "gasPrice":
			tx.gasPrice = s.word()
		case "maxFeePerGas":
			tx.maxFee = s.word()
		case "maxPriorityFeePerGas":
			tx.maxTip = s.word()
		case "value":
			tx.value = s.word()
		case "input":
			tx.input = s.bytes()
		case "chainId":
			tx.chainID = s.word()
		case "v":
			tx.v = s.word()
		case "r":
			tx.r = s.word()
		case "s":
			tx.s = s.word()
		case "yParity":
			tx.parity = some(s, s.word)
		default:
			tx.more.member(s, name)
		}
	}
}

// member reads the value of a field that few transactions have, or steps over
// one that is not known.
func (m *rareFields) member(s *scanner, name []byte) {
	switch string(name) {
	case "accessList":
		for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
			m.accessList = append(m.accessList, decodeAccessTuple(s))
		}
	case "authorizationList":
		for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
			m.auths = append(m.auths, decodeAuthorization(s))
		}
	case "maxFeePerBlobGas":
		m.blobFee = s.word()
	case "blobVersionedHashes":
		m.blobs = s.hashes()
	case "sourceHash":
		m.sourceHash = s.hash()
	case "mint":
		m.mint = s.word()
	case "isSystemTx":
		m.system = s.truth()
	default:
		s.skip()
	}
}

func decodeAccessTuple(s *scanner) (t accessTuple) {
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "address":
			t.address, _ = s.address()
		case "storageKeys":
			t.keys = s.hashes()
		default:
			s.skip()
		}
	}
	return t
}

func decodeAuthorization(s *scanner) (a authorization) {
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "chainId":
			a.chainID = s.word()
		case "address":
			a.address, _ = s.address()
		case "nonce":
			a.nonce = s.number()
		case "yParity":
			a.parity = s.word()
		case "r":
			a.r = s.word()
		case "s":
			a.s = s.word()
		default:
			s.skip()
		}
	}
	return a
}

// hashes reads a list of 32-byte strings.
func (s *scanner) hashes() (list []common.Hash) {
	for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
		list = append(list, s.hash())
	}
	return list
}

// encodable reports whether the encoding of the transaction is known, so that
// its hash and its place under transactionsRoot can be checked.
func (tx *transaction) encodable() bool {
	return tx.kind <= typeSetCode || tx.kind == typeDeposit
}

// encode appends what the hash and the trie are computed over: EIP-2718.
func (tx *transaction) encode(dst []byte) []byte {
	if tx.kind != typeLegacy {
		dst = append(dst, byte(tx.kind))
	}
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	tx.fields(w)
	switch tx.kind {
	case typeDeposit:
	case typeLegacy:
		w.WriteBytes(tx.v.bytes())
	default:
		parity := tx.yParity()
		w.WriteBytes(parity.bytes())
	}
	if tx.kind != typeDeposit {
		w.WriteBytes(tx.r.bytes())
		w.WriteBytes(tx.s.bytes())
	}
	w.ListEnd(list)
	dst = w.AppendToBytes(dst)
	_ = w.Flush() // gives the buffer back; there is no writer to fail
	return dst
}

// yParity returns the parity of a typed transaction.
func (tx *transaction) yParity() word {
	if tx.parity.set {
		return tx.parity.v
	}
	return tx.v
}

// fields writes what the signature covers, for an encodable transaction.
func (tx *transaction) fields(w rlp.EncoderBuffer) {
	if tx.kind == typeDeposit {
		tx.depositFields(w)
		return
	}
	if tx.kind != typeLegacy {
		w.WriteBytes(tx.chainID.bytes())
	}
	w.WriteUint64(tx.nonce)
	if tx.kind <= typeAccessList {
		w.WriteBytes(tx.gasPrice.bytes())
	} else {
		w.WriteBytes(tx.maxTip.bytes())
		w.WriteBytes(tx.maxFee.bytes())
	}
	w.WriteUint64(tx.gas)
	tx.writeTo(w)
	w.WriteBytes(tx.value.bytes())
	w.WriteBytes(tx.input)
	if tx.kind == typeLegacy {
		return
	}
	tx.more.writeAccessList(w)
	switch tx.kind {
	case typeBlob:
		w.WriteBytes(tx.more.blobFee.bytes())
		writeHashes(w, tx.more.blobs)
	case typeSetCode:
		tx.more.writeAuthorizations(w)
	}
}

// depositFields writes a deposit of the OP stack, which has no signature: the
// rollup's own rules say who may make one.
func (tx *transaction) depositFields(w rlp.EncoderBuffer) {
	w.WriteBytes(tx.more.sourceHash[:])
	w.WriteBytes(tx.from[:])
	tx.writeTo(w)
	w.WriteBytes(tx.more.mint.bytes())
	w.WriteBytes(tx.value.bytes())
	w.WriteUint64(tx.gas)
	w.WriteBool(tx.more.system)
	w.WriteBytes(tx.input)
}

func (tx *transaction) writeTo(w rlp.EncoderBuffer) {
	if tx.creates {
		w.WriteBytes(nil)
		return
	}
	w.WriteBytes(tx.to[:])
}

func (m *rareFields) writeAccessList(w rlp.EncoderBuffer) {
	list := w.List()
	for i := range m.accessList {
		tuple := w.List()
		w.WriteBytes(m.accessList[i].address[:])
		writeHashes(w, m.accessList[i].keys)
		w.ListEnd(tuple)
	}
	w.ListEnd(list)
}

func (m *rareFields) writeAuthorizations(w rlp.EncoderBuffer) {
	list := w.List()
	for i := range m.auths {
		a := &m.auths[i]
		item := w.List()
		w.WriteBytes(a.chainID.bytes())
		w.WriteBytes(a.address[:])
		w.WriteUint64(a.nonce)
		w.WriteBytes(a.parity.bytes())
		w.WriteBytes(a.r.bytes())
		w.WriteBytes(a.s.bytes())
		w.ListEnd(item)
	}
	w.ListEnd(list)
}

func writeHashes(w rlp.EncoderBuffer, hashes []common.Hash) {
	list := w.List()
	for i := range hashes {
		w.WriteBytes(hashes[i][:])
	}
	w.ListEnd(list)
}
