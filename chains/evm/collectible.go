package evm

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
)

// collectible matches log k of transaction i as a movement of NFTs: an ERC-721
// Transfer, or one or many of ERC-1155. A log that has not exactly the form of
// one of them is passed over, as is a batch whose lengths lie.
func (m *matching) collectible(i uint32, k int, l *eventLog, inRoots bool) {
	if l.address == m.rules.network.plain && l.n == 1 {
		m.plain(i, k, l, inRoots)
		return
	}
	if l.n != 4 || l.address == systemLog {
		return
	}
	// The standards put the parties in other places: after the operator, where
	// there is one.
	if l.topics[0] == topicTransfer && len(l.data) == 0 {
		if from, to, ok := m.parties(l, 1); ok {
			one := movement{from: from, to: to, amount: wordFromUint64(1)}
			m.item(i, chains.SourceLog(k), m.rules.nft(chains.ERC721, l.address, word(l.topics[3])), one, inRoots)
		}
		return
	}
	if l.topics[0] != topicSingle && l.topics[0] != topicBatch {
		return
	}
	from, to, ok := m.parties(l, 2)
	if !ok {
		return
	}
	if l.topics[0] == topicSingle {
		if len(l.data) == 64 {
			one := movement{from: from, to: to, amount: word(l.data[32:])}
			m.item(i, chains.SourceLog(k), m.rules.nft(chains.ERC1155, l.address, word(l.data[:32])), one, inRoots)
		}
		return
	}
	ids, values, ok := batchOf(l.data)
	for n := 0; ok && n < len(ids); n += 32 {
		one := movement{from: from, to: to, amount: word(values[n : n+32])}
		m.item(i, chains.SourceLogItem(k, n/32), m.rules.nft(chains.ERC1155, l.address, word(ids[n:n+32])), one, inRoots)
	}
}

// plain matches a Transfer with nothing indexed, of a contract known for it.
func (m *matching) plain(i uint32, k int, l *eventLog, inRoots bool) {
	if l.topics[0] != topicTransfer || len(l.data) != 96 {
		return
	}
	indexed := *l
	indexed.topics = [4]common.Hash{topicTransfer, common.Hash(l.data[:32]), common.Hash(l.data[32:64]), common.Hash(l.data[64:])}
	indexed.n, indexed.data = 4, nil
	m.collectible(i, k, &indexed, inRoots)
}

// parties reads who gives and who gets from the topics from at on, and reports
// whether one of them is watched.
func (m *matching) parties(l *eventLog, at int) (from, to common.Address, ok bool) {
	from, fromOK := topicAddress(&l.topics[at])
	to, toOK := topicAddress(&l.topics[at+1])
	ok = fromOK && toOK && (m.watch.HasScript(from[:]) || m.watch.HasScript(to[:]))
	return from, to, ok
}

// item adds the legs of one NFT, and notes whose holdings of it may have changed.
func (m *matching) item(i uint32, source string, asset chains.AssetID, move movement, inRoots bool) {
	m.touch(move.from, asset)
	m.touch(move.to, asset)
	if inRoots {
		m.move(i, source, asset, move.amount.amount(), move.from, move.to)
	}
}

// batchOf reads two arrays of words of the same length, each as the bytes of its
// words. ok is false for anything else: arrays that are not there, that overlap
// with their own lengths, or that differ in length.
func batchOf(data []byte) (first, second []byte, ok bool) {
	first, ok = wordsAt(data, 0)
	if !ok {
		return nil, nil, false
	}
	second, ok = wordsAt(data, 32)
	return first, second, ok && len(first) == len(second)
}

// wordsAt returns the words of the array that the offset at a position leads to.
func wordsAt(data []byte, at int) ([]byte, bool) {
	start, ok := offsetAt(data, at)
	if !ok || start < 64 {
		return nil, false
	}
	length, ok := offsetAt(data, start)
	if !ok || length > (len(data)-start-32)/32 {
		return nil, false
	}
	return data[start+32 : start+32+32*length], true
}

// nft returns the id of an NFT.
func (r *rules) nft(standard chains.Standard, contract common.Address, token word) chains.AssetID {
	return chains.NFT{
		Chain: r.chainID, Standard: standard, Contract: hexBytes(contract[:]), Token: new(big.Int).SetBytes(token[:]).String(),
	}.ID()
}

// nftOf reads the id of an NFT of this chain, in the one spelling it has.
func (r *rules) nftOf(id chains.AssetID) (p pair, ok bool) {
	n, ok := id.NFT()
	if !ok {
		return pair{}, false
	}
	contract, _, err := parseAddress(n.Contract)
	token, numbered := new(big.Int).SetString(n.Token, 10)
	if err != nil || !numbered || token.Sign() < 0 || token.BitLen() > 256 {
		return pair{}, false
	}
	p = pair{contract: common.Address(contract), standard: n.Standard}
	token.FillBytes(p.token[:])
	return p, r.nft(p.standard, p.contract, p.token) == id
}
