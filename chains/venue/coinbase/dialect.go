package coinbase

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// lifetime is how long a token is good for. Each is for one request.
const lifetime = 120 * time.Second

// dialect sends a signed token that names the request.
type dialect struct {
	key  string
	alg  string
	sign func(text []byte) ([]byte, error) // with a private key that stands nowhere else
}

// newDialect reads the private key: ECDSA as PEM, or Ed25519 as base64.
func newDialect(c venue.Credentials) (venue.Dialect, error) {
	d := dialect{key: c.Get(venue.FieldKey)}
	// Whoever copies the key out of a JSON file copies its line ends as \n.
	text := strings.ReplaceAll(c.Get(venue.FieldSecret), `\n`, "\n")
	if block, _ := pem.Decode([]byte(text)); block != nil {
		key, err := parseEC(block.Bytes)
		if err != nil {
			return nil, err
		}
		d.alg, d.sign = "ES256", func(text []byte) ([]byte, error) { return signES256(key, text) }
		return d, nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != ed25519.PrivateKeySize {
		return nil, errors.New("the private key is neither PEM nor 64 bytes in base64")
	}
	d.alg, d.sign = "EdDSA", func(text []byte) ([]byte, error) { return ed25519.Sign(ed25519.PrivateKey(raw), text), nil }
	return d, nil
}

func parseEC(der []byte) (*ecdsa.PrivateKey, error) {
	if key, err := x509.ParseECPrivateKey(der); err == nil && key.Curve == elliptic.P256() {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err == nil {
		if key, ok := parsed.(*ecdsa.PrivateKey); ok && key.Curve == elliptic.P256() {
			return key, nil
		}
	}
	return nil, errors.New("the private key is not one of the curve P-256")
}

func signES256(key *ecdsa.PrivateKey, text []byte) ([]byte, error) {
	hash := sha256.Sum256(text)
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		return nil, fmt.Errorf("sign a token: %w", err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
}

type tokenHead struct {
	Alg   string `json:"alg"`
	Typ   string `json:"typ"`
	Kid   string `json:"kid"`
	Nonce string `json:"nonce"`
}

type tokenClaims struct {
	Aud  []string `json:"aud"`
	Iss  string   `json:"iss"`
	Nbf  int64    `json:"nbf"`
	Exp  int64    `json:"exp"`
	Sub  string   `json:"sub"`
	Iat  int64    `json:"iat"`
	URI  string   `json:"uri,omitempty"`
	URIs []string `json:"uris,omitempty"`
}

// Sign implements venue.Dialect. The parameters of a request are not signed.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	now := s.Time.Unix()
	claims := tokenClaims{
		Aud: []string{"retail_rest_api_proxy"}, Iss: "coinbase-cloud", Nbf: now, Exp: now + int64(lifetime/time.Second), Sub: d.key, Iat: now,
	}
	target := r.Method + " " + r.Authority + r.Path
	if d.alg == "EdDSA" {
		claims.Iss, claims.URIs = "cdp", []string{target}
	} else {
		claims.URI = target
	}
	head, err := part(tokenHead{Alg: d.alg, Typ: "JWT", Kid: d.key, Nonce: hex.EncodeToString(s.Random[:])})
	if err != nil {
		return err
	}
	body, err := part(claims)
	if err != nil {
		return err
	}
	signature, err := d.sign([]byte(head + "." + body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+head+"."+body+"."+base64.RawURLEncoding.EncodeToString(signature))
	r.Header.Set("Content-Type", "application/json")
	return nil
}

func part(of any) (string, error) {
	text, err := json.Marshal(of)
	if err != nil {
		return "", fmt.Errorf("write a token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(text), nil
}

// Fault implements venue.Dialect. The app and Advanced say no in two ways.
func (d dialect) Fault(a venue.Answer) error {
	if a.Status < http.StatusBadRequest {
		return nil
	}
	answer, said := venue.Said[struct {
		Errors []struct {
			ID      string `json:"id"`
			Message string `json:"message"`
		} `json:"errors"`
		Error   venue.Text `json:"error"`
		Message string     `json:"message"`
	}](a)
	if !said {
		return nil // judged by its status
	}
	e := venue.Say(venue.Refused, string(answer.Error), answer.Message)
	if len(answer.Errors) > 0 {
		e.Code, e.Detail = answer.Errors[0].ID, answer.Errors[0].Message
	}
	switch {
	case a.Status == http.StatusTooManyRequests, e.Code == "rate_limit_exceeded":
		e.Reason = venue.RateLimited
	case a.Status == http.StatusTeapot:
		e.Reason = venue.Banned
	case a.Status == http.StatusUnauthorized:
		e.Reason, e.Hint = venue.KeyRefused, "the key does not exist, was revoked, may be used from other addresses only, or the private key is another's"
	case a.Status == http.StatusForbidden, e.Code == "invalid_scope":
		e.Reason = venue.PermissionMissing
	case a.Status >= http.StatusInternalServerError:
		e.Reason = venue.Maintenance
	}
	return e
}
