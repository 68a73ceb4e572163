package evm

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/ethereum/go-ethereum/trie"
)

// errNoNode says that a proof lacks a node on the way to its value.
var errNoNode = errors.New("the proof lacks a node")

// accountProof is the answer to eth_getProof (EIP-1186). Only the nodes of the
// proofs are read: what the node says beside them adds nothing.
type accountProof struct {
	account [][]byte
	slots   [][][]byte
}

func decodeProof(text []byte) (p accountProof, err error) {
	s := &scanner{text: text}
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "accountProof":
			p.account = s.byteStrings()
		case "storageProof":
			for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
				p.slots = append(p.slots, decodeSlotProof(s))
			}
		default:
			s.skip()
		}
	}
	if s.err != nil {
		return accountProof{}, unverified("proof", "%w", s.err)
	}
	return p, nil
}

func decodeSlotProof(s *scanner) (nodes [][]byte) {
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		if string(s.key()) == "proof" {
			nodes = s.byteStrings()
		} else {
			s.skip()
		}
	}
	return nodes
}

// byteStrings reads a list of byte strings.
func (s *scanner) byteStrings() (list [][]byte) {
	for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
		list = append(list, s.bytes())
	}
	return list
}

// proofNodes are nodes of a trie by their hash.
type proofNodes map[string][]byte

// Has implements ethdb.KeyValueReader.
func (n proofNodes) Has(key []byte) (bool, error) {
	_, ok := n[string(key)]
	return ok, nil
}

// Get implements ethdb.KeyValueReader.
func (n proofNodes) Get(key []byte) ([]byte, error) {
	if node, ok := n[string(key)]; ok {
		return node, nil
	}
	return nil, errNoNode
}

// prove returns the value that the trie with a root has at the hash of key, nil
// if the nodes prove that it has none.
func prove(root common.Hash, key []byte, nodes [][]byte) ([]byte, error) {
	if root == types.EmptyRootHash {
		return nil, nil
	}
	set := make(proofNodes, len(nodes))
	for _, node := range nodes {
		set[string(crypto.Keccak256(node))] = node
	}
	value, err := trie.VerifyProof(root, crypto.Keccak256(key), set)
	if err != nil {
		return nil, fmt.Errorf("under %s: %w", root, err)
	}
	return value, nil
}

// proveAccount returns the account that a state root proves. One that does not
// exist is empty.
func proveAccount(state common.Hash, address common.Address, nodes [][]byte) (balance word, storage common.Hash, err error) {
	value, err := prove(state, address[:], nodes)
	if err != nil {
		return word{}, common.Hash{}, unverified("proof", "account %s: %w", address, err)
	}
	if value == nil {
		return word{}, types.EmptyRootHash, nil
	}
	var account types.StateAccount
	if err := rlp.DecodeBytes(value, &account); err != nil {
		return word{}, common.Hash{}, unverified("proof", "account %s: %w", address, err)
	}
	return account.Balance.Bytes32(), account.Root, nil
}

// proveSlot returns what a storage root proves to stand in a slot: 0 if nothing.
func proveSlot(storage, slot common.Hash, nodes [][]byte) (w word, err error) {
	value, err := prove(storage, slot[:], nodes)
	if err != nil {
		return word{}, unverified("proof", "slot %s: %w", slot, err)
	}
	if value == nil {
		return word{}, nil
	}
	var content []byte
	if err := rlp.DecodeBytes(value, &content); err != nil || len(content) > len(w) {
		return word{}, unverified("proof", "slot %s holds no word", slot)
	}
	copy(w[len(w)-len(content):], content)
	return w, nil
}

// balanceSlot returns where a mapping(address => uint256) at a slot keeps the
// entry of an address, by the layout Solidity gives it.
func balanceSlot(holder common.Address, slot int) common.Hash {
	var text [64]byte
	copy(text[12:32], holder[:])
	position := wordFromUint64(uint64(slot)) //nolint:gosec // slots below 0 mean unknown and never come here
	copy(text[32:], position[:])
	return crypto.Keccak256Hash(text[:])
}
