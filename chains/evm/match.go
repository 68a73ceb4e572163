package evm

import (
	"bytes"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
)

const (
	weiPerGwei = 1_000_000_000

	// gasPerBlob is what one blob counts for its own fee market, EIP-4844.
	gasPerBlob = 1 << 17
)

// matching is one walk of a block against a watch table.
type matching struct {
	*block
	watch   *chains.WatchTable
	found   chains.Match
	touched map[touch]struct{}
}

// touch is a chains.Touch that can be a key.
type touch struct {
	script common.Address
	asset  chains.AssetID
}

// Match implements chains.Block. Its legs are what the roots in the header
// prove, and what traces that agree with them add. A block whose transactions
// could not be tied to its header gives no native legs, only what to read again.
//
// Legs of 0 are left out; what they touch is not.
func (b *block) Match(watch *chains.WatchTable) (chains.Match, error) {
	m := &matching{block: b, watch: watch}
	for i := range b.txs {
		m.transaction(uint32(i)) //nolint:gosec // a block's gas bounds its transactions far below 2^32
	}
	for i := range b.withdrawals {
		m.withdrawal(&b.withdrawals[i])
	}
	m.touchNative(b.header.miner) // tips, and the reward of a chain with proof of work
	return m.found, nil
}

// transaction matches one transaction: its value, its calls, its logs, its fee.
func (m *matching) transaction(i uint32) {
	tx, r := &m.txs[i], &m.receipts[i]
	to := tx.to
	if tx.creates && tx.encodable() {
		to = tx.created(r)
	}
	m.touchNative(tx.from)
	m.touchNative(to)
	inRoots := int(i) < m.inRoots
	if ok, known := r.succeeded(); m.bound && inRoots {
		m.leg(i, leg{chains.SourceMint, chains.In, tx.more.mint.amount(), tx.from, nil})
		if ok && known {
			m.move(i, chains.SourceValue, m.rules.native, tx.value.amount(), tx.from, to)
		}
	}
	if inRoots && len(m.traces) > 0 {
		m.calls(i, &m.traces[i])
	}
	for k := range r.logs {
		m.log(i, k, &r.logs[k], inRoots)
	}
	if m.bound && inRoots && m.watch.HasScript(tx.from[:]) {
		m.leg(i, leg{chains.SourceFee, chains.Out, m.fee(tx, r), tx.from, nil})
	}
}

// fee returns what the sender paid for a transaction, whether it succeeded or
// not. The fees of rollups for the chain below and the price of blobs are the
// node's word.
func (m *matching) fee(tx *transaction, r *receipt) chains.Amount {
	price := tx.price(m.header.baseFee)
	if !m.rules.network.priced && r.price.set {
		price = r.price.v
	}
	if tx.kind == typeDeposit {
		return chains.Amount{}
	}
	fee := chains.AmountFromUint64(r.gas).Mul(price.amount()).Add(r.l1Fee.amount())
	blobs := chains.NewAmount(int64(len(tx.more.blobs)) * gasPerBlob)
	return fee.Add(blobs.Mul(r.blobFee.amount()))
}

// calls matches the internal calls of a transaction. The root is the transaction
// itself, whose value is matched already.
func (m *matching) calls(i uint32, t *trace) {
	for k := 1; k < len(t.frames) && !t.failed; k++ {
		f := &t.frames[k]
		if !f.moves() {
			continue
		}
		m.touchNative(f.from)
		m.touchNative(f.to)
		// A contract that destroys itself in its own favour moves nothing.
		if f.value.isZero() || f.kind == "SELFDESTRUCT" && f.from == f.to {
			continue
		}
		if m.bound && (m.watch.HasScript(f.from[:]) || m.watch.HasScript(f.to[:])) {
			m.move(i, chains.SourceCall(t.path(k)), m.rules.native, f.value.amount(), f.from, f.to)
		}
	}
}

// withdrawal matches one withdrawal of the beacon chain, which no transaction
// carries.
func (m *matching) withdrawal(w *withdrawal) {
	m.touchNative(w.address)
	amount := chains.AmountFromUint64(w.amount).Mul(chains.NewAmount(weiPerGwei))
	m.add(chains.Transfer{}, leg{chains.SourceWithdrawal(w.index), chains.In, amount, w.address, nil}, m.rules.native)
}

// leg is one side of a movement.
type leg struct {
	source string
	side   chains.Side
	amount chains.Amount
	script common.Address
	peer   *common.Address
}

// leg adds one native leg of transaction i.
func (m *matching) leg(i uint32, l leg) {
	m.add(chains.Transfer{Tx: chains.Hash(m.txs[i].hash), TxIndex: i}, l, m.rules.native)
}

// move adds both legs of a movement in transaction i, each if it is watched.
func (m *matching) move(i uint32, source string, asset chains.AssetID, amount chains.Amount, from, to common.Address) {
	of := chains.Transfer{Tx: chains.Hash(m.txs[i].hash), TxIndex: i}
	m.add(of, leg{source, chains.Out, amount, from, &to}, asset)
	m.add(of, leg{source, chains.In, amount, to, &from}, asset)
}

// add appends a leg to the match, if it is watched and not 0.
func (m *matching) add(t chains.Transfer, l leg, asset chains.AssetID) {
	if l.amount.IsZero() || !m.watch.HasScript(l.script[:]) {
		return
	}
	t.Source, t.Side, t.Amount, t.Asset, t.Script = l.source, l.side, l.amount, asset, bytes.Clone(l.script[:])
	if l.peer != nil && *l.peer != (common.Address{}) {
		t.Peer = bytes.Clone(l.peer[:])
	}
	m.found.Transfers = append(m.found.Transfers, t)
}

// token returns the id of the token at a contract.
func (r *rules) token(contract common.Address) chains.AssetID {
	return chains.AssetID(r.chainID + "/erc20:" + hexBytes(contract[:]))
}

// touchNative notes that the native balance of an address may have changed.
func (m *matching) touchNative(a common.Address) { m.touch(a, m.rules.native) }

// touch notes that a balance may have changed, once per block.
func (m *matching) touch(a common.Address, asset chains.AssetID) {
	if !m.watch.HasScript(a[:]) {
		return
	}
	key := touch{a, asset}
	if _, known := m.touched[key]; known {
		return
	}
	if m.touched == nil {
		m.touched = map[touch]struct{}{}
	}
	m.touched[key] = struct{}{}
	m.found.Touched = append(m.found.Touched, chains.Touch{Script: bytes.Clone(a[:]), Asset: asset})
}
