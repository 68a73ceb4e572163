package evm

import (
	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
)

// block is one verified block. It implements chains.Block.
type block struct {
	header      header
	txs         []transaction
	receipts    []receipt
	withdrawals []withdrawal
	traces      []trace // one per transaction, or none where the node does not trace

	// bound says that every transaction was found under transactionsRoot. It is
	// false for a block with a transaction of unknown type: what its
	// transactions move is then the node's word alone.
	bound bool

	// inRoots is how many of the transactions the roots cover: all, but on
	// networks that add one outside of them.
	inRoots int

	rules *rules
}

// rules are what a Source knows about its chain that matching needs.
type rules struct {
	network network
	chainID string // CAIP-2
	native  chains.AssetID
	wrapped map[common.Address]bool // the operator's listed wrappings of the native coin
}

// withdrawal is one of the beacon chain's, EIP-4895.
type withdrawal struct {
	index, validator uint64
	address          common.Address
	amount           uint64 // Gwei
}

// Ref returns the place of the block.
func (b *block) Ref() chains.BlockRef { return b.header.ref() }

// decodeBlock reads the answer to eth_getBlockByHash with whole transactions. It
// returns chains.ErrNotFound for null.
func decodeBlock(text []byte) (*block, error) {
	s := &scanner{text: text}
	if s.null() {
		return nil, chains.ErrNotFound
	}
	b := &block{}
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "transactions":
			b.txs = nil
			for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
				b.txs = append(b.txs, transaction{})
				decodeTx(s, &b.txs[len(b.txs)-1])
			}
		case "withdrawals":
			b.withdrawals = nil
			for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
				b.withdrawals = append(b.withdrawals, decodeWithdrawal(s))
			}
		default:
			if !b.header.member(s, name) {
				s.skip()
			}
		}
	}
	if s.err != nil {
		return nil, unverified("structure", "%w", s.err)
	}
	return b, nil
}

func decodeWithdrawal(s *scanner) (w withdrawal) {
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "index":
			w.index = s.number()
		case "validatorIndex":
			w.validator = s.number()
		case "address":
			w.address, _ = s.address()
		case "amount":
			w.amount = s.number()
		default:
			s.skip()
		}
	}
	return w
}

// readBlock decodes the two answers that make a block and verifies them against
// the hash that was asked for. The error is chains.ErrNotFound if the node does
// not have the block, or chains.ErrUnverified, naming the check.
func readBlock(asked common.Hash, blockText, receiptsText []byte, r *rules) (*block, error) {
	b, err := decodeBlock(blockText)
	if err != nil {
		return nil, err
	}
	s := &scanner{text: receiptsText}
	if s.null() {
		return nil, chains.ErrNotFound
	}
	b.rules = r
	b.receipts = decodeReceipts(s, len(b.txs))
	if s.err != nil {
		return nil, unverified("structure", "receipts: %w", s.err)
	}
	if err := b.verify(asked); err != nil {
		return nil, err
	}
	return b, nil
}
