package venue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is what is known of a key's rights.
type Verdict string

// The verdicts.
const (
	ReadOnly  Verdict = "read_only"  // the venue says that the key can only read
	TooStrong Verdict = "too_strong" // the key can do more, or the venue names a right that tallyd does not know
	Unknown   Verdict = "unknown"    // the venue does not say
)

// Access is what a login may do, and the account it opens.
type Access struct {
	Login    string   // the venue's own name of the account or user, "" if it does not say
	Verdict  Verdict  //
	Can      []string // the rights, as the venue names them
	Excess   []string // those of them that are more than reading
	Lacks    []string // rights without which a part cannot be read
	Expires  time.Time
	Unbound  bool // the key may be used from any address
	State    State
	Warnings []string // in words, for the user
}

// State is what the venue makes of an account.
type State struct {
	Status string    // AccountOpen, …
	Detail string    // in words
	At     time.Time // when it changed or will change, zero if unknown
}

// The states of an account.
const (
	AccountOpen    = "open"
	AccountFrozen  = "frozen"  // it holds what it holds, and nothing comes in
	AccountClosing = "closing" // it is being wound down
	AccountEnded   = "closed"  //
)

// Outcomes of Accept.
var (
	// ErrTooStrong says that a key can trade or withdraw. It is not kept.
	ErrTooStrong = errors.New("the key can do more than read")

	// ErrUnacknowledged says that the venue does not tell what a key may do,
	// and that its user did not say that they know.
	ErrUnacknowledged = errors.New("the venue does not say what the key may do")
)

// Accept returns nil if a login may be kept. Acknowledged is the user's own word
// that a key was made without the rights to trade or to withdraw; it stands in for
// a venue that does not say, and for no venue that says otherwise.
func (a Access) Accept(acknowledged bool) error {
	switch {
	case a.Verdict == TooStrong:
		return fmt.Errorf("%w: %s", ErrTooStrong, strings.Join(a.Excess, ", "))
	case a.Verdict == ReadOnly, acknowledged:
		return nil
	}
	return ErrUnacknowledged
}

// Judge returns the verdict on rights: all that are not among reading are too
// much, those that tallyd has never heard of too.
func Judge(rights []string, reading ...string) (Verdict, []string) {
	var excess []string
	for _, right := range rights {
		if !slices.Contains(reading, right) {
			excess = append(excess, right)
		}
	}
	if excess != nil {
		return TooStrong, excess
	}
	return ReadOnly, nil
}

// Lacking returns those of the rights needed that are not among rights.
func Lacking(rights []string, needed ...string) []string {
	return slices.DeleteFunc(slices.Clone(needed), func(right string) bool { return slices.Contains(rights, right) })
}
