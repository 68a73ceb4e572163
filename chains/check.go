package chains

import "fmt"

// Signed is a transaction that was checked and may be broadcast.
type Signed struct {
	Raw []byte // as nodes take it

	// ID is known before the broadcast. Anybody on the way may change that of
	// a transaction of the bitcoin family that spends a coin without witness;
	// it spends the same coins then, and pays the same.
	ID Hash
}

// MismatchCode says what is wrong with signed bytes. The codes do not change.
type MismatchCode string

// The codes.
const (
	Malformed    MismatchCode = "malformed"      // the bytes are no transaction of that format
	Differs      MismatchCode = "differs"        // a field is not as it was built
	Unsigned     MismatchCode = "unsigned"       // a signature is missing
	BadSignature MismatchCode = "bad_signature"  // a signature does not hold, or does not cover the whole transaction
	WrongSigner  MismatchCode = "wrong_signer"   // a valid signature of somebody else
	FeeOverLimit MismatchCode = "fee_over_limit" // the fee is above the ceiling
)

// MismatchError says how signed bytes differ from the draft they were made from. It
// never repeats the bytes.
type MismatchError struct {
	Code  MismatchCode
	Field string // outputs[0].amount, nonce, inputs[2]; "" for the whole
	Want  string // as built; "" where that says nothing
	Got   string // or what is wrong with it, in words
}

// Error implements error.
func (m *MismatchError) Error() string {
	text := "signed transaction: " + string(m.Code)
	if m.Field != "" {
		text += " in " + m.Field
	}
	switch {
	case m.Want != "":
		text += fmt.Sprintf(": got %s, want %s", m.Got, m.Want)
	case m.Got != "":
		text += ": " + m.Got
	}
	return text
}

// Checker is a Source that checks what a signer made of a draft.
type Checker interface {
	// Check compares every field of signed with the draft, verifies every
	// signature, and returns the transaction, or a *MismatchError. It asks no node.
	// Of two answers to one draft that differ both may pass: signing is not
	// deterministic.
	Check(draft Draft, signed string, ceiling Amount) (Signed, error)
}
