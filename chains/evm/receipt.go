package evm

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
)

// receipt is what one transaction did. Its bloom is not read but computed from
// the logs, so that the root in the header covers both.
type receipt struct {
	tx      common.Hash
	block   common.Hash
	kind    uint64
	status  optional[uint64]
	root    []byte // of the state after it, instead of a status, before Byzantium
	cumGas  uint64
	gas     uint64 // from the cumulative figures, which the root covers
	logs    []eventLog
	bloom   types.Bloom
	price   optional[word] // effectiveGasPrice: not covered by any root
	l1Fee   word           // OP stack: not covered by any root
	blobFee word           // blobGasPrice: not covered by any root

	depositNonce   optional[uint64]
	depositVersion optional[uint64]
}

// eventLog is one log of a receipt.
type eventLog struct {
	address common.Address
	topics  [4]common.Hash
	n       int // topics used
	data    []byte
	index   uint64 // within the block
	block   common.Hash
	tx      common.Hash
	removed bool
}

// succeeded reports whether the transaction did what it was to do. Before
// Byzantium receipts do not tell: known is then false.
func (r *receipt) succeeded() (ok, known bool) { return r.status.v == 1, r.status.set }

// decodeReceipts reads the answer to eth_getBlockReceipts.
func decodeReceipts(s *scanner, expect int) []receipt {
	list := make([]receipt, 0, expect)
	for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
		list = append(list, receipt{})
		decodeReceipt(s, &list[len(list)-1])
	}
	return list
}

func decodeReceipt(s *scanner, r *receipt) {
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "transactionHash":
			r.tx = s.hash()
		case "blockHash":
			r.block = s.hash()
		case "type":
			r.kind = s.number()
		case "status":
			r.status = some(s, s.number)
		case "root":
			r.root = s.bytes()
		case "cumulativeGasUsed":
			r.cumGas = s.number()
		case "logs":
			r.logs = decodeLogs(s)
		case "effectiveGasPrice":
			r.price = some(s, s.word)
		case "l1Fee":
			r.l1Fee = s.word()
		case "blobGasPrice":
			r.blobFee = s.word()
		case "depositNonce":
			r.depositNonce = some(s, s.number)
		case "depositReceiptVersion":
			r.depositVersion = some(s, s.number)
		default:
			s.skip()
		}
	}
}

func decodeLogs(s *scanner) (logs []eventLog) {
	for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
		if logs == nil {
			logs = make([]eventLog, 0, 2)
		}
		logs = append(logs, eventLog{})
		decodeLog(s, &logs[len(logs)-1])
	}
	return logs
}

func decodeLog(s *scanner, l *eventLog) {
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "address":
			l.address, _ = s.address()
		case "topics":
			for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
				if l.n == len(l.topics) {
					s.fail("%w: a log with more than 4 topics", errJSON)
					return
				}
				l.topics[l.n] = s.hash()
				l.n++
			}
		case "data":
			l.data = s.bytes()
		case "logIndex":
			l.index = s.number()
		case "blockHash":
			l.block = s.hash()
		case "transactionHash":
			l.tx = s.hash()
		case "removed":
			l.removed = s.truth()
		default:
			s.skip()
		}
	}
}

// computeBloom sets the bloom of the receipt from its logs.
func (r *receipt) computeBloom() {
	var buf [6]byte
	for i := range r.logs {
		l := &r.logs[i]
		if i == 0 || l.address != r.logs[i-1].address {
			r.bloom.AddWithBuffer(l.address[:], &buf)
		}
		for k := range l.topics[:l.n] {
			if i == 0 || k >= r.logs[i-1].n || l.topics[k] != r.logs[i-1].topics[k] {
				r.bloom.AddWithBuffer(l.topics[k][:], &buf)
			}
		}
	}
}

// receiptList gives the receipts to the trie under receiptsRoot.
type receiptList []receipt

// Len returns how many there are.
func (l receiptList) Len() int { return len(l) }

// EncodeIndex writes receipt i as EIP-2718 has it: a byte for the type, none for
// a legacy one, then the list. The type may be one nobody has heard of. Deposits
// of the OP stack append their nonce and version since the Canyon upgrade.
func (l receiptList) EncodeIndex(i int, buf *bytes.Buffer) {
	r := &l[i]
	if r.kind != typeLegacy {
		buf.WriteByte(byte(r.kind))
	}
	w := rlp.NewEncoderBuffer(buf)
	list := w.List()
	if r.status.set {
		w.WriteUint64(r.status.v)
	} else {
		w.WriteBytes(r.root)
	}
	w.WriteUint64(r.cumGas)
	w.WriteBytes(r.bloom[:])
	logs := w.List()
	for k := range r.logs {
		r.logs[k].write(w)
	}
	w.ListEnd(logs)
	if r.depositVersion.set {
		w.WriteUint64(r.depositNonce.v)
		w.WriteUint64(r.depositVersion.v)
	}
	w.ListEnd(list)
	_ = w.Flush() // a bytes.Buffer takes everything
}

func (l *eventLog) write(w rlp.EncoderBuffer) {
	item := w.List()
	w.WriteBytes(l.address[:])
	topics := w.List()
	for k := range l.topics[:l.n] {
		w.WriteBytes(l.topics[k][:])
	}
	w.ListEnd(topics)
	w.WriteBytes(l.data)
	w.ListEnd(item)
}
