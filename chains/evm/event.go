package evm

import (
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"tallyd/chains"
)

// The events that move tokens.
//
//nolint:gochecknoglobals // constants that Go has no literals for
var (
	topicTransfer   = crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)")) // EIP-20
	topicDeposit    = crypto.Keccak256Hash([]byte("Deposit(address,uint256)"))          // WETH9
	topicWithdrawal = crypto.Keccak256Hash([]byte("Withdrawal(address,uint256)"))       // WETH9

	topicSingle = crypto.Keccak256Hash([]byte("TransferSingle(address,address,address,uint256,uint256)"))    // ERC-1155
	topicBatch  = crypto.Keccak256Hash([]byte("TransferBatch(address,address,address,uint256[],uint256[])")) // ERC-1155
)

// movement is what one log says of a token.
type movement struct {
	from, to common.Address // zero for none
	amount   word
}

// log matches log k of transaction i. Anything that has not exactly the form of
// a known event is passed over: contracts may log what they like.
func (m *matching) log(i uint32, k int, l *eventLog, inRoots bool) {
	move, ok := m.movement(i, l)
	if !ok {
		m.collectible(i, k, l, inRoots)
		return
	}
	if l.address == systemLog || l.address == m.rules.network.alias {
		// It speaks of the native coin, which value and calls tell already.
		m.touchNative(move.from)
		m.touchNative(move.to)
		return
	}
	if !m.watch.HasScript(move.from[:]) && !m.watch.HasScript(move.to[:]) {
		return
	}
	asset := m.rules.token(l.address)
	m.touch(move.from, asset)
	m.touch(move.to, asset)
	if inRoots {
		m.move(i, chains.SourceLog(k), asset, move.amount.amount(), move.from, move.to)
	}
}

// movement reads the log as a token's movement. An ERC-721 Transfer has the same
// first topic and a fourth; the one of some old contracts has everything in its
// data. Neither is a balance of an ERC-20: see collectible.
func (m *matching) movement(i uint32, l *eventLog) (movement, bool) {
	if move, ok := l.transfer(); ok {
		return move, true
	}
	if l.n != 2 || len(l.data) != 32 || !m.rules.wrapped[l.address] {
		return movement{}, false
	}
	holder, ok := topicAddress(&l.topics[1])
	if !ok {
		return movement{}, false
	}
	var move movement
	switch l.topics[0] {
	case topicDeposit:
		move = movement{to: holder, amount: word(l.data)}
	case topicWithdrawal:
		move = movement{from: holder, amount: word(l.data)}
	default:
		return movement{}, false
	}
	// Some wrappings log a Transfer from or to nobody beside it.
	for k := range m.receipts[i].logs {
		other := &m.receipts[i].logs[k]
		if t, ok := other.transfer(); ok && t == move && other.address == l.address {
			return movement{}, false
		}
	}
	return move, true
}

// transfer reads the log as an ERC-20 Transfer.
func (l *eventLog) transfer() (move movement, ok bool) {
	if l.n != 3 || len(l.data) != 32 || l.topics[0] != topicTransfer {
		return movement{}, false
	}
	from, fromOK := topicAddress(&l.topics[1])
	to, toOK := topicAddress(&l.topics[2])
	return movement{from: from, to: to, amount: word(l.data)}, fromOK && toOK
}

// topicAddress reads a topic as an address. One with anything before its last 20
// bytes is none.
func topicAddress(topic *common.Hash) (common.Address, bool) {
	if [12]byte(topic[:12]) != [12]byte{} {
		return common.Address{}, false
	}
	return common.Address(topic[12:]), true
}
