package localnode

import (
	"context"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// contracts holds the creation code of the contracts beside this file, see
// contracts/compile.cjs.
//
//go:embed contracts/*.hex
var contracts embed.FS

// Transaction is what an unlocked account is to send.
type Transaction struct {
	// From is an unlocked account; "" means the first.
	From string

	// To is the recipient; "" creates a contract.
	To string

	// Value in wei; nil means none.
	Value *big.Int

	Data []byte
}

// Receipt is what became of a transaction.
type Receipt struct {
	TransactionHash string
	BlockHash       string
	BlockNumber     string
	Status          string
	ContractAddress string
}

// Send hands a transaction to the node and returns its hash. Gas is limited
// generously, so a transaction that is going to revert is mined all the same.
func (e *Ethereum) Send(ctx context.Context, tx Transaction) (string, error) {
	from := tx.From
	if from == "" {
		if len(e.Accounts) == 0 {
			return "", errors.New("send: the node has no unlocked account")
		}
		from = e.Accounts[0]
	}
	call := map[string]string{"from": from, "gas": "0x2dc6c0", "input": "0x" + hex.EncodeToString(tx.Data)}
	if tx.To != "" {
		call["to"] = tx.To
	}
	if tx.Value != nil {
		call["value"] = fmt.Sprintf("%#x", tx.Value)
	}
	var hash string
	return hash, e.Call(ctx, "eth_sendTransaction", &hash, call)
}

// Transact sends a transaction and waits until it is mined, and the node's latest
// block is that one or a later. One that failed has the status 0x0 and is no
// error.
func (e *Ethereum) Transact(ctx context.Context, tx Transaction) (Receipt, error) {
	hash, err := e.Send(ctx, tx)
	if err != nil {
		return Receipt{}, err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		var receipt *Receipt
		err := e.Call(ctx, "eth_getTransactionReceipt", &receipt, hash)
		// A young geth refuses with "transaction indexing is in progress".
		if _, refused := errors.AsType[*RPCError](err); err != nil && !refused {
			return Receipt{}, err
		}
		// geth shows a receipt before it has moved its head to the block.
		if receipt != nil && e.reached(ctx, receipt.BlockNumber) {
			return *receipt, nil
		}
		select {
		case <-ctx.Done():
			return Receipt{}, context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

func (e *Ethereum) reached(ctx context.Context, number string) bool {
	head, err := e.Height(ctx)
	if err != nil {
		return false
	}
	want, err := strconv.ParseUint(strings.TrimPrefix(number, "0x"), 16, 64)
	return err == nil && head >= want
}

// Token says what DeployToken makes.
type Token struct {
	// From deploys and gets the supply; "" means the first account.
	From string

	Symbol   string // at most 32 bytes
	Decimals uint8
	Supply   *big.Int // in base units
}

// DeployToken puts an ERC-20 on the chain and returns its address.
func (e *Ethereum) DeployToken(ctx context.Context, t Token) (string, error) {
	symbol := make([]byte, 32)
	if copy(symbol, t.Symbol) < len(t.Symbol) {
		return "", fmt.Errorf("deploy token: symbol %q is longer than 32 bytes", t.Symbol)
	}
	return e.deploy(ctx, t.From, "Token", symbol, word(new(big.Int).SetUint64(uint64(t.Decimals))), word(t.Supply))
}

// DeploySilentToken puts a token on the chain whose transfers return false, log
// nothing and move nothing.
func (e *Ethereum) DeploySilentToken(ctx context.Context) (string, error) {
	return e.deploy(ctx, "", "SilentToken")
}

// DeployPayout puts a contract on the chain that pays ether on, see PayoutData
// and PayFirstData.
func (e *Ethereum) DeployPayout(ctx context.Context) (string, error) {
	return e.deploy(ctx, "", "Payout")
}

// DeployFeed puts a contract on the chain that answers as a price feed does, with
// decimals places. It has no answer until FeedData sets one.
func (e *Ethereum) DeployFeed(ctx context.Context, places uint8) (string, error) {
	return e.deploy(ctx, "", "Feed", word(new(big.Int).SetUint64(uint64(places))))
}

func (e *Ethereum) deploy(ctx context.Context, from, name string, arguments ...[]byte) (string, error) {
	text, err := contracts.ReadFile("contracts/" + name + ".hex")
	if err != nil {
		return "", fmt.Errorf("deploy %s: %w", name, err)
	}
	code, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return "", fmt.Errorf("deploy %s: %w", name, err)
	}
	for _, a := range arguments {
		code = append(code, a...)
	}
	receipt, err := e.Transact(ctx, Transaction{From: from, Data: code})
	if err != nil {
		return "", fmt.Errorf("deploy %s: %w", name, err)
	}
	if receipt.Status != "0x1" {
		return "", fmt.Errorf("deploy %s: the constructor failed", name)
	}
	return receipt.ContractAddress, nil
}

// TransferData calls transfer(to, value) of an ERC-20.
func TransferData(to string, value *big.Int) []byte {
	return call("a9059cbb", addressWord(to), word(value))
}

// PayoutData calls pay of a Payout: the transaction's value in equal shares to
// each, by internal transfers.
func PayoutData(to ...string) []byte {
	words := [][]byte{word(big.NewInt(32)), word(big.NewInt(int64(len(to))))}
	for _, a := range to {
		words = append(words, addressWord(a))
	}
	return call("6d37aeb7", words...)
}

// PayFirstData calls payFirst of a Payout: half of the value to first; second is
// paid too, in a frame that reverts, and so gets nothing.
func PayFirstData(first, second string) []byte {
	return call("8078be7f", addressWord(first), addressWord(second))
}

// FeedData calls set of a Feed: an answer, and since when and of when it is.
func FeedData(answer *big.Int, started, updated time.Time) []byte {
	return call("c5d227fb", word(answer), word(big.NewInt(started.Unix())), word(big.NewInt(updated.Unix())))
}

// call is the data of a call: the selector, then words of 32 bytes.
func call(selector string, words ...[]byte) []byte {
	data, err := hex.DecodeString(selector)
	if err != nil {
		return nil
	}
	for _, w := range words {
		data = append(data, w...)
	}
	return data
}

// word is a number as the ABI writes it: 32 bytes, two's complement.
func word(n *big.Int) []byte {
	return new(big.Int).And(n, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))).FillBytes(make([]byte, 32))
}

// addressWord is an address as the ABI writes it; one that is no hexadecimal
// number is the zero address.
func addressWord(address string) []byte {
	n, ok := new(big.Int).SetString(strings.TrimPrefix(address, "0x"), 16)
	if !ok {
		n = new(big.Int)
	}
	return word(n)
}
