package store

import (
	"context"
	"fmt"

	"tallyd/chains"
	"tallyd/store/db"
)

type position struct{ script, asset int64 }

// deltas collects what a transaction adds to the sums of confirmed legs, so that
// they are written once. A sum has no bound: nine transfers of 2²⁵⁶-1 are one.
type deltas map[position]chains.Amount

// add counts a leg that became confirmed.
func (d deltas) add(script, asset int64, side string, amount chains.Amount) {
	if side == string(chains.Out) {
		amount = amount.Neg()
	}
	p := position{script, asset}
	d[p] = d[p].Add(amount)
}

// take counts a leg that no longer is.
func (d deltas) take(script, asset int64, side string, amount chains.Amount) {
	d.add(script, asset, side, amount.Neg())
}

func (d deltas) save(ctx context.Context, q *db.Queries) error {
	if len(d) == 0 {
		return nil
	}
	var p db.AddSumsParams
	for at, amount := range d {
		p.ScriptIds = append(p.ScriptIds, at.script)
		p.AssetIds = append(p.AssetIds, at.asset)
		p.Amounts = append(p.Amounts, amount)
	}
	if err := q.AddSums(ctx, p); err != nil {
		return fmt.Errorf("add to sums: %w", err)
	}
	return nil
}
