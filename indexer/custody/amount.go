package custody

import (
	"errors"
	"regexp"

	"tallyd/chains"
)

// What is wrong with an amount, in words for the person who sent it.
var (
	ErrAmountForm     = errors.New("expected a decimal number such as 0.5")
	ErrAmountPrecise  = errors.New("has more digits after the point than the asset")
	ErrAmountPositive = errors.New("must be greater than 0")
	ErrAmountLarge    = errors.New("is larger than any amount can be")
)

// maxDigits is how many digits an amount in base units can have.
const maxDigits = 78

var decimalPattern = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// ParseAmount reads a positive amount in whole units of an asset, exactly, and
// returns base units.
func ParseAmount(text string, decimals int) (chains.Amount, error) {
	const longest = 2 * maxDigits
	if decimals < 0 || len(text) > longest || !decimalPattern.MatchString(text) {
		return chains.Amount{}, ErrAmountForm
	}
	amount, err := chains.ParseDecimal(text, decimals)
	switch {
	case text[0] == '-':
		return chains.Amount{}, ErrAmountPositive
	case err != nil:
		return chains.Amount{}, ErrAmountPrecise
	case amount.Sign() <= 0:
		return chains.Amount{}, ErrAmountPositive
	case len(amount.String()) > maxDigits:
		return chains.Amount{}, ErrAmountLarge
	}
	return amount, nil
}
