package price

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"tallyd/chains"
)

// ErrRate says that a number cannot be a rate.
var ErrRate = errors.New("not a rate")

const (
	// maxText bounds the text of a rate.
	maxText = 80

	// magnitude bounds a rate to 10^-magnitude … 10^magnitude. Between the
	// smallest unit of one asset and the largest of another lies less.
	magnitude = 30

	// significant is how many digits a rate has that no finite number of them
	// would write exactly.
	significant = 24
)

// Rate is how many units of one asset a unit of another is worth: exact, above
// zero, of any precision. It is a value. The zero Rate is unknown.
type Rate struct {
	digits chains.Amount // the number without its point; 0 while unknown
	scale  int           // how many of the digits stand after the point
}

// One is the rate of an asset in itself.
func One() Rate { return Rate{digits: chains.NewAmount(1)} }

// NewRate returns digits with the point moved left by scale. What is not above
// zero, or is beyond all reason, is ErrRate.
func NewRate(digits chains.Amount, scale int) (Rate, error) {
	if digits.Sign() <= 0 || scale < 0 || scale > 2*maxText {
		return Rate{}, fmt.Errorf("%.40s with %d decimals: %w", digits, scale, ErrRate)
	}
	r := Rate{digits: digits, scale: scale}.trimmed()
	if order := len(r.digits.String()) - r.scale; order > magnitude+1 || order < -magnitude {
		return Rate{}, fmt.Errorf("%.40s is beyond reason: %w", r, ErrRate)
	}
	return r, nil
}

// ParseRate reads a decimal number without sign or exponent.
func ParseRate(text string) (Rate, error) {
	_, fraction, _ := strings.Cut(text, ".")
	if len(text) > maxText || strings.ContainsAny(text, "+-") {
		return Rate{}, fmt.Errorf("read %.40q: %w", text, ErrRate)
	}
	digits, err := chains.ParseDecimal(text, len(fraction))
	if err != nil {
		return Rate{}, fmt.Errorf("read %.40q: %w", text, ErrRate)
	}
	return NewRate(digits, len(fraction))
}

// Known reports whether there is a rate at all.
func (r Rate) Known() bool { return !r.digits.IsZero() }

// Parts returns the digits and how many of them stand after the point.
func (r Rate) Parts() (chains.Amount, int) { return r.digits, r.scale }

// String returns the number without zeros at its end, "" while unknown.
func (r Rate) String() string {
	if !r.Known() {
		return ""
	}
	return r.digits.Decimal(r.scale)
}

// Times returns r × other, exactly.
func (r Rate) Times(other Rate) Rate {
	return Rate{digits: r.digits.Mul(other.digits), scale: r.scale + other.scale}.trimmed()
}

// Over returns r ÷ other: exactly where a number of at most 24 digits can, else to
// 24 significant digits, the last one rounded to the nearest. Both must be known.
func (r Rate) Over(other Rate) Rate {
	// A quotient of n digits by m has n-m or n-m+1 of them. There must be some after
	// the point to round by.
	shift := max(0, significant+len(other.digits.String())-len(r.digits.String()), other.scale-r.scale) + 2
	quotient, rest := new(big.Int).QuoRem(new(big.Int).Mul(r.digits.Big(), power(shift)), other.digits.Big(), new(big.Int))
	scale := r.scale + shift - other.scale
	// The last digit says that something follows, so that a half is not taken for
	// one when it is more.
	quotient.Mul(quotient, big.NewInt(10))
	if scale++; rest.Sign() != 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return rounded(quotient, scale).trimmed()
}

// rounded cuts digits to the significant ones, as far as they stand after the
// point; half goes to even.
func rounded(digits *big.Int, scale int) Rate {
	drop := min(len(digits.String())-significant, scale)
	if drop <= 0 {
		return Rate{digits: chains.AmountFromBig(digits), scale: scale}
	}
	unit := power(drop)
	kept, rest := new(big.Int).QuoRem(digits, unit, new(big.Int))
	half := rest.Mul(rest, big.NewInt(2)).Cmp(unit)
	if half > 0 || half == 0 && kept.Bit(0) == 1 {
		kept.Add(kept, big.NewInt(1))
	}
	return Rate{digits: chains.AmountFromBig(kept), scale: scale - drop}
}

// Cmp returns -1 if r < other, 0 if they are equal, +1 if r > other.
func (r Rate) Cmp(other Rate) int {
	scale := max(r.scale, other.scale)
	return r.at(scale).Cmp(other.at(scale))
}

// Mean returns the number in the middle of both, exactly.
func (r Rate) Mean(other Rate) Rate {
	scale := max(r.scale, other.scale)
	sum := r.at(scale).Add(other.at(scale))
	return Rate{digits: sum.Mul(chains.NewAmount(5)), scale: scale + 1}.trimmed()
}

// Within reports whether r is off other by at most permille thousandths of other.
func (r Rate) Within(other Rate, permille int64) bool {
	scale := max(r.scale, other.scale)
	off := r.at(scale).Sub(other.at(scale))
	if off.Sign() < 0 {
		off = off.Neg()
	}
	return off.Mul(chains.NewAmount(1000)).Cmp(other.at(scale).Mul(chains.NewAmount(permille))) <= 0
}

// Value returns what an amount of base units, decimals of them after the point, is
// worth at this rate: their product, exactly.
func (r Rate) Value(amount chains.Amount, decimals int) Value {
	return Value{digits: amount.Mul(r.digits), scale: decimals + r.scale}
}

// at returns the digits with the point at a scale that is not below r's.
func (r Rate) at(scale int) chains.Amount {
	return r.digits.Mul(chains.AmountFromBig(power(scale - r.scale)))
}

// trimmed returns r without zeros at the end of its fraction.
func (r Rate) trimmed() Rate {
	digits, scale, rest := r.digits.Big(), r.scale, new(big.Int)
	for ten := big.NewInt(10); scale > 0 && digits.Sign() != 0; scale-- {
		shorter, r := new(big.Int).QuoRem(digits, ten, rest)
		if r.Sign() != 0 {
			break
		}
		digits = shorter
	}
	return Rate{digits: chains.AmountFromBig(digits), scale: scale}
}

func power(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// Value is an exact amount of a currency. The zero Value is 0.
type Value struct {
	digits chains.Amount
	scale  int
}

// Add returns v + other.
func (v Value) Add(other Value) Value {
	scale := max(v.scale, other.scale)
	return Value{digits: v.at(scale).Add(other.at(scale)), scale: scale}
}

// Cmp returns -1 if v < other, 0 if they are equal, +1 if v > other.
func (v Value) Cmp(other Value) int {
	scale := max(v.scale, other.scale)
	return v.at(scale).Cmp(other.at(scale))
}

// String returns the number without zeros at its end.
func (v Value) String() string { return v.digits.Decimal(v.scale) }

func (v Value) at(scale int) chains.Amount {
	return v.digits.Mul(chains.AmountFromBig(power(scale - v.scale)))
}
