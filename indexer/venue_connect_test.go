package indexer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/indexer"
)

// desk is a venue whose answers are set, and the ledger of its accounts.
type desk struct {
	access  venue.Access
	err     error
	kept    *indexer.VenueAccount
	secrets venue.Credentials
	asked   int // how often an account was asked to be read
}

func (d *desk) Check(context.Context) (venue.Access, error)      { return d.access, d.err }
func (d *desk) Balances(context.Context) (venue.Balances, error) { return venue.Balances{}, nil }

func (d *desk) CreateVenueAccount(_ context.Context, account indexer.VenueAccount, c venue.Credentials) error {
	if d.kept != nil {
		return indexer.ErrExists
	}
	d.kept, d.secrets = &account, c
	return nil
}

func (d *desk) ReplaceCredentials(_ context.Context, account indexer.VenueAccount, c venue.Credentials) error {
	d.kept, d.secrets = &account, c
	return nil
}

func (d *desk) ResumeVenueAccount(context.Context, indexer.Realm, uuid.UUID) error { return nil }

func (d *desk) VenueAccount(_ context.Context, _ indexer.Realm, id uuid.UUID) (indexer.VenueAccount, error) {
	if d.kept == nil || d.kept.ID != id {
		return indexer.VenueAccount{}, indexer.ErrNotFound
	}
	return *d.kept, nil
}

func (d *desk) DeleteAccount(context.Context, indexer.Realm, uuid.UUID) error {
	d.kept, d.secrets = nil, venue.Credentials{}
	return nil
}

// connections connects to the desk, which has a sandbox.
func (d *desk) connections() indexer.VenueConnections {
	v := venue.Venue{
		Name: "desk", Fields: []venue.Field{{Name: venue.FieldKey}},
		Regions: []venue.Region{
			{Name: "main", Hosts: map[string]string{"": "https://example.com"}},
			{Name: "sandbox", Sandbox: true, Hosts: map[string]string{"": "https://example.com"}},
		},
		Dialect: func(venue.Credentials) (venue.Dialect, error) { return nil, nil }, //nolint:nilnil // nothing is ever signed
		Account: func(*venue.Session) venue.Account { return d },
	}
	return indexer.VenueConnections{
		Venues: map[string]venue.Venue{"desk": v}, Open: venue.NewTransport(venue.TransportOptions{}).Open, Accounts: d,
		Read: func(context.Context, uuid.UUID) { d.asked++ },
	}
}

func key(value, region string) venue.Credentials {
	return venue.NewCredentials(map[string]string{venue.FieldKey: value, venue.FieldRegion: region})
}

func TestConnectVenue(t *testing.T) {
	t.Parallel()
	readOnly := venue.Access{Verdict: venue.ReadOnly, Login: "me"}
	refused := &venue.Error{Reason: venue.KeyRefused}
	for name, test := range map[string]struct {
		access       venue.Access
		err          error // of the venue
		venue        string
		region       string
		environment  chains.Environment
		acknowledged bool
		want         error
	}{
		"ReadOnly":       {access: readOnly},
		"TooStrong":      {access: venue.Access{Verdict: venue.TooStrong, Excess: []string{"withdraw"}}, acknowledged: true, want: venue.ErrTooStrong},
		"Unacknowledged": {access: venue.Access{Verdict: venue.Unknown}, want: venue.ErrUnacknowledged},
		"Acknowledged":   {access: venue.Access{Verdict: venue.Unknown}, acknowledged: true},
		"Refused":        {err: refused, want: refused},
		"NoSuchVenue":    {venue: "nowhere", want: indexer.ErrNotFound},
		"SandboxInLive":  {access: readOnly, region: "sandbox", want: indexer.ErrSandbox},
		"SandboxInTest":  {access: readOnly, region: "sandbox", environment: chains.Test},
		"LiveInTest":     {access: readOnly, environment: chains.Test},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &desk{access: test.access, err: test.err}
			asked := indexer.VenueConnecting{
				Realm: indexer.Realm{Environment: chains.Live}, Venue: "desk", Credentials: key("k", test.region), Acknowledged: test.acknowledged,
			}
			if test.venue != "" {
				asked.Venue = test.venue
			}
			if test.environment != "" {
				asked.Realm.Environment = test.environment
			}
			account, err := d.connections().Connect(t.Context(), asked)
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
				require.Nil(t, d.kept, "it was kept")
				require.Zero(t, d.asked)
				return
			}
			require.NoError(t, err)
			require.Equal(t, account, *d.kept)
			require.Equal(t, 1, d.asked)
			require.Equal(t, key("k", "").Digest("desk"), account.Wallet)
			require.NotContains(t, fmt.Sprintf("%+v", account), `"k"`)
		})
	}
}

func TestConnectVenueWithoutItsFields(t *testing.T) {
	t.Parallel()
	d := &desk{}
	_, err := d.connections().Connect(t.Context(), indexer.VenueConnecting{Venue: "desk", Credentials: key("", "")})
	fields, ok := errors.AsType[*indexer.FieldsError](err)
	require.True(t, ok)
	require.Contains(t, fields.Error(), venue.FieldKey)
}

func TestReplaceCredentials(t *testing.T) {
	t.Parallel()
	d := &desk{access: venue.Access{
		Verdict: venue.ReadOnly, Login: "me", Lacks: []string{"ledger"}, Unbound: true, Expires: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC),
		State: venue.State{Status: venue.AccountClosing, Detail: "moved"}, Warnings: []string{"beware"},
	}}
	c, realm := d.connections(), indexer.Realm{Environment: chains.Live}
	account, err := c.Connect(t.Context(), indexer.VenueConnecting{Realm: realm, Venue: "desk", Credentials: key("old", "")})
	require.NoError(t, err)
	require.Len(t, account.State.Warnings, 5)
	require.Contains(t, account.State.Warnings[3], "2027-01-02")
	d.access = venue.Access{Verdict: venue.ReadOnly, Login: "somebody else"}
	_, err = c.Replace(t.Context(), realm, account.ID, key("theirs", ""), false)
	require.ErrorIs(t, err, indexer.ErrOtherLogin)
	require.Equal(t, "old", d.secrets.Get(venue.FieldKey))
	d.err = &venue.Error{Reason: venue.KeyRefused}
	_, err = c.Replace(t.Context(), realm, account.ID, key("wrong", ""), false)
	require.ErrorIs(t, err, d.err)
	require.Equal(t, "old", d.secrets.Get(venue.FieldKey))
	d.access, d.err = venue.Access{Verdict: venue.ReadOnly}, nil
	got, err := c.Replace(t.Context(), realm, account.ID, key("new", ""), false)
	require.NoError(t, err)
	require.Equal(t, "new", d.secrets.Get(venue.FieldKey))
	require.Equal(t, "me", got.Login, "a venue that does not say does not take it away")
	require.Empty(t, got.State.Warnings)
	require.Equal(t, 2, d.asked)
	_, err = c.Replace(t.Context(), realm, uuid.New(), key("new", ""), false)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	_, err = c.Resume(t.Context(), realm, account.ID)
	require.NoError(t, err)
	require.Equal(t, 3, d.asked)
	require.NoError(t, c.Disconnect(t.Context(), realm, account.ID))
	require.Empty(t, d.secrets.Names())
	require.ErrorIs(t, c.Disconnect(t.Context(), realm, account.ID), indexer.ErrNotFound)
}
