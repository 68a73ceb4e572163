package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

// unsigned is the list that is signed (EIP-1559).
type unsigned struct {
	ChainID    *big.Int
	Nonce      uint64
	Tip        *big.Int
	Most       *big.Int
	Gas        uint64
	To         *common.Address `rlp:"nil"`
	Value      *big.Int
	Data       []byte
	AccessList types.AccessList
}

// signEIP1559 signs a transaction with the key its path names, and prints what it
// does.
func signEIP1559(master *hdkeychain.ExtendedKey, d draft, log io.Writer) (string, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(d.Payload, "0x"))
	if err != nil || len(raw) == 0 || raw[0] != types.DynamicFeeTxType {
		return "", fmt.Errorf("the payload is no unsigned transaction of type %d in hex", types.DynamicFeeTxType)
	}
	var tx unsigned
	if err := rlp.DecodeBytes(raw[1:], &tx); err != nil {
		return "", fmt.Errorf("read the transaction: %w", err)
	}
	if len(d.Paths) != 1 {
		return "", fmt.Errorf("%d paths, want that of the sender", len(d.Paths))
	}
	path, err := parsePath(master, d.Paths[0])
	if err != nil {
		return "", err
	}
	key, err := derive(master, path...)
	if err != nil {
		return "", err
	}
	private, err := key.ECPrivKey()
	if err != nil {
		return "", fmt.Errorf("read the key: %w", err)
	}
	fmt.Fprintf(log, "chain %s, nonce %d: %s wei to %s, data 0x%x, at most %s wei for each of %d gas\n",
		tx.ChainID, tx.Nonce, tx.Value, tx.To, tx.Data, tx.Most, tx.Gas)
	signed, err := types.SignNewTx(private.ToECDSA(), types.LatestSignerForChainID(tx.ChainID), &types.DynamicFeeTx{
		ChainID: tx.ChainID, Nonce: tx.Nonce, GasTipCap: tx.Tip, GasFeeCap: tx.Most, Gas: tx.Gas,
		To: tx.To, Value: tx.Value, Data: tx.Data, AccessList: tx.AccessList,
	})
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	// What was signed is what was shown, byte for byte.
	if hash := types.LatestSignerForChainID(tx.ChainID).Hash(signed); hash != crypto.Keccak256Hash(raw) {
		return "", fmt.Errorf("the payload is not the transaction it says: %s", hash)
	}
	out, err := signed.MarshalBinary()
	if err != nil {
		return "", fmt.Errorf("write the transaction: %w", err)
	}
	return "0x" + hex.EncodeToString(out), nil
}
