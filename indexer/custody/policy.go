package custody

import "tallyd/chains"

// Basis is what a deposit's block is measured by before it is credited.
type Basis string

// The bases.
const (
	BasisDepth Basis = "depth" // confirmations, the block itself being the first
	BasisSafe  Basis = "safe"  // the chain's safe height
	BasisFinal Basis = "final" // the chain's final height
)

// Threshold is when a deposit is credited.
type Threshold struct {
	Basis         Basis  `json:"basis"`
	Confirmations uint64 `json:"confirmations,omitempty"` // of BasisDepth
}

// Rule is a threshold for deposits of one asset from an amount on.
type Rule struct {
	Asset chains.AssetID `json:"asset"`
	From  chains.Amount  `json:"from"` // base units, included
	Threshold
}

// Policy is when the deposits of one chain are credited, and what stops that.
type Policy struct {
	Default Threshold `json:"default"`
	Rules   []Rule    `json:"rules,omitempty"`

	// ReorgLimit is how many blocks a reorg may take back before crediting
	// stops; 0 is no limit. One that takes a credit back always stops it.
	ReorgLimit uint64 `json:"reorg_limit,omitempty"`
}

// For returns the threshold for an amount of an asset: of the rule for it that
// begins at the highest amount, else the default.
func (p Policy) For(asset chains.AssetID, amount chains.Amount) Threshold {
	best := -1
	for i, rule := range p.Rules {
		if rule.Asset == asset && rule.From.Cmp(amount) <= 0 && (best < 0 || rule.From.Cmp(p.Rules[best].From) > 0) {
			best = i
		}
	}
	if best >= 0 {
		return p.Rules[best].Threshold
	}
	return p.Default
}

// Due is when a deposit is credited: when the height that Basis names has reached
// Height, and the tip has reached Mature. One of which nothing arrived is dropped
// then; and one whose block left when the block above the branch that left, were the
// deposit in it, would be due.
type Due struct {
	Basis  Basis
	Height uint64
	Mature uint64 // the tip at which a coinbase can be spent; 0 for others
}

// Due returns when a deposit in the block at height is credited. A coinbase is not
// before it can be spent, maturity blocks later.
func (t Threshold) Due(height uint64, coinbase bool, maturity uint64) Due {
	due := Due{Basis: t.Basis, Height: height}
	if coinbase && maturity > 0 {
		due.Mature = height + maturity - 1
	}
	if due.Basis != BasisSafe && due.Basis != BasisFinal {
		due.Basis = BasisDepth
		due.Height = max(height+max(t.Confirmations, 1)-1, due.Mature)
	}
	return due
}
