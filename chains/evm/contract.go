package evm

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// The functions that are called, by their selectors.
const (
	selectorBalanceOf  = "\x70\xa0\x82\x31" // balanceOf(address), EIP-20
	selectorSymbol     = "\x95\xd8\x9b\x41" // symbol()
	selectorName       = "\x06\xfd\xde\x03" // name()
	selectorDecimals   = "\x31\x3c\xe5\x67" // decimals()
	selectorOwnerOf    = "\x63\x52\x21\x1e" // ownerOf(uint256), ERC-721
	selectorBalanceOfN = "\x00\xfd\xd5\x8e" // balanceOf(address,uint256), ERC-1155
	selectorTokenURI   = "\xc8\x7b\x56\xdd" // tokenURI(uint256), ERC-721
	selectorURI        = "\x0e\x89\x34\x1c" // uri(uint256), ERC-1155
	selectorAggregate3 = "\x82\xad\x56\xcb" // aggregate3((address,bool,bytes)[])
)

// multicall3 is where Multicall3 stands on nearly every network.
//
//nolint:gochecknoglobals // a constant that Go has no literal for
var multicall3 = common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11")

// atHash names a block by its hash in a call for state, EIP-1898.
func atHash(hash common.Hash) map[string]string { return map[string]string{"blockHash": hash.Hex()} }

// ethCall returns the request to call a contract.
func ethCall(to common.Address, data []byte, block any) rpc.Request {
	call := map[string]string{"to": to.Hex(), "data": hexBytes(data)}
	return rpc.Request{Method: "eth_call", Params: []any{call, block}}
}

// balanceOf returns the call data of balanceOf.
func balanceOf(holder common.Address) []byte {
	data := make([]byte, 36)
	copy(data, selectorBalanceOf)
	copy(data[16:], holder[:])
	return data
}

// ownerOf returns the call data of ownerOf.
func ownerOf(token word) []byte { return append([]byte(selectorOwnerOf), token[:]...) }

// balanceOfToken returns the call data of ERC-1155's balanceOf.
func balanceOfToken(holder common.Address, token word) []byte {
	data := make([]byte, 36, 68)
	copy(data, selectorBalanceOfN)
	copy(data[16:], holder[:])
	return append(data, token[:]...)
}

// returnedBytes reads the result of eth_call.
func returnedBytes(result json.RawMessage) ([]byte, bool) {
	s := &scanner{text: result}
	b := s.bytes()
	return b, s.err == nil
}

// returnedWord reads the first word a contract returned.
func returnedWord(b []byte) (word, bool) {
	if len(b) < 32 {
		return word{}, false
	}
	return word(b[:32]), true
}

// callError returns what a failed eth_call says of the node: nil if it failed by
// its contract's own doing, chains.ErrNotFound if the state is gone.
func callError(err error) error {
	answer, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	// A contract chooses the words after "reverted", so they are not looked at.
	text := strings.ToLower(answer.Message)
	if answer.Code == 3 || answer.Code == -32015 || strings.HasPrefix(text, "execution reverted") || strings.HasPrefix(text, "vm exception") {
		return nil
	}
	if gone := absent(err); errors.Is(gone, chains.ErrNotFound) {
		return gone
	}
	for _, words := range []string{
		"revert", "out of gas", "outofgas", "gas required exceeds", "opcode", "stack underflow", "stack limit", "stack overflow",
		"invalid jump", "bad jump", "bad instruction", "evm error", "vm execution", "return data out of bounds", "write protection",
		"execution timeout", "execution aborted",
	} {
		if strings.Contains(text, words) {
			return nil
		}
	}
	return err
}

// outOfTime reports whether a node gave a call up for its own sake.
func outOfTime(err error) bool {
	answer, ok := errors.AsType[*rpc.Error](err)
	if !ok || answer.Code == 3 {
		return false
	}
	text := strings.ToLower(answer.Message)
	return strings.HasPrefix(text, "execution timeout") || strings.HasPrefix(text, "execution aborted")
}

// aggregate returns the call data of Multicall3's aggregate3 for calls of
// balanceOf that may fail each by itself.
func aggregate(calls []pair) []byte {
	const tuple = 6 * 32 // target, flag, offset, length, and 36 bytes padded
	data := make([]byte, 0, 4+64+len(calls)*(32+tuple))
	number := func(n int) {
		w := wordFromUint64(uint64(n)) //nolint:gosec // sizes of our own
		data = append(data, w[:]...)
	}
	data = append(data, selectorAggregate3...)
	number(32)
	number(len(calls))
	for i := range calls {
		number(len(calls)*32 + i*tuple)
	}
	for _, call := range calls {
		data = append(data, make([]byte, 12)...)
		data = append(data, call.contract[:]...)
		number(1)
		number(96)
		number(36)
		data = append(data, balanceOf(call.holder)...)
		data = append(data, make([]byte, 28)...)
	}
	return data
}

// aggregated reads what aggregate3 returned for n calls: nil for one that
// failed. ok is false if it is not that.
func aggregated(b []byte, n int) (results [][]byte, ok bool) {
	base, ok := offsetAt(b, 0)
	if !ok {
		return nil, false
	}
	length, ok := offsetAt(b, base)
	if !ok || length != n {
		return nil, false
	}
	items := b[base+32:]
	results = make([][]byte, n)
	for i := range results {
		at, ok := offsetAt(items, 32*i)
		if !ok {
			return nil, false
		}
		succeeded, ok := offsetAt(items, at)
		if !ok {
			return nil, false
		}
		text, ok := bytesAt(items[at:], 32)
		if !ok {
			return nil, false
		}
		if succeeded == 1 {
			results[i] = text
		}
	}
	return results, true
}

// offsetAt reads the word at a position as a number that may be a position too.
func offsetAt(b []byte, at int) (int, bool) {
	if at < 0 || at > len(b)-32 {
		return 0, false
	}
	n, ok := word(b[at : at+32]).uint64()
	return int(min(n, 1<<31)), ok && n < 1<<31 //nolint:gosec // bounded here
}

// bytesAt reads the byte string that the offset at a position leads to, as the
// contract ABI lays it out.
func bytesAt(b []byte, at int) ([]byte, bool) {
	start, ok := offsetAt(b, at)
	if !ok {
		return nil, false
	}
	length, ok := offsetAt(b, start)
	if !ok || length > len(b)-start-32 {
		return nil, false
	}
	return b[start+32 : start+32+length], true
}
