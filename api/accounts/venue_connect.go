package accounts

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/indexer"
)

// askTime is how long a venue may take to say what a login is: less than a request
// may take, so that the caller hears which of both was slow.
const askTime = 15 * time.Second

type (
	// Login is what a user enters. A venue takes some of these members: its hint
	// names them.
	Login struct {
		Key        string `json:"api_key,omitempty" maxLength:"8192" doc:"API key" example:"9b8f0a6c"`
		Secret     string `json:"api_secret,omitempty" maxLength:"8192" doc:"Secret of the key"`
		Passphrase string `json:"api_passphrase,omitempty" maxLength:"1000" doc:"Passphrase of the key"`
		Memo       string `json:"memo,omitempty" maxLength:"1000" doc:"Memo of the key: the user's own text"`
		OTP        string `json:"otp,omitempty" maxLength:"1000" doc:"Second password of the key"`
		Region     string `json:"region,omitempty" maxLength:"64" doc:"Where the account was opened"`
		Unverified string `json:"permissions_unverified,omitempty" enum:"acknowledged" doc:"For venues that do not say what a key may do: the user's word that it can neither trade nor withdraw"`
	}
	venueConnectInput struct {
		VenuePath
		Body struct {
			Login
			Description string `json:"description,omitempty" maxLength:"1000" example:"My exchange"`
			Name        string `json:"name,omitempty" maxLength:"200" doc:"The venue's name if left out" example:"trading"`

			MetaData access.MetaData `json:"meta_data,omitempty"`
		}
	}
	venueConnected struct {
		ID          uuid.UUID `json:"id" format:"uuid"`
		Name        string    `json:"name"`
		Description string    `json:"description"`
		Verified    bool      `json:"verified" doc:"Always false: connecting proves no ownership"`
		Venue       string    `json:"venue" example:"bitmart"`
		Region      string    `json:"region" example:"global"`
		Login       string    `json:"login" doc:"The venue's own name of the account; empty if it does not say"`
		Warnings    []string  `json:"warnings" nullable:"false" doc:"What the user should know of the key and the account: rights it lacks, when it expires, an account that is being closed"`
		State       state     `json:"state"`
		access.Created
	}
	venueConnectOutput struct{ Body venueConnected }

	venueCredentialsInput struct {
		VenueAccountPath
		Body Login
	}
)

func (s *surface) mountVenueConnect(api huma.API) {
	hint := s.atVenue("GetVenueHint", http.MethodGet, "/connect", "What connecting takes", false)
	hint.Description = `An unknown venue is answered with 404 and {"status":"not_found"}.`
	huma.Register(api, hint, s.venueConnectHint)
	connect := s.atVenue("ConnectVenue", http.MethodPost, "/connect", "Connect a login", true)
	connect.Description = "The venue is asked at once. A login that it refuses, or whose key can do more than read, is not kept."
	huma.Register(api, connect, s.venueConnect)
	replace := s.atVenue("ReplaceVenueCredentials", http.MethodPut, "/account/{account_id}/credentials", "Replace the credentials of an account", true)
	replace.Description = "For a key that was renewed or revoked. The venue is asked at once; the old credentials are erased only if the new ones hold and belong to the same login."
	huma.Register(api, replace, s.venueReplace)
	resume := s.atVenue("ResumeVenueAccount", http.MethodPost, "/account/{account_id}/resume", "Read a stopped account again", false)
	resume.Description = "For what was mended at the venue: an address that was added to the key's list, a right that was given back."
	huma.Register(api, resume, s.venueResume)
}

func (s *surface) venueConnect(ctx context.Context, in *venueConnectInput) (*venueConnectOutput, error) {
	v, known := s.venue(in.Venue)
	if !known {
		return nil, problem.Missing()
	}
	return access.InTwo(ctx, func(ctx context.Context) (indexer.TriedLogin, error) {
		caller := callerOf(ctx)
		login, err := in.Body.credentials(v, caller.Realm.Environment)
		if err != nil {
			return indexer.TriedLogin{}, err
		}
		meta, err := caller.Stamp(in.Body.MetaData)
		if err != nil {
			return indexer.TriedLogin{}, err //nolint:wrapcheck // a problem is the answer itself
		}
		name := in.Body.Name
		if name == "" {
			name = v.Name
		}
		asked := indexer.VenueConnecting{
			Realm: caller.Realm, User: caller.User, Venue: v.Name, Credentials: login, Acknowledged: in.Body.Unverified == acknowledged,
			Name: name, Description: in.Body.Description, CreatedBy: caller.Name(), MetaData: meta,
		}
		asking, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		tried, err := s.Logins.Try(asking, asked)
		return tried, s.venueEdge(ctx, v, "try a login", err)
	}, func(ctx context.Context, tried indexer.TriedLogin) (*venueConnectOutput, error) {
		account, err := s.Logins.Keep(ctx, tried)
		if errors.Is(err, indexer.ErrNotFound) {
			return nil, access.BadToken(http.StatusForbidden) // it has outlived its user
		}
		if err != nil {
			return nil, edge("connect login", err)
		}
		return venueConnectedOf(account), nil
	})
}

