package venue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Venue is one exchange or custodial service: what a connector declares of it.
// It is a value without state.
type Venue struct {
	Name    string   // slug, lower case: kraken
	Title   string   // as it calls itself
	About   string   // what a user should know before connecting, "" if nothing
	Fields  []Field  // what a login is made of
	Tick    []string // permissions to tick when the key is made
	Regions []Region // where it answers; the first is the one meant without a word
	Routes  []Route  // all it may be asked
	Budgets []Budget // what it lets be asked; the first counts routes that name none
	Clock   *Clock   // how its time is asked; nil means by the Date of its answers
	Nonces  bool     // whether each signed request carries a number that must rise

	// Introspects says that the venue tells what a key may do. Where it does
	// not, a user must say that they know.
	Introspects bool

	// Evidence says what each part of the connector was checked against.
	Evidence []Evidence

	// Dialect returns how the venue signs with credentials, whose fields were
	// checked. Its error never repeats a value.
	Dialect func(Credentials) (Dialect, error)

	// Account returns the account of a login. It asks nothing.
	Account func(*Session) Account
}

// Field is one value that a user enters.
type Field struct {
	Name     string // FieldKey, …
	Title    string // what the venue calls it
	Hint     string // what it is, and what it is not
	Optional bool
	Secret   bool     // not to be shown again
	Choices  []string // all it may be; nil if it is free
}

// Region is one place where a venue answers. A login belongs to one.
type Region struct {
	Name    string
	Title   string
	Sandbox bool // test money
	// Hosts are the origins that may be asked, by the name routes use for
	// them; "" is the main one.
	Hosts map[string]string
	// Budgets stand in place of the venue's of the same name.
	Budgets []Budget
}

// Standing is how well a part of a connector is known to be right.
type Standing string

// The standings, best first.
const (
	ByVector    Standing = "vector"     // reproduces requests that a client sent, byte for byte
	ByRecording Standing = "recording"  // reads answers recorded from the venue
	ByReference Standing = "reference"  // reads answers as the venue's own reference shows them
	Unverified  Standing = "unverified" // neither could be had
)

// Evidence is what one part of a connector was checked against.
type Evidence struct {
	Part   string // signing, balances, deposits, …
	By     Standing
	Source string // address
	Seen   string // date of the source, or the day it was read
}

// Verified reports whether signing and balances have been checked against
// something. A venue where they have not is listed, and says so.
func (v Venue) Verified() bool {
	for _, part := range []string{"signing", "balances"} {
		if !slices.ContainsFunc(v.Evidence, func(e Evidence) bool { return e.Part == part && e.By != Unverified }) {
			return false
		}
	}
	return true
}

// Account is one login, ready to be read. Its methods are safe for concurrent
// use. They retry what a short wait can mend and return the rest as *Error; the
// caller decides when to ask again. What else some venues can do is found by
// assertion: Historian, Valuer.
type Account interface {
	// Check asks whether the credentials hold and what they may do. Where the
	// venue does not say, it asks for a balance and returns that nobody knows.
	Check(ctx context.Context) (Access, error)

	// Balances reads all wallets. A wallet that could not be read is named in
	// Missing, and what it held before still stands. It is an error if the
	// main wallet could not be read.
	Balances(ctx context.Context) (Balances, error)
}

// Valuer is an account whose venue says in one number what all of it is worth.
type Valuer interface {
	// Value returns the venue's own totals, one for each wallet it tells
	// apart, or one for all. They are for comparing, not for adding up.
	Value(ctx context.Context) ([]Worth, error)
}

// Worth is a venue's own total.
type Worth struct {
	Wallet Wallet // "" for all of them
	Code   string // in what it is counted
	Total  Decimal
}

// Clock is how a venue's time is asked: a public route.
type Clock struct {
	Path string
	Read func(body []byte) (time.Time, error)
}

// Region returns the region of a name; the first one for "".
func (v Venue) Region(name string) (Region, error) {
	if name == "" {
		return v.Regions[0], nil
	}
	names := make([]string, 0, len(v.Regions))
	for _, region := range v.Regions {
		if region.Name == name {
			return region, nil
		}
		names = append(names, region.Name)
	}
	return Region{}, fmt.Errorf("%s has no region %.40q; there are %s", v.Name, name, strings.Join(names, ", "))
}

// Hint returns the fields of a login, the region among them if there is more
// than one.
func (v Venue) Hint() []Field {
	fields := slices.Clone(v.Fields)
	if len(v.Regions) < 2 {
		return fields
	}
	names := make([]string, 0, len(v.Regions))
	for _, region := range v.Regions {
		names = append(names, region.Name)
	}
	return append(fields, Field{
		Name: FieldRegion, Title: "Region", Optional: true, Choices: names,
		Hint: "where the account was opened; " + names[0] + " unless you say otherwise",
	})
}

// check returns what is wrong with the fields of credentials, by name and never
// by value.
func (v Venue) check(c Credentials) error {
	known := v.Hint()
	for _, name := range c.Names() {
		if name != FieldRegion && !slices.ContainsFunc(known, func(f Field) bool { return f.Name == name }) {
			return fmt.Errorf("%s takes no field %.40q", v.Name, name)
		}
	}
	for _, field := range known {
		value := c.Get(field.Name)
		if value == "" {
			if !field.Optional {
				return fmt.Errorf("%s needs the field %s", v.Name, field.Name)
			}
			continue
		}
		if field.Choices != nil && !slices.Contains(field.Choices, value) {
			return fmt.Errorf("%s is none of %s", field.Name, strings.Join(field.Choices, ", "))
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' || r == 0x7f }) {
			return fmt.Errorf("the field %s has characters that no key has", field.Name)
		}
	}
	return nil
}
