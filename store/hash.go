package store

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"

	"tallyd/chains"
)

// bytea carries a Hash to and from bytea. Null is read as the zero hash, which
// no block and no transaction has.
type bytea chains.Hash

// BytesValue implements pgtype.BytesValuer.
func (b bytea) BytesValue() ([]byte, error) { return b[:], nil }

// ScanBytes implements pgtype.BytesScanner.
func (b *bytea) ScanBytes(v []byte) error {
	if v == nil {
		*b = bytea{}
		return nil
	}
	if len(v) != len(b) {
		return fmt.Errorf("read a hash: %d bytes, want %d", len(v), len(b))
	}
	copy(b[:], v)
	return nil
}

type encodeHash struct{ next pgtype.EncodePlan }

func (p *encodeHash) SetNext(next pgtype.EncodePlan) { p.next = next }

func (p *encodeHash) Encode(value any, buf []byte) ([]byte, error) {
	hash, _ := value.(chains.Hash)
	return p.next.Encode(bytea(hash), buf) //nolint:wrapcheck // pgx names the parameter
}

func wrapHash(value any) (pgtype.WrappedEncodePlanNextSetter, any, bool) { //nolint:ireturn // as pgtype wants it
	if hash, ok := value.(chains.Hash); ok {
		return &encodeHash{}, bytea(hash), true
	}
	return nil, nil, false
}

type scanHash struct{ next pgtype.ScanPlan }

func (p *scanHash) SetNext(next pgtype.ScanPlan) { p.next = next }

func (p *scanHash) Scan(src []byte, dst any) error {
	hash, _ := dst.(*chains.Hash)
	return p.next.Scan(src, (*bytea)(hash)) //nolint:wrapcheck // pgx names the column
}

func scanHashes(target any) (pgtype.WrappedScanPlanNextSetter, any, bool) { //nolint:ireturn // as pgtype wants it
	if hash, ok := target.(*chains.Hash); ok {
		return &scanHash{}, (*bytea)(hash), true
	}
	return nil, nil, false
}

// registerTypes teaches a connection our amounts and hashes. They come before
// pgx's own guesses, to which both are a struct and an array of numbers.
func registerTypes(m *pgtype.Map) {
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapAmount, wrapHash}, m.TryWrapEncodePlanFuncs...)
	m.TryWrapScanPlanFuncs = append([]pgtype.TryWrapScanPlanFunc{scanAmounts, scanHashes}, m.TryWrapScanPlanFuncs...)
}

// raw returns hashes as the byte strings of an array parameter.
func raw(hashes []chains.Hash) [][]byte {
	all := make([][]byte, len(hashes))
	for i := range hashes {
		all[i] = hashes[i][:]
	}
	return all
}