func (s *surface) venueReplace(ctx context.Context, in *venueCredentialsInput) (*venueConnectOutput, error) {
	return access.InTwo(ctx, func(ctx context.Context) (indexer.TriedLogin, error) {
		account, err := s.venueAccount(ctx, &in.VenueAccountPath)
		if err != nil {
			return indexer.TriedLogin{}, err
		}
		v, known := s.venue(account.Venue)
		if !known {
			return indexer.TriedLogin{}, problem.New(http.StatusServiceUnavailable, problem.Unavailable, "the operator has turned the venue off")
		}
		if in.Body.Region == "" && len(v.Regions) > 1 {
			in.Body.Region = account.Region
		}
		login, err := in.Body.credentials(v, account.Realm.Environment)
		if err != nil {
			return indexer.TriedLogin{}, err
		}
		asking, cancel := context.WithTimeout(ctx, askTime)
		defer cancel()
		tried, err := s.Logins.TryOther(asking, account.Realm, account.ID, login, in.Body.Unverified == acknowledged)
		return tried, s.venueEdge(ctx, v, "try other credentials", err)
	}, func(ctx context.Context, tried indexer.TriedLogin) (*venueConnectOutput, error) {
		account, err := s.Logins.KeepOther(ctx, tried)
		if errors.Is(err, indexer.ErrOtherLogin) {
			return nil, otherLogin()
		}
		if err != nil {
			return nil, edge("replace credentials", err)
		}
		return venueConnectedOf(account), nil
	})
}

func (s *surface) venueResume(ctx context.Context, in *VenueAccountPath) (*venueConnectOutput, error) {
	account, err := s.venueAccount(ctx, in)
	if err != nil {
		return nil, err
	}
	if account, err = s.Logins.Resume(ctx, account.Realm, account.ID); err != nil {
		return nil, edge("resume account", err)
	}
	return venueConnectedOf(account), nil
}

func venueConnectedOf(a indexer.VenueAccount) *venueConnectOutput {
	return &venueConnectOutput{Body: venueConnected{
		ID: a.ID, Name: a.Name, Description: a.Description, Venue: a.Venue, Region: a.Region, Login: a.Login,
		Warnings: append([]string{}, a.State.Warnings...), State: stateOfVenue(a.State), Created: access.CreatedBy(a.CreatedBy, a.MetaData),
	}}
}

// members returns what was entered, by the names of the fields.
func (l Login) members() map[string]string {
	return map[string]string{
		venue.FieldKey: l.Key, venue.FieldSecret: l.Secret, venue.FieldPassphrase: l.Passphrase, venue.FieldMemo: l.Memo, "otp": l.OTP,
		venue.FieldRegion: l.Region,
	}
}

// credentials returns the login that was entered, or a problem that names what is
// missing or too much, and no value.
func (l Login) credentials(v venue.Venue, environment chains.Environment) (venue.Credentials, error) {
	entered := venue.NewCredentials(l.members())
	p := problem.New(http.StatusBadRequest, problem.InvalidInput, "")
	for _, f := range form(v, environment) {
		value := entered.Get(f.Name)
		switch {
		case f.Name == fieldDescription, f.Name == fieldName, f.Name == fieldUnverified:
		case value == "" && f.Required:
			p = p.Field(f.Name, strings.TrimSuffix("is required: "+f.Title+", "+f.Hint, ", "))
		case value != "" && f.Choices != nil && !slices.Contains(f.Choices, value):
			p = p.Field(f.Name, "expected one of "+strings.Join(f.Choices, ", "))
		}
	}
	known := v.Hint()
	for _, name := range entered.Names() {
		if !slices.ContainsFunc(known, func(f venue.Field) bool { return f.Name == name }) {
			p = p.Field(name, v.Title+" takes no such field")
		}
	}
	if len(p.Errors) == 0 {
		return entered, nil
	}
	names := slices.Sorted(maps.Keys(p.Errors))
	if len(names) == 1 {
		return venue.Credentials{}, p.Say(names[0] + ": " + p.Errors[names[0]][0])
	}
	return venue.Credentials{}, p.Say(strings.Join(names, ", ") + ": see errors for what each of these fields takes")
}

// venueDelete ends an account.
func (s *surface) venueDelete(ctx context.Context, in *VenueAccountPath) (*done, error) {
	account, err := s.venueAccount(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := s.Logins.Disconnect(ctx, account.Realm, account.ID); err != nil {
		return nil, edge("disconnect account", err)
	}
	return ok(), nil
}
