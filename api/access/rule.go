package access

import (
	"errors"
	"strings"
)

// Surface is a family of operations that answer a missing or bad credential in
// their own way.
type Surface string

// The surfaces.
const (
	Blockmate Surface = "blockmate" // missing key 400, texts of Blockmate's documents
	Custody   Surface = "custody"   // missing key 401, budget of 120 a minute for a key
	Own       Surface = "own"       // missing key 401, texts of Blnk's documents
)

// Rule says who may call an operation. Every operation has one, declared where
// it is registered: huma.Register(api, gate.Guard(op, rule), handler).
type Rule struct {
	Surface Surface

	// Scope is resource:action that an API key needs. "" means no key opens it.
	Scope string

	// User lets user tokens in. BadUser is the status of a bad one, 401 if 0.
	User    bool
	BadUser int

	// Master lets nobody in but the master key.
	Master bool

	// Public lets everybody in, without looking at credentials.
	Public bool

	// Probe takes no budget: those who look after the process must hear from it
	// however often they ask. Only public operations are probes.
	Probe bool

	// Signed refuses bearer keys: the request must be signed, or come with the
	// master key.
	Signed bool

	// Ahead says that the operation asks others before it writes: see InTwo.
	Ahead bool

	// Lasting says that the answer takes as long as its reader likes. The operation
	// asks Still from time to time whether the caller would be let in yet.
	Lasting bool

	// Twice says that the operation stands at its path and under /v1: an
	// Idempotency-Key counts for both together.
	Twice bool

	// Once makes the header Idempotency-Key mandatory. Every other POST honours it.
	Once bool
}

// byKey reports whether a key, if only the master key, opens the operation.
func (r Rule) byKey() bool { return r.Scope != "" || r.Master }

// check returns an error unless the rule says one thing.
func (r Rule) check() error {
	switch {
	case r.Public && (r.byKey() || r.User || r.Signed || r.Once || r.Ahead || r.Lasting):
		return errors.New("who lets everybody in asks nobody for anything")
	case r.Probe && !r.Public:
		return errors.New("a probe is public")
	case r.Public:
		return nil
	case !r.byKey() && !r.User:
		return errors.New("nobody can call it")
	case r.Surface != Blockmate && r.Surface != Custody && r.Surface != Own:
		return errors.New("no such surface")
	case r.Master && (r.Scope != "" || r.User):
		return errors.New("the master key needs no scope and stands alone")
	case r.Signed && r.User:
		return errors.New("a user token does not sign")
	case r.Lasting && r.User:
		return errors.New("a user token is not asked about again")
	case strings.Contains(r.Scope, "*"):
		return errors.New("a route needs one scope and not several")
	case r.Scope != "":
		return CheckScope(r.Scope)
	}
	return nil
}
