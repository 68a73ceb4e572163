package custody

// WithdrawalCount is how many withdrawals of a chain have a status, for the operator.
type WithdrawalCount struct {
	Chain  string
	Status Status
	Count  int64
}
