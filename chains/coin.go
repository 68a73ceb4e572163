package chains

import (
	"fmt"
	"strconv"
	"strings"
)

// The branches of a Wallet of the bitcoin family. What pays a script of the
// change branch comes from ourselves and is no deposit.
const (
	BranchReceive uint32 = 0
	BranchChange  uint32 = 1
)

// KeyPath says which key of a wallet controls a script, so that a signer finds
// its private half.
type KeyPath struct {
	Wallet string `json:"wallet"` // as Wallet.Canonical spells it
	Branch uint32 `json:"branch"`
	Index  uint32 `json:"index"`
}

// Coin is one unspent output that may be spent.
type Coin struct {
	Outpoint Outpoint `json:"outpoint"`
	Amount   Amount   `json:"amount"`
	Script   Hex      `json:"script"`
	Key      *KeyPath `json:"key,omitempty"`    // nil while unknown: the signer must then know the script
	Height   uint64   `json:"height,omitempty"` // 0 while unconfirmed
	Coinbase bool     `json:"coinbase,omitempty"`
}

// String returns the outpoint as people write it: the transaction id, a colon,
// and the number of the output.
func (o Outpoint) String() string {
	return o.Tx.String() + ":" + strconv.FormatUint(uint64(o.Vout), 10)
}

// MarshalText implements encoding.TextMarshaler by String.
func (o Outpoint) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what String writes.
func (o *Outpoint) UnmarshalText(text []byte) error {
	id, digits, _ := strings.Cut(string(text), ":")
	tx, err := ParseHash(id)
	if err != nil {
		return fmt.Errorf("read an outpoint: %w", err)
	}
	vout, err := strconv.ParseUint(digits, 10, 32)
	if err != nil {
		return fmt.Errorf("read an outpoint: output %.20q is not a number", digits)
	}
	*o = Outpoint{Tx: tx, Vout: uint32(vout)}
	return nil
}
