package chains

import "context"

// FeeRate is the price of a transaction's size or work.
type FeeRate struct {
	// Max is the most that is paid: base units for 1000 virtual bytes in the
	// bitcoin family, wei for a unit of gas on EVM.
	Max Amount `json:"max"`

	// Tip is the part of Max that goes to whoever makes the block, on EVM.
	Tip Amount `json:"tip"`
}

// FeeEstimate is what a transaction should offer now.
type FeeEstimate struct {
	FeeRate

	Base   Amount `json:"base"`   // EVM: what the next block burns for a unit of gas
	Capped bool   `json:"capped"` // the ceiling lies below what is needed: to be mined it may take long
	Basis  string `json:"basis"`  // what the estimate rests on: the node's method, or "relay minimum"
}

// FeeEstimator is a Source that can say what fee gets a transaction mined.
type FeeEstimator interface {
	// EstimateFee returns the rate that should get a transaction into one of
	// the next blocks (at least 1; EVM always means the next). It is the word
	// of one node and never above ceiling. A node without an opinion gives
	// the least that is relayed.
	EstimateFee(ctx context.Context, blocks int, ceiling Amount) (FeeEstimate, error)
}
