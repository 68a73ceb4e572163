package webhook

import "time"

// Load is what is under way for all tenants, for the operator.
type Load struct {
	Waiting   int64            // deliveries still to be made to endpoints that are not disabled
	Overdue   time.Duration    // for how long the oldest of them has been due
	Endpoints map[string]int64 // by state: working, failing, disabled
}
