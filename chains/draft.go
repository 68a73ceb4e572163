package chains

// Format names what a signer is handed.
type Format string

// The formats.
const (
	// FormatPSBT is a BIP 174 transaction of version 0 in base64. Signed, it
	// comes back as a PSBT with the signatures or finalized, or as the raw
	// transaction in hex.
	FormatPSBT Format = "psbt"

	// FormatEIP1559 is the text that is signed, in hex after 0x: the byte 2,
	// then the RLP list of chain id, nonce, tip, most for a unit of gas, limit of
	// gas, to, value, data and an empty access list. Its Keccak-256 is the digest. Signed, it
	// comes back as the raw transaction: the same list with the signature's
	// parity, r and s.
	FormatEIP1559 Format = "eip1559"
)

// MaxSigned is how many bytes a signer may hand in: a PSBT comes back with the
// parents of its coins, as many as fit a transaction.
const MaxSigned = 8 << 20

// Draft is a transaction that was built and not signed: what the signer gets, and
// all that its answer is checked against. It is plain data without secrets, kept
// as JSON.
type Draft struct {
	Chain   string   `json:"chain"` // CAIP-2
	Format  Format   `json:"format"`
	Payload string   `json:"payload"`
	Paths   []string `json:"paths"` // fingerprint/path of the key of each input, or of the sender; "" where unknown
	Fee     Amount   `json:"fee"`   // bitcoin: what is paid; EVM: the most that can be
	Rate    FeeRate  `json:"rate"`  // EVM: the fees in the transaction

	Payment  *PaymentDraft  `json:"payment,omitempty"`  // of the bitcoin family
	Transfer *TransferDraft `json:"transfer,omitempty"` // of EVM
}

// PaymentDraft is what a Draft of the bitcoin family says on the chain.
type PaymentDraft struct {
	Version  int32         `json:"version"`
	LockTime uint32        `json:"lock_time"`
	Inputs   []DraftInput  `json:"inputs"`  // in their order
	Outputs  []DraftOutput `json:"outputs"` // in their order
	VSize    int64         `json:"vsize"`   // virtual bytes once signed, at most
}

// DraftInput is one input and the coin it spends.
type DraftInput struct {
	Coin

	Sequence uint32 `json:"sequence"`
}

// DraftOutput is one output.
type DraftOutput struct {
	Output

	Change bool `json:"change,omitempty"` // comes back to ourselves
}

// Output is what one output pays, and to whom.
type Output struct {
	Script Hex      `json:"script"`
	Amount Amount   `json:"amount"`
	Key    *KeyPath `json:"key,omitempty"` // of our own script; nil otherwise
}

// TransferDraft is what a Draft of EVM says on the chain. Its fees are
// Draft.Rate.
type TransferDraft struct {
	ChainID uint64   `json:"chain_id"`
	From    Hex      `json:"from"`
	Key     *KeyPath `json:"key,omitempty"` // of From
	Nonce   uint64   `json:"nonce"`
	To      Hex      `json:"to"` // of the transaction: the contract of a token
	Value   Amount   `json:"value"`
	Data    Hex      `json:"data"`
	Gas     uint64   `json:"gas"`
	Extra   Amount   `json:"extra"`         // kept back for what a rollup charges beside gas; part of Draft.Fee
	All     bool     `json:"all,omitempty"` // Value is all that the fee leaves of the native balance
	Digest  Hex      `json:"digest"`        // what the signature is over
}
