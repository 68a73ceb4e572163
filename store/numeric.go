package store

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/jackc/pgx/v5/pgtype"

	"tallyd/chains"
)

// errNotWhole says that a NUMERIC of the database is no whole number.
var errNotWhole = errors.New("not a whole number")

// numeric carries an Amount to and from NUMERIC through big.Int, in both of the
// protocol's formats. No float is on the way.
type numeric chains.Amount

// NumericValue implements pgtype.NumericValuer.
func (n numeric) NumericValue() (pgtype.Numeric, error) {
	return pgtype.Numeric{Int: chains.Amount(n).Big(), Valid: true}, nil
}

// ScanNumeric implements pgtype.NumericScanner.
func (n *numeric) ScanNumeric(v pgtype.Numeric) error {
	if !v.Valid {
		return errors.New("read an amount: it is null")
	}
	if v.NaN || v.InfinityModifier != pgtype.Finite {
		return fmt.Errorf("read an amount: %w", errNotWhole)
	}
	whole := new(big.Int).Set(v.Int)
	power := func(e int32) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(e)), nil) }
	if v.Exp >= 0 {
		whole.Mul(whole, power(v.Exp))
	} else {
		rest := new(big.Int)
		if whole.QuoRem(whole, power(-v.Exp), rest); rest.Sign() != 0 {
			return fmt.Errorf("read an amount: %w", errNotWhole)
		}
	}
	*n = numeric(chains.AmountFromBig(whole))
	return nil
}

type encodeAmount struct{ next pgtype.EncodePlan }

func (p *encodeAmount) SetNext(next pgtype.EncodePlan) { p.next = next }

func (p *encodeAmount) Encode(value any, buf []byte) ([]byte, error) {
	amount, _ := value.(chains.Amount)
	return p.next.Encode(numeric(amount), buf) //nolint:wrapcheck // pgx names the parameter
}

func wrapAmount(value any) (pgtype.WrappedEncodePlanNextSetter, any, bool) { //nolint:ireturn // as pgtype wants it
	if amount, ok := value.(chains.Amount); ok {
		return &encodeAmount{}, numeric(amount), true
	}
	return nil, nil, false
}

type scanAmount struct{ next pgtype.ScanPlan }

func (p *scanAmount) SetNext(next pgtype.ScanPlan) { p.next = next }

func (p *scanAmount) Scan(src []byte, dst any) error {
	amount, _ := dst.(*chains.Amount)
	return p.next.Scan(src, (*numeric)(amount)) //nolint:wrapcheck // pgx names the column
}

func scanAmounts(target any) (pgtype.WrappedScanPlanNextSetter, any, bool) { //nolint:ireturn // as pgtype wants it
	if amount, ok := target.(*chains.Amount); ok {
		return &scanAmount{}, (*numeric)(amount), true
	}
	return nil, nil, false
}
