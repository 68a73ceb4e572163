package access

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"

	"github.com/golang-jwt/jwt/v5"
)

// JWK is a public key of RFC 7517, an Ed25519 one of RFC 8037.
type JWK struct {
	Type      string `json:"kty" enum:"OKP"`
	Curve     string `json:"crv" enum:"Ed25519"`
	X         string `json:"x" doc:"The public key, base64url"`
	ID        string `json:"kid" doc:"Its thumbprint (RFC 7638), as in the header of a token"`
	Algorithm string `json:"alg" enum:"EdDSA"`
	Use       string `json:"use" enum:"sig"`
}

// JWKS is the document of all keys that user tokens may be signed with.
type JWKS struct {
	Keys []JWK `json:"keys" nullable:"false"`
}

// Public returns the public keys, the one that signs first.
func (t *Tokens) Public() JWKS {
	set := JWKS{Keys: make([]JWK, 0, len(t.order))}
	for _, id := range t.order {
		set.Keys = append(set.Keys, JWK{
			Type: "OKP", Curve: "Ed25519", X: base64.RawURLEncoding.EncodeToString(t.good[id]), ID: id,
			Algorithm: jwt.SigningMethodEdDSA.Alg(), Use: "sig",
		})
	}
	return set
}

// thumbprint returns the id of a key by RFC 7638 with RFC 8037, appendix A.3.
func thumbprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(key) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey {
	public, _ := key.Public().(ed25519.PublicKey) // it always is one
	return public
}
