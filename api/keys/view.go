package keys

import (
	"time"

	"tallyd/api/access"
)

// KeyView is a key as its owner sees it. It is exported for the document, which
// leaves other embedded parts out.
type KeyView struct {
	ID            string     `json:"api_key_id" example:"AbCdEf123456"`
	Name          string     `json:"name" example:"Mobile App Production"`
	Owner         string     `json:"owner" example:"mobile-team"`
	Scopes        []string   `json:"scopes" nullable:"false"`
	Tenant        string     `json:"tenant" example:"default"`
	Environment   string     `json:"environment" enum:"live,test"`
	Kind          string     `json:"kind" enum:"bearer,signed"`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     *time.Time `json:"expires_at" nullable:"true" doc:"null for never"`
	LastUsedAt    *time.Time `json:"last_used_at" nullable:"true" doc:"null until it is used; some seconds behind"`
	IsRevoked     bool       `json:"is_revoked"`
	RevokedAt     *time.Time `json:"revoked_at" nullable:"true"`
	Addresses     []string   `json:"addresses" nullable:"false" doc:"Networks it may be used from; empty for everywhere"`
	PerMinute     int        `json:"per_minute" doc:"Its budget of requests; 0 for the default"`
	UnsignedQuery bool       `json:"unsigned_query" doc:"Its signatures leave out the query"`
	OldUntil      *time.Time `json:"previous_valid_until" nullable:"true" doc:"Until when the secret before the last rotation is good; null if there is none"`
	access.Created
}

// NewKeyView is a key with what is shown once.
type NewKeyView struct {
	KeyView
	Key    string `json:"key" doc:"What is sent as X-API-Key. That of a bearer key is shown this once" example:"tly_live_AbCdEf123456_…"`
	Secret string `json:"secret,omitempty" doc:"What the requests of a signed key are signed with, shown this once"`
}

func view(k access.Key) KeyView {
	v := KeyView{
		ID: k.ID, Name: k.Name, Owner: k.Owner, Scopes: append([]string{}, k.Scopes...), Tenant: k.Realm.Tenant,
		Environment: string(k.Realm.Environment), Kind: string(k.Kind), CreatedAt: k.CreatedAt.UTC(), ExpiresAt: utc(k.ExpiresAt),
		LastUsedAt: utc(k.LastUsedAt), IsRevoked: k.RevokedAt != nil, RevokedAt: utc(k.RevokedAt), Addresses: make([]string, 0, len(k.Addresses)),
		PerMinute: k.PerMinute, UnsignedQuery: k.UnsignedQuery, Created: access.CreatedBy(k.CreatedBy, k.MetaData),
	}
	for _, network := range k.Addresses {
		v.Addresses = append(v.Addresses, network.String())
	}
	if k.OldHash != nil || k.OldSecret != nil {
		v.OldUntil = utc(k.OldUntil)
	}
	return v
}

// shown returns a key with the text that NewKey or Rotate made for it.
func shown(k access.Key, text string) NewKeyView {
	if k.Kind == access.Signed {
		return NewKeyView{KeyView: view(k), Key: k.Public(), Secret: text}
	}
	return NewKeyView{KeyView: view(k), Key: text}
}

func utc(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	t := at.UTC()
	return &t
}
