package keys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/api/problem"
)

// defaultOverlap is how long the secret before a rotation stays good.
const defaultOverlap = 24 * time.Hour

type (
	// KeyPath names a key. It is exported for the router, which fills in exported
	// parts of an input only.
	KeyPath struct {
		ID    string `path:"id" maxLength:"64" doc:"api_key_id"`
		Owner string `query:"owner" maxLength:"200" doc:"Must match the key's owner"`
	}
	listKeysInput struct {
		Owner string `query:"owner" maxLength:"200" doc:"Whose keys. Required"`
	}
	changeKeyInput struct {
		KeyPath
		Body struct {
			Name          *string   `json:"name,omitempty" minLength:"1" maxLength:"200"`
			Scopes        *[]string `json:"scopes,omitempty" minItems:"1" maxItems:"100" doc:"None that the caller lacks"`
			ExpiresAt     expiry    `json:"expires_at" required:"false" doc:"null for never"`
			Addresses     *[]string `json:"addresses,omitempty" maxItems:"100" doc:"Empty for everywhere"`
			PerMinute     *int      `json:"per_minute,omitempty" minimum:"0" maximum:"10000000" doc:"The master key sets it; 0 for the default"`
			UnsignedQuery *bool     `json:"unsigned_query,omitempty" doc:"For signed keys"`
		}
	}
	rotateKeyInput struct {
		KeyPath
		Body *struct {
			Overlap *int64 `json:"overlap_seconds,omitempty" minimum:"0" maximum:"2592000" doc:"How long the one before stays good; 86400 unless given"`
		}
	}
	keyOutput  struct{ Body KeyView }
	keysOutput struct {
		Body []KeyView `nullable:"false"`
	}
	noContent struct{}
)

// expiry is a time that may be left out, or null for never.
type expiry struct {
	sent bool
	at   *time.Time
}

// UnmarshalJSON takes a time, or null.
func (e *expiry) UnmarshalJSON(text []byte) error {
	e.sent = true
	return json.Unmarshal(text, &e.at) //nolint:wrapcheck // the router says what it read
}

// Schema describes it as what it holds.
func (expiry) Schema(r huma.Registry) *huma.Schema {
	schema := r.Schema(reflect.TypeFor[time.Time](), false, "")
	schema.Nullable = true
	return schema
}

func (s *surface) listKeys(ctx context.Context, in *listKeysInput) (*keysOutput, error) {
	c, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case in.Owner == "":
		return nil, ownerRequired()
	case c.own != nil && in.Owner != c.own.Owner:
		return nil, anotherOwner()
	}
	all, err := s.Keys.Keys(ctx, c.Realm, in.Owner)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	out := &keysOutput{Body: make([]KeyView, 0, len(all))}
	for _, key := range all {
		out.Body = append(out.Body, view(key))
	}
	return out, nil
}

func (s *surface) revokeKey(ctx context.Context, in *KeyPath) (*noContent, error) {
	if in.Owner == "" {
		return nil, ownerRequired()
	}
	_, err := s.change(ctx, in, func(_ caller, key *access.Key) error {
		if key.RevokedAt == nil {
			now := time.Now().UTC()
			key.RevokedAt = &now
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &noContent{}, nil
}

func (s *surface) changeKey(ctx context.Context, in *changeKeyInput) (*keyOutput, error) {
	key, err := s.change(ctx, &in.KeyPath, func(c caller, key *access.Key) error {
		// What the key could do before counts too: who may change it may open it
		// to themselves.
		if err := c.covers(*key); err != nil {
			return err
		}
		if err := in.apply(c, key); err != nil {
			return err
		}
		return c.covers(*key)
	})
	if err != nil {
		return nil, err
	}
	return &keyOutput{Body: view(key)}, nil
}

// apply writes what was sent into a key.
func (in *changeKeyInput) apply(c caller, key *access.Key) error {
	b := &in.Body
	if key.RevokedAt != nil {
		return ended()
	}
	if b.Name != nil {
		if err := checkText("name", *b.Name); err != nil {
			return err
		}
		key.Name = *b.Name
	}
	if b.Scopes != nil {
		if err := checkScopes(*b.Scopes); err != nil {
			return err
		}
		key.Scopes = *b.Scopes
	}
	if b.ExpiresAt.sent {
		if err := checkExpiry(b.ExpiresAt.at); err != nil {
			return err
		}
		key.ExpiresAt = utc(b.ExpiresAt.at)
	}
	if b.Addresses != nil {
		networks, err := addresses(*b.Addresses)
		if err != nil {
			return err
		}
		key.Addresses = networks
	}
	if b.PerMinute != nil && *b.PerMinute != key.PerMinute {
		if err := c.mayBudget(*b.PerMinute); err != nil {
			return err
		}
		key.PerMinute = *b.PerMinute
	}
	if b.UnsignedQuery != nil {
		if *b.UnsignedQuery && key.Kind != access.Signed {
			return problem.Invalid("unsigned_query", "is for signed keys")
		}
		key.UnsignedQuery = *b.UnsignedQuery
	}
	return nil
}

func (s *surface) rotateKey(ctx context.Context, in *rotateKeyInput) (*newKeyOutput, error) {
	overlap := defaultOverlap
	if in.Body != nil && in.Body.Overlap != nil {
		overlap = time.Duration(*in.Body.Overlap) * time.Second
	}
	var text string
	key, err := s.change(ctx, &in.KeyPath, func(c caller, key *access.Key) error {
		if err := c.covers(*key); err != nil {
			return err
		}
		now := time.Now()
		if !key.Good(now) {
			return ended()
		}
		var err error
		text, err = key.Rotate(s.Pepper, overlap, now)
		if errors.Is(err, access.ErrOverlap) {
			return problem.New(http.StatusConflict, problem.KeyRotating,
				"an earlier secret is still good until previous_valid_until: wait, or end it with overlap_seconds 0")
		}
		return err //nolint:wrapcheck // said below
	})
	if err != nil {
		return nil, err
	}
	return &newKeyOutput{Body: shown(key, text)}, nil
}

// change lets an edit change a key that the caller may touch.
func (s *surface) change(ctx context.Context, in *KeyPath, edit func(caller, *access.Key) error) (access.Key, error) {
	c, err := s.caller(ctx)
	if err != nil {
		return access.Key{}, err
	}
	key, err := s.Keys.ChangeKey(ctx, c.Realm, in.ID, func(key *access.Key) error {
		if err := c.mayTouch(*key, in.Owner); err != nil {
			return err
		}
		return edit(c, key)
	})
	if err != nil {
		return access.Key{}, edge("change key", err)
	}
	return key, nil
}

func addresses(texts []string) ([]netip.Prefix, error) {
	networks, err := access.ParseAddresses(texts)
	if err != nil {
		return nil, problem.Invalid("addresses", "expected networks such as 10.0.0.0/8 without bits beyond the mask, or single addresses")
	}
	return networks, nil
}

func ended() *problem.Problem {
	return problem.New(http.StatusConflict, problem.KeyEnded, "API key is expired or revoked")
}
