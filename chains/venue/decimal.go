package venue

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"tallyd/chains"
)

// ErrDecimal says that a text is not a decimal number.
var ErrDecimal = errors.New("not a decimal number")

const (
	// maxDigits bounds a number. The ledger keeps 78 digits of an amount; a venue
	// that sends more than this sends rubbish.
	maxDigits = 200

	// maxExponent bounds what an exponent may move the point by, so that a short
	// text is not a long number.
	maxExponent = 100
)

// Decimal is an exact decimal number as a venue wrote it, of any size. It is a
// value: methods return a new one and never change their receiver. The zero
// Decimal is unknown, which is not 0: a venue left it out, or wrote null or "".
type Decimal struct {
	digits *big.Int // the number without its point; nil while unknown; never changed
	scale  int      // how many of the digits stand after the point
}

// NewDecimal returns n with the point moved left by scale digits.
func NewDecimal(n int64, scale int) Decimal { return Decimal{digits: big.NewInt(n), scale: scale} }

// ParseDecimal reads a decimal number with an optional sign, fraction and
// exponent. An empty text is unknown.
func ParseDecimal(s string) (Decimal, error) {
	if s == "" {
		return Decimal{}, nil
	}
	fail := func() (Decimal, error) {
		return Decimal{}, fmt.Errorf("parse %.40q: %w", s, ErrDecimal)
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e > maxExponent || e < -maxExponent {
			return fail()
		}
		mantissa, exponent = s[:i], e
	}
	sign := ""
	if mantissa != "" && (mantissa[0] == '-' || mantissa[0] == '+') {
		sign, mantissa = mantissa[:1], mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if len(whole)+len(fraction) == 0 || len(whole)+len(fraction) > maxDigits || !isDigits(whole+fraction) {
		return fail()
	}
	digits, _ := new(big.Int).SetString(sign+whole+fraction, 10)
	d := Decimal{digits: digits, scale: len(fraction) - exponent}
	if d.scale < 0 {
		d.digits, d.scale = new(big.Int).Mul(digits, power(-d.scale)), 0
	}
	return d, nil
}

// Known reports whether there is a number at all.
func (d Decimal) Known() bool { return d.digits != nil }

// Or returns d, or other if d is unknown.
func (d Decimal) Or(other Decimal) Decimal {
	if d.Known() {
		return d
	}
	return other
}

// Add returns d + other; unknown if one of them is.
func (d Decimal) Add(other Decimal) Decimal {
	if !d.Known() || !other.Known() {
		return Decimal{}
	}
	a, b, scale := level(d, other)
	return Decimal{digits: new(big.Int).Add(a, b), scale: scale}
}

// Sub returns d - other; unknown if one of them is.
func (d Decimal) Sub(other Decimal) Decimal { return d.Add(other.Neg()) }

// Mul returns d × other; unknown if one of them is.
func (d Decimal) Mul(other Decimal) Decimal {
	if !d.Known() || !other.Known() {
		return Decimal{}
	}
	return Decimal{digits: new(big.Int).Mul(d.digits, other.digits), scale: d.scale + other.scale}
}

// Shift returns d with the point moved left by places digits: cents become
// dollars by 2. Unknown if d is.
func (d Decimal) Shift(places int) Decimal {
	if !d.Known() {
		return Decimal{}
	}
	return Decimal{digits: d.digits, scale: d.scale + places}
}

// Neg returns -d; unknown if d is.
func (d Decimal) Neg() Decimal {
	if !d.Known() {
		return Decimal{}
	}
	return Decimal{digits: new(big.Int).Neg(d.digits), scale: d.scale}
}

// Abs returns d without its sign; unknown if d is.
func (d Decimal) Abs() Decimal {
	if d.Sign() < 0 {
		return d.Neg()
	}
	return d
}

// Sign returns -1, 0 or +1; 0 while unknown.
func (d Decimal) Sign() int {
	if !d.Known() {
		return 0
	}
	return d.digits.Sign()
}

// IsZero reports whether d is known to be 0.
func (d Decimal) IsZero() bool { return d.Known() && d.digits.Sign() == 0 }

// Equal reports whether both are the same number, or both unknown.
func (d Decimal) Equal(other Decimal) bool {
	if !d.Known() || !other.Known() {
		return d.Known() == other.Known()
	}
	a, b, _ := level(d, other)
	return a.Cmp(b) == 0
}

// Amount returns d as a whole number of its smallest unit, and how many digits
// stand after the point: the form in which the ledger keeps it. Zeros at the end
// are dropped, so that a number is one pair. An unknown d is an error.
func (d Decimal) Amount() (chains.Amount, int, error) {
	if !d.Known() {
		return chains.Amount{}, 0, fmt.Errorf("take an amount of what the venue left out: %w", ErrDecimal)
	}
	short := d.trimmed()
	return chains.AmountFromBig(short.digits), short.scale, nil
}

// String returns the number without zeros at its end, or "" while unknown.
func (d Decimal) String() string {
	if !d.Known() {
		return ""
	}
	short := d.trimmed()
	return chains.AmountFromBig(short.digits).Decimal(short.scale)
}

// MarshalJSON writes a string, or null while unknown.
func (d Decimal) MarshalJSON() ([]byte, error) {
	if !d.Known() {
		return []byte("null"), nil
	}
	return []byte(`"` + d.String() + `"`), nil
}

// UnmarshalJSON reads a string or a number by its digits. null and "" are
// unknown.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	parsed, err := ParseDecimal(bare(b))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// trimmed returns d without zeros at the end of its fraction.
func (d Decimal) trimmed() Decimal {
	digits, scale, ten, rest := new(big.Int).Set(d.digits), d.scale, big.NewInt(10), new(big.Int)
	for scale > 0 {
		shorter, r := new(big.Int).QuoRem(digits, ten, rest)
		if r.Sign() != 0 {
			break
		}
		digits, scale = shorter, scale-1
	}
	return Decimal{digits: digits, scale: scale}
}

// level returns the digits of both at the scale of the finer one.
func level(a, b Decimal) (*big.Int, *big.Int, int) {
	switch {
	case a.scale < b.scale:
		return new(big.Int).Mul(a.digits, power(b.scale-a.scale)), b.digits, b.scale
	case b.scale < a.scale:
		return a.digits, new(big.Int).Mul(b.digits, power(a.scale-b.scale)), a.scale
	}
	return a.digits, b.digits, a.scale
}

func power(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
