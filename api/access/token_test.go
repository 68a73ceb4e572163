package access

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// A token that was read once still ends with its time, and another one is still
// checked.
func TestTokenEnds(t *testing.T) {
	t.Parallel()
	at := now
	tokens, err := NewTokens(make([]byte, 32), func() time.Time { return at })
	require.NoError(t, err)
	user := uuid.New()
	text, err := tokens.Issue(live, user)
	require.NoError(t, err)
	for range 2 {
		p, err := tokens.Read(text)
		require.NoError(t, err)
		require.Equal(t, Principal{Realm: live, User: user}, p)
	}
	// The last byte of a signature is at most 0x10, and often zero.
	_, err = tokens.Read(text[:len(text)-2] + "_w")
	require.ErrorIs(t, err, errToken)

	at = now.Add(TokenLife + clockSkew - time.Second)
	_, err = tokens.Read(text)
	require.NoError(t, err)
	at = now.Add(TokenLife + clockSkew)
	_, err = tokens.Read(text)
	require.ErrorIs(t, err, errToken)
	at = now.Add(-clockSkew - time.Second)
	fresh, err := NewTokens(make([]byte, 32), func() time.Time { return at })
	require.NoError(t, err)
	_, err = fresh.Read(text)
	require.ErrorIs(t, err, errToken, "not yet")
}

// A token signed before the seed was changed is good while its seed is accepted,
// and no longer.
func TestSeedsRotate(t *testing.T) {
	t.Parallel()
	seeds := [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}
	clock := func() time.Time { return now }
	tokens := func(seed []byte, accepted ...[]byte) *Tokens {
		t.Helper()
		tokens, err := NewTokens(seed, clock, accepted...)
		require.NoError(t, err)
		return tokens
	}
	first := tokens(seeds[0])
	old, err := first.Issue(live, uuid.New())
	require.NoError(t, err)
	_, err = tokens(seeds[1]).Read(old)
	require.ErrorIs(t, err, errToken)
	both := tokens(seeds[1], seeds[0], seeds[1])
	_, err = both.Read(old)
	require.NoError(t, err)
	fresh, err := both.Issue(live, uuid.New())
	require.NoError(t, err)
	_, err = first.Read(fresh)
	require.ErrorIs(t, err, errToken, "signed with the new one")
	_, err = tokens(seeds[0], seeds[1]).Read(fresh)
	require.NoError(t, err, "accepted before it signs")

	// The id of another good key does not open a token.
	parts := strings.Split(fresh, ".")
	parts[0] = strings.Split(old, ".")[0]
	_, err = both.Read(strings.Join(parts, "."))
	require.ErrorIs(t, err, errToken)

	require.Len(t, both.Public().Keys, 2)
	require.Equal(t, tokens(seeds[1]).Public().Keys[0], both.Public().Keys[0], "what signs stands first")
	_, err = NewTokens(seeds[0], nil, []byte("short"))
	require.ErrorContains(t, err, "5 bytes")
}

// RFC 8037, appendix A.1 to A.3.
func TestJWK(t *testing.T) {
	t.Parallel()
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	require.NoError(t, err)
	tokens, err := NewTokens(seed, nil)
	require.NoError(t, err)
	text, err := json.Marshal(tokens.Public())
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
		"kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","alg":"EdDSA","use":"sig"}]}`, string(text))
}

// Every way a token can be wrong is refused, and alike.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	seed := make([]byte, 32)
	tokens, err := NewTokens(seed, func() time.Time { return now })
	require.NoError(t, err)
	key := ed25519.NewKeyFromSeed(seed)
	good := func() jwt.MapClaims {
		return jwt.MapClaims{
			"iss": tokenIssuer, "aud": tokenAudience, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(TokenLife).Unix(),
			"type": tokenType, "user_uuid": uuid.NewString(), "tenant": "mine", "environment": "live",
		}
	}
	sign := func(method jwt.SigningMethod, kid, key any, c jwt.MapClaims) string {
		token := jwt.NewWithClaims(method, c)
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		require.NoError(t, err)
		return text
	}
	_, err = tokens.Read(sign(jwt.SigningMethodEdDSA, tokens.keyID, key, good()))
	require.NoError(t, err)
	forged := map[string]string{
		"none":        sign(jwt.SigningMethodNone, tokens.keyID, jwt.UnsafeAllowNoneSignatureType, good()),
		"HMAC":        sign(jwt.SigningMethodHS256, tokens.keyID, []byte(publicOf(key)), good()),
		"kid":         sign(jwt.SigningMethodEdDSA, "other", key, good()),
		"no kid":      sign(jwt.SigningMethodEdDSA, nil, key, good()),
		"number kid":  sign(jwt.SigningMethodEdDSA, 1, key, good()),
		"another key": sign(jwt.SigningMethodEdDSA, tokens.keyID, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32)), good()),
	}
	for claim, values := range map[string][]any{
		"iss": {nil, "other"}, "aud": {nil, "other", []string{}}, "exp": {nil, now.Add(-time.Minute).Unix(), "soon"},
		"nbf": {nil, now.Add(time.Minute).Unix()}, "iat": {now.Add(time.Minute).Unix()}, "type": {nil, "project"},
		"user_uuid": {nil, uuid.Nil.String(), "x"}, "tenant": {nil, "", 1}, "environment": {nil, "prod"},
	} {
		for i, value := range values {
			c := good()
			c[claim] = value
			forged[claim+strconv.Itoa(i)] = sign(jwt.SigningMethodEdDSA, tokens.keyID, key, c)
		}
	}
	for name, text := range forged {
		_, err := tokens.Read(text)
		require.Equal(t, errToken, err, name)
	}
}

// No input makes the reader fail otherwise than by saying no, and what it takes was
// signed here.
func FuzzToken(f *testing.F) {
	tokens, err := NewTokens(make([]byte, 32), func() time.Time { return now })
	require.NoError(f, err)
	user := uuid.MustParse("4301140e-d639-41ec-9120-00155d03ab64")
	text, err := tokens.Issue(live, user)
	require.NoError(f, err)
	f.Add(text)
	f.Add(text[:len(text)-1])
	f.Add(strings.Repeat(".", 100))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("")
	f.Fuzz(func(t *testing.T, input string) {
		p, err := tokens.Read(input)
		if input == text {
			require.NoError(t, err)
			require.Equal(t, user, p.User)
			return
		}
		require.Equal(t, errToken, err)
		require.Zero(t, p)
	})
}

func TestVerifiedIsBounded(t *testing.T) {
	t.Parallel()
	var v verified
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range maxVerified {
				text := uuid.NewString()
				v.put(text, expiring{until: now.Add(time.Second)})
				v.get(text, now)
			}
		})
	}
	wait.Wait()
	require.LessOrEqual(t, len(v.tokens), maxVerified)
	v.put("a", expiring{principal: Principal{KeyID: "k"}, until: now})
	_, ok := v.get("a", now)
	require.False(t, ok)
}

func BenchmarkRead(b *testing.B) {
	tokens, err := NewTokens(make([]byte, 32), nil)
	require.NoError(b, err)
	text, err := tokens.Issue(live, uuid.New())
	require.NoError(b, err)
	for b.Loop() {
		if _, err := tokens.Read(text); err != nil {
			b.Fatal(err)
		}
	}
}
