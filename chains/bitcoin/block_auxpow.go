package bitcoin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"tallyd/chains"
)

// auxPowVersion is the bit of a header's version that says that a merge-mining
// proof follows the header.
const auxPowVersion = 1 << 8

// mergedMining stands in the parent's coinbase before the root of the tree of
// merge-mined chains.
const mergedMining = "\xfa\xbemm"

// maxAuxBranch is the longest way to the root of a tree of merge-mined chains.
const maxAuxBranch = 30

// auxPow is the proof that a block of a parent chain did the work for this one.
// The format is that of Namecoin's merged mining specification.
type auxPow struct {
	coinbase    [32]byte // id of the parent's coinbase, in the order of the wire
	script      []byte   // input script of the parent's coinbase
	branch      []byte   // from the coinbase to the parent's merkle root, 32 bytes a step
	index       uint32
	chainBranch []byte // from this chain's block to the root of the tree of chains
	chainIndex  uint32
	parent      []byte // the parent's header
	end         int    // offset behind the proof
}

func hasAuxPow(h Header) bool { return h.Version&auxPowVersion != 0 }

// parseAuxPow reads the proof behind the header of a raw block.
func parseAuxPow(raw []byte) (auxPow, error) {
	var p auxPow
	parent := NewWalker(Params{SegWit: true})
	parent.reset(raw, nil)
	at, err := parent.transaction(HeaderSize)
	if err != nil {
		return p, fmt.Errorf("merge-mining proof: %w", err)
	}
	coinbase := parent.txs[0]
	p.coinbase = doubleHash(parent.stripped(coinbase))
	_, first, _ := compactSize(raw, int(coinbase.body))
	size, start, _ := compactSize(raw, first+chains.OutpointSize)
	p.script = raw[start : start+int(size)]

	at += 32 // the parent's hash, which its header tells as well
	if p.branch, p.index, at, err = parseBranch(raw, at); err != nil {
		return p, err
	}
	if p.chainBranch, p.chainIndex, at, err = parseBranch(raw, at); err != nil {
		return p, err
	}
	if len(raw)-at < HeaderSize {
		return p, &ParseError{Offset: at, Reason: "the parent header runs past the end"}
	}
	p.end = at + HeaderSize
	p.parent = raw[at:p.end]
	return p, nil
}

func parseBranch(raw []byte, at int) (branch []byte, index uint32, next int, err error) {
	count, start, ok := compactSize(raw, at)
	if !ok || count > uint64(len(raw)-start)/32 || len(raw)-start-32*int(count) < 4 {
		return nil, 0, 0, &ParseError{Offset: at, Reason: "a merkle branch runs past the end"}
	}
	end := start + 32*int(count)
	return raw[start:end], binary.LittleEndian.Uint32(raw[end:]), end + 4, nil
}

// verifyAuxPow checks that the parent's header did the work and commits to
// header, at the one place of the tree that belongs to this chain.
func verifyAuxPow(params Params, header Header, raw []byte, goal [32]byte) error {
	p, err := parseAuxPow(raw)
	if err != nil {
		return err
	}
	if reason := p.check(params, header); reason != "" {
		return fmt.Errorf("merge-mining proof of block %s: %s: %w", header.Hash, reason, ErrUnproven)
	}
	return verifyTarget(params, display(doubleHash(p.parent)), p.parent, goal)
}

// check returns what is wrong with the proof, or "".
func (p auxPow) check(params Params, header Header) string {
	if uint32(header.Version)>>16 != params.AuxChainID {
		return "the header names another chain"
	}
	if p.index != 0 {
		return "the parent's transaction is not a coinbase"
	}
	if binary.LittleEndian.Uint32(p.parent)>>16 == params.AuxChainID {
		return "the parent is of the same chain"
	}
	if root := climb(p.coinbase, p.branch, 0); !bytes.Equal(root[:], p.parent[36:68]) {
		return "the parent does not contain the coinbase"
	}
	if len(p.chainBranch) > maxAuxBranch*32 {
		return "the tree of chains is too deep"
	}
	root := climb(header.Hash.Reversed(), p.chainBranch, p.chainIndex)
	slices.Reverse(root[:])
	return p.checkScript(params, root[:])
}

// checkScript looks for the root of the tree of chains in the coinbase script,
// followed by the size of the tree and a nonce.
func (p auxPow) checkScript(params Params, root []byte) string {
	at := bytes.Index(p.script, root)
	if at < 0 {
		return "the coinbase does not commit to the block"
	}
	tag := bytes.Index(p.script, []byte(mergedMining))
	switch {
	case tag < 0 && at > 20:
		return "the commitment is too deep in the coinbase"
	case tag >= 0 && (tag+4 != at || bytes.Contains(p.script[tag+1:], []byte(mergedMining))):
		return "the commitment is not the only one"
	}
	rest := p.script[at+32:]
	if len(rest) < 8 {
		return "the commitment is cut off"
	}
	height := uint(len(p.chainBranch) / 32)
	if binary.LittleEndian.Uint32(rest) != 1<<height {
		return "the size of the tree is wrong"
	}
	// Where a chain stands in the tree follows from its number and the nonce,
	// so that the same work cannot count for two blocks of one chain.
	slot := binary.LittleEndian.Uint32(rest[4:])*1103515245 + 12345
	slot += params.AuxChainID
	slot = slot*1103515245 + 12345
	if p.chainIndex != slot%(1<<height) {
		return "the block stands in the place of another chain"
	}
	return ""
}

// climb returns the merkle root over leaf, which is the index-th of its tree.
func climb(leaf [32]byte, branch []byte, index uint32) [32]byte {
	var pair [64]byte
	for ; len(branch) >= 32; branch = branch[32:] {
		if index&1 == 0 {
			copy(pair[:32], leaf[:])
			copy(pair[32:], branch)
		} else {
			copy(pair[:32], branch)
			copy(pair[32:], leaf[:])
		}
		leaf = doubleHash(pair[:])
		index >>= 1
	}
	return leaf
}
