package indexer

import "time"

// Load is what is under way for all tenants, for the operator.
type Load struct {
	Withdrawals []WithdrawalCount // that have not ended; statuses of which there are none are left out
	Deliveries  int64             // still to be sent to endpoints that are not disabled
	Overdue     time.Duration     // for how long the oldest of them has been due
	Endpoints   map[string]int64  // by state: working, failing, disabled
}

// WithdrawalCount is how many withdrawals of a chain have a status.
type WithdrawalCount struct {
	Chain, Status string
	Count         int64
}
