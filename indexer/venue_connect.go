package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/chains/venue"
)

var (
	// ErrOtherLogin says that credentials are those of another login than the
	// account's: nothing was replaced.
	ErrOtherLogin = errors.New("the credentials belong to another login")

	// ErrStopped says that an account is not read before its user has done
	// something.
	ErrStopped = errors.New("the account is stopped")

	// ErrSandbox says that a login of a venue's sandbox was to be connected in
	// the live environment: test money would be counted as money.
	ErrSandbox = errors.New("a login of a sandbox belongs to the test environment")
)

// VenueConnections connects logins of venues: it tries the credentials at once,
// stores what may be kept, and asks for the first reading.
type VenueConnections struct {
	Venues   map[string]venue.Venue
	Open     OpenVenue
	Accounts VenueAccounts

	// Read asks for an account to be read soon. It is a hint: one that was lost
	// is made up for by the next look at what is due.
	Read func(ctx context.Context, account uuid.UUID)
}

// OpenVenue returns the session of a login without asking anything, as
// venue.Transport.Open does. Its error names fields and no value.
type OpenVenue func(v venue.Venue, c venue.Credentials) (*venue.Session, error)

// VenueConnecting is what a login is connected with.
type VenueConnecting struct {
	Realm       Realm
	User        uuid.UUID
	Venue       string
	Credentials venue.Credentials // the region among its fields

	// Acknowledged is the user's word that the key can only read: see
	// venue.Access.Accept.
	Acknowledged bool

	Name        string
	Description string
	CreatedBy   string
	MetaData    json.RawMessage
}

// FieldsError says which fields of a login are missing or wrong, without their
// values. Nothing was asked.
type FieldsError struct{ Cause error }

// Error returns what is wrong, in words.
func (e *FieldsError) Error() string { return e.Cause.Error() }

// Unwrap returns what lies under it.
func (e *FieldsError) Unwrap() error { return e.Cause }

// Connect tries a login and connects it to a user. It returns the new account; a
// *FieldsError that fields are missing or malformed, ErrNotFound that there is no
// such venue or the realm no such user, ErrSandbox, venue.ErrTooStrong or
// venue.ErrUnacknowledged that the login may not be kept, ErrExists that the user
// has it connected already, and a *venue.Error what the venue said instead. When
// it returns nil the account is durable.
func (c VenueConnections) Connect(ctx context.Context, asked VenueConnecting) (VenueAccount, error) {
	tried, err := c.Try(ctx, asked)
	if err != nil {
		return VenueAccount{}, err
	}
	return c.Keep(ctx, tried)
}

// Replace gives an account other credentials: a key that was renewed, or one that
// was revoked. They are tried first, and the old ones stay if they do not hold.
// It returns what Connect does, ErrNotFound also if the realm has no such account,
// and ErrOtherLogin.
func (c VenueConnections) Replace(ctx context.Context, realm Realm, id uuid.UUID, credentials venue.Credentials, acknowledged bool) (VenueAccount, error) {
	account, err := c.Accounts.VenueAccount(ctx, realm, id)
	if err != nil {
		return VenueAccount{}, fmt.Errorf("find account: %w", err)
	}
	if err := c.try(ctx, &account, credentials, acknowledged); err != nil {
		return VenueAccount{}, err
	}
	if err := c.Accounts.ReplaceCredentials(ctx, account, credentials); err != nil {
		return VenueAccount{}, fmt.Errorf("replace credentials: %w", err)
	}
	c.Read(ctx, id)
	return c.Accounts.VenueAccount(ctx, realm, id) //nolint:wrapcheck // the store says what it was doing
}

// Resume lets an account be read again at once with the credentials it has: its
// user has mended at the venue what stopped it. It returns ErrNotFound if the realm
// has no such account.
func (c VenueConnections) Resume(ctx context.Context, realm Realm, id uuid.UUID) (VenueAccount, error) {
	if err := c.Accounts.ResumeVenueAccount(ctx, realm, id); err != nil {
		return VenueAccount{}, fmt.Errorf("resume account: %w", err)
	}
	c.Read(ctx, id)
	return c.Accounts.VenueAccount(ctx, realm, id) //nolint:wrapcheck // the store says what it was doing
}

// Disconnect ends an account and erases its credentials, or returns ErrNotFound.
func (c VenueConnections) Disconnect(ctx context.Context, realm Realm, id uuid.UUID) error {
	if _, err := c.Accounts.VenueAccount(ctx, realm, id); err != nil {
		return fmt.Errorf("find account: %w", err)
	}
	return c.Accounts.DeleteAccount(ctx, realm, id) //nolint:wrapcheck // the store says what it was doing
}

// try asks the venue whether a login holds and what it may do, and writes what it
// says into account.
func (c VenueConnections) try(ctx context.Context, account *VenueAccount, credentials venue.Credentials, acknowledged bool) error {
	v, ok := c.Venues[account.Venue]
	if !ok {
		return fmt.Errorf("venue %q: %w", account.Venue, ErrNotFound)
	}
	session, err := c.Open(v, credentials)
	if err != nil {
		return &FieldsError{Cause: err}
	}
	if session.Region().Sandbox && account.Realm.Environment == chains.Live {
		return ErrSandbox
	}
	access, err := session.Account().Check(ctx)
	if err != nil {
		return fmt.Errorf("try the login: %w", err)
	}
	if err := access.Accept(acknowledged); err != nil {
		return err
	}
	if account.Login != "" && access.Login != "" && account.Login != access.Login {
		return ErrOtherLogin
	}
	account.Wallet, account.Region = credentials.Digest(v.Name), session.Region().Name
	if access.Login != "" {
		account.Login = access.Login
	}
	account.State.Warnings = warningsOf(access)
	return nil
}

// warningsOf returns what a user should know of a login, in words.
func warningsOf(access venue.Access) []string {
	warnings := append([]string{}, access.Warnings...)
	for _, right := range access.Lacks {
		warnings = append(warnings, fmt.Sprintf("The key lacks the right %q: what it shows is not read.", right))
	}
	if access.Unbound {
		warnings = append(warnings, "The key may be used from any address: bind it to the address of this daemon.")
	}
	if !access.Expires.IsZero() {
		warnings = append(warnings, "The key expires on "+access.Expires.UTC().Format(time.DateOnly)+".")
	}
	if access.State.Status != "" && access.State.Status != venue.AccountOpen {
		warnings = append(warnings, "The venue says that the account is "+access.State.Status+": "+access.State.Detail)
	}
	return warnings
}
