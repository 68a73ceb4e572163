package access

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

const (
	// TokenLife is how long a user token is good.
	TokenLife = 15 * time.Minute

	// clockSkew is how far the clocks of two instances may differ.
	clockSkew = 5 * time.Second

	tokenIssuer   = "tallyd"
	tokenAudience = "tallyd:user"
	tokenType     = "user"
)

// errToken is all that is ever said about a bad token.
var errToken = errors.New("invalid or expired token")

// Tokens issues and reads the tokens of end customers: JWT (RFC 7519) signed
// with Ed25519 (RFC 8037). Algorithm, issuer, audience and key ids are pinned.
// It is safe for concurrent use.
type Tokens struct {
	key    ed25519.PrivateKey
	keyID  string
	good   map[string]ed25519.PublicKey // by key id, that of key included
	order  []string                     // key ids, as the seeds came
	parser *jwt.Parser
	now    func() time.Time
	seen   verified
}

// claims are those of a user token. The first five keep Blockmate's names.
type claims struct {
	jwt.RegisteredClaims
	Type        string             `json:"type"`
	UserID      uuid.UUID          `json:"user_uuid"`
	Tenant      string             `json:"tenant"`
	Environment chains.Environment `json:"environment"`
}

// NewTokens returns Tokens that sign with the key of a 32-byte seed, and take
// tokens signed with the keys of the accepted seeds too. All instances that serve
// the same users need the same seeds. now is the clock, time.Now if nil.
//
// To change the seed without ending any token: accept the new one everywhere, then
// sign with it and accept the old one, then after TokenLife drop the old one.
func NewTokens(seed []byte, now func() time.Time, accepted ...[]byte) (*Tokens, error) {
	if now == nil {
		now = time.Now
	}
	t := &Tokens{
		good: map[string]ed25519.PublicKey{},
		now:  now,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
			jwt.WithIssuer(tokenIssuer),
			jwt.WithAudience(tokenAudience),
			jwt.WithExpirationRequired(),
			jwt.WithNotBeforeRequired(),
			jwt.WithIssuedAt(),
			jwt.WithLeeway(clockSkew),
			jwt.WithStrictDecoding(),
			jwt.WithTimeFunc(now),
		),
	}
	for i, seed := range append([][]byte{seed}, accepted...) {
		if len(seed) != ed25519.SeedSize {
			return nil, fmt.Errorf("signing seed of %d bytes, want %d", len(seed), ed25519.SeedSize)
		}
		key := ed25519.NewKeyFromSeed(seed)
		public := publicOf(key)
		id := thumbprint(public)
		if i == 0 {
			t.key, t.keyID = key, id
		}
		if t.good[id] == nil {
			t.good[id] = public
			t.order = append(t.order, id)
		}
	}
	return t, nil
}

// Issue returns a token for a user that is good for TokenLife.
func (t *Tokens) Issue(realm indexer.Realm, user uuid.UUID) (string, error) {
	now := t.now().UTC()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    tokenIssuer,
			Audience:  jwt.ClaimStrings{tokenAudience},
			IssuedAt:  jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(TokenLife)),
		},
		Type:        tokenType,
		UserID:      user,
		Tenant:      realm.Tenant,
		Environment: realm.Environment,
	})
	token.Header["kid"] = t.keyID
	text, err := token.SignedString(t.key)
	if err != nil {
		return "", fmt.Errorf("sign user token: %w", err)
	}
	return text, nil
}

// Read returns the user a token speaks for. The error never says why a token is
// bad: who forges one learns nothing.
func (t *Tokens) Read(text string) (Principal, error) {
	const longest = 4096
	if len(text) > longest {
		return Principal{}, errToken
	}
	if p, ok := t.seen.get(text, t.now()); ok {
		return p, nil
	}
	var c claims
	_, err := t.parser.ParseWithClaims(text, &c, func(token *jwt.Token) (any, error) {
		id, _ := token.Header["kid"].(string)
		key, known := t.good[id]
		if !known {
			return nil, errToken
		}
		return key, nil
	})
	if err != nil || c.Type != tokenType || c.UserID == uuid.Nil || c.Tenant == "" {
		return Principal{}, errToken
	}
	if c.Environment != chains.Live && c.Environment != chains.Test {
		return Principal{}, errToken
	}
	p := Principal{
		Realm: indexer.Realm{Tenant: c.Tenant, Environment: c.Environment},
		User:  c.UserID,
	}
	t.seen.put(text, expiring{principal: p, until: c.ExpiresAt.Add(clockSkew)})
	return p, nil
}
