package localnode

import (
	"context"
	"math/big"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"
)

// DeployCollectible puts an ERC-721 on the chain that anybody may move and that
// can be made to lie: see contracts/Collectible.sol.
func (e *Ethereum) DeployCollectible(ctx context.Context) (string, error) {
	return e.deploy(ctx, "", "Collectible")
}

// DeployEditions puts an ERC-1155 on the chain that anybody may mint of: see
// contracts/Editions.sol.
func (e *Ethereum) DeployEditions(ctx context.Context) (string, error) {
	return e.deploy(ctx, "", "Editions")
}

// CallData calls a function by its signature. Its arguments are text for address
// and string, []byte for bytes, an int64 or *big.Int for a number, and a slice of
// *big.Int for an array of them.
func CallData(signature string, args ...any) []byte {
	_, list, _ := strings.Cut(strings.TrimSuffix(signature, ")"), "(")
	types := strings.Split(list, ",")
	var head, tail []byte
	later := func(encoded []byte) {
		head = append(head, word(big.NewInt(int64(32*len(args)+len(tail))))...)
		tail = append(tail, encoded...)
	}
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			if types[i] == "address" {
				head = append(head, addressWord(v)...)
			} else {
				later(bytesWords([]byte(v)))
			}
		case []byte:
			later(bytesWords(v))
		case int64:
			head = append(head, word(big.NewInt(v))...)
		case *big.Int:
			head = append(head, word(v)...)
		case []*big.Int:
			words := word(big.NewInt(int64(len(v))))
			for _, n := range v {
				words = append(words, word(n)...)
			}
			later(words)
		}
	}
	return append(append(crypto.Keccak256([]byte(signature))[:4], head...), tail...)
}

// bytesWords is a byte string as the ABI writes it: its length, and its bytes in
// whole words.
func bytesWords(b []byte) []byte {
	words := word(big.NewInt(int64(len(b))))
	return append(words, append(slices.Clip(b), make([]byte, (32-len(b)%32)%32)...)...)
}
