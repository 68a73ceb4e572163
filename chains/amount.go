package chains

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strings"
)

// ErrAmount says that a text is not a whole number of base units.
var ErrAmount = errors.New("not a whole number of base units")

// Amount is a signed whole number of base units (satoshi, wei), of any size.
// It is a value: methods return a new one and never change their receiver. The
// zero Amount is 0. Amounts are compared with Cmp or Equal, not with ==.
type Amount struct {
	small int64    // the number, while big is nil
	big   *big.Int // never changed after it is set; nil for a number that fits small
}

// NewAmount returns n base units.
func NewAmount(n int64) Amount { return Amount{small: n} }

// AmountFromUint64 returns n base units.
func AmountFromUint64(n uint64) Amount {
	if n <= 1<<63-1 {
		return Amount{small: int64(n)}
	}
	return Amount{big: new(big.Int).SetUint64(n)}
}

// AmountFromBig returns n base units; n is copied. A nil n is 0.
func AmountFromBig(n *big.Int) Amount {
	if n == nil {
		return Amount{}
	}
	if n.IsInt64() {
		return Amount{small: n.Int64()}
	}
	return Amount{big: new(big.Int).Set(n)}
}

// AmountFromBytes returns the unsigned big-endian number in b, as a word of the
// EVM holds it. An empty b is 0.
func AmountFromBytes(b []byte) Amount { return AmountFromBig(new(big.Int).SetBytes(b)) }

// ParseAmount reads a decimal whole number with an optional sign. Anything else,
// an exponent or a fraction among them, is ErrAmount.
func ParseAmount(s string) (Amount, error) {
	digits := strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")
	if digits == "" || len(s)-len(digits) > 1 {
		return Amount{}, fmt.Errorf("parse amount %.80q: %w", s, ErrAmount)
	}
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return Amount{}, fmt.Errorf("parse amount %.80q: %w", s, ErrAmount)
		}
	}
	n, _ := new(big.Int).SetString(s, 10)
	return AmountFromBig(n), nil
}

// ParseDecimal reads a decimal number of whole units, such as 0.5 with 8
// decimals, exactly. More digits after the point than decimals is ErrAmount
// unless they are zeros.
func ParseDecimal(s string, decimals int) (Amount, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > decimals || strings.ContainsAny(fraction, "+-") {
		return Amount{}, fmt.Errorf("parse %.80q with %d decimals: %w", s, decimals, ErrAmount)
	}
	if strings.Trim(whole, "+-") == "" {
		return Amount{}, fmt.Errorf("parse %.80q with %d decimals: %w", s, decimals, ErrAmount)
	}
	return ParseAmount(whole + fraction + strings.Repeat("0", decimals-len(fraction)))
}

// Big returns the number as a new big.Int.
func (a Amount) Big() *big.Int {
	if a.big != nil {
		return new(big.Int).Set(a.big)
	}
	return big.NewInt(a.small)
}

// Add returns a + b.
func (a Amount) Add(b Amount) Amount {
	if a.big == nil && b.big == nil {
		sum, carry := bits.Add64(uint64(a.small), uint64(b.small), 0)
		_ = carry // the sign test below finds the overflow of signed numbers
		if s := int64(sum); (a.small^s)&(b.small^s) >= 0 {
			return Amount{small: s}
		}
	}
	return AmountFromBig(new(big.Int).Add(a.view(), b.view()))
}

// Sub returns a - b.
func (a Amount) Sub(b Amount) Amount { return a.Add(b.Neg()) }

// Neg returns -a.
func (a Amount) Neg() Amount {
	if a.big == nil && a.small != -1<<63 {
		return Amount{small: -a.small}
	}
	return AmountFromBig(new(big.Int).Neg(a.view()))
}

// Mul returns a × b.
func (a Amount) Mul(b Amount) Amount { return AmountFromBig(new(big.Int).Mul(a.view(), b.view())) }

// Sign returns -1, 0 or +1.
func (a Amount) Sign() int { return a.view().Sign() }

// IsZero reports whether a is 0.
func (a Amount) IsZero() bool { return a.Sign() == 0 }

// Cmp returns -1 if a < b, 0 if they are equal, +1 if a > b.
func (a Amount) Cmp(b Amount) int { return a.view().Cmp(b.view()) }

// Equal reports whether a and b are the same number.
func (a Amount) Equal(b Amount) bool { return a.Cmp(b) == 0 }

// String returns the decimal digits, with a sign if negative.
func (a Amount) String() string { return a.view().String() }

// Decimal returns a in whole units: a with the point moved by decimals, without
// trailing zeros. It is for display; arithmetic stays in base units.
func (a Amount) Decimal(decimals int) string {
	digits := new(big.Int).Abs(a.view()).String()
	if pad := decimals + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	whole, fraction := digits[:len(digits)-decimals], strings.TrimRight(digits[len(digits)-decimals:], "0")
	sign := ""
	if a.Sign() < 0 {
		sign = "-"
	}
	if fraction == "" {
		return sign + whole
	}
	return sign + whole + "." + fraction
}

// MarshalJSON writes the number as a string of decimal digits, which no reader
// rounds.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(`"` + a.String() + `"`), nil }

// UnmarshalJSON reads a string of decimal digits. A bare JSON number is refused
// if it is not whole.
func (a *Amount) UnmarshalJSON(b []byte) error {
	n, err := ParseAmount(strings.Trim(string(b), `"`))
	if err != nil {
		return err
	}
	*a = n
	return nil
}

// view returns the number for reading only: the caller must not change it.
func (a Amount) view() *big.Int {
	if a.big != nil {
		return a.big
	}
	return big.NewInt(a.small)
}
