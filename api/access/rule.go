package access

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

	// Signed refuses bearer keys: the request must be signed, or come with the
	// master key.
	Signed bool

	// Once makes the header Idempotency-Key mandatory. Every other POST honours it.
	Once bool
}
