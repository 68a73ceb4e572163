package venue_test

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains/venue"
	"tallyd/chains/venue/venuetest"
)

func TestParams(t *testing.T) {
	t.Parallel()
	p := venue.P("b", "2", "empty", "", "a", "1 +&=/é")
	require.Equal(t, "b=2&a=1+%2B%26%3D%2F%C3%A9", p.Encode())
	require.Equal(t, "a=1+%2B%26%3D%2F%C3%A9&b=2", p.Sorted().Encode())
	more := p.With("c", "3")
	require.Equal(t, "b=2&a=1+%2B%26%3D%2F%C3%A9&c=3", more.Encode())
	require.Len(t, p, 4, "With changed what it was called on")
	require.Empty(t, venue.P().Encode())
	require.Empty(t, venue.ParseParams(""))
	rapid.Check(t, func(t *rapid.T) {
		pairs := rapid.SliceOfN(rapid.StringMatching(`[^\x00]{1,8}`), 0, 8).Draw(t, "pairs")
		pairs = pairs[:len(pairs)/2*2]
		p := venue.P(pairs...)
		require.Equal(t, p, venue.ParseParams(p.Encode()))
		values, err := url.ParseQuery(p.Encode())
		require.NoError(t, err)
		require.Equal(t, values.Encode(), p.Sorted().Encode())
	})
}

// The examples of RFC 4231, test case 2.
func TestMACs(t *testing.T) {
	t.Parallel()
	const key, text = "Jefe", "what do ya want for nothing?"
	require.Equal(t, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", venue.HexSHA256(key, text))
	require.Equal(t, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649", venue.HexSHA384(key, text))
	require.Equal(t, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737", venue.HexSHA512(key, text))
	for hexed, based := range map[string]string{
		venue.HexSHA256(key, text): venue.Base64SHA256(key, text), venue.HexSHA512(key, text): venue.Base64SHA512(key, text),
	} {
		raw, err := base64.StdEncoding.DecodeString(based)
		require.NoError(t, err)
		require.Equal(t, hexed, hex.EncodeToString(raw))
	}
}

// tongues are how two venues sign that have no connector yet: what this package
// gives to connectors is enough for them.
type tongue func(r *venue.Request, s venue.Stamp)

func (f tongue) Sign(r *venue.Request, s venue.Stamp) error { f(r, s); return nil }
func (tongue) Fault(venue.Answer) error                     { return nil }

func TestVectorsWithoutConnector(t *testing.T) {
	t.Parallel()
	const key, secret = "test-api-key", "test-api-secret"
	for _, test := range []struct {
		venue    string
		sign     tongue
		unsigned func(r *venue.Request)
		foreign  []string
	}{
		{
			venue: "mexc", foreign: []string{"source"},
			sign: func(r *venue.Request, s venue.Stamp) {
				r.Query = venue.ParseParams(r.Query).With("timestamp", venue.Millis(s.Time), "recvWindow", "5000").Encode()
				r.Query += "&signature=" + venue.HexSHA256(secret, r.Query)
				r.Header.Set("X-Mexc-Apikey", key)
			},
			unsigned: func(r *venue.Request) {
				r.Query, _, _ = strings.Cut("&"+r.Query, "&timestamp=")
				r.Query = strings.TrimPrefix(r.Query, "&")
			},
		},
		{
			venue: "bitvavo",
			sign: func(r *venue.Request, s venue.Stamp) {
				at := venue.Millis(s.Time)
				for name, value := range map[string]string{
					"Key": key, "Timestamp": at, "Window": "10000", "Signature": venue.HexSHA256(secret, at+r.Method+r.Target()+r.Body),
				} {
					r.Header.Set("Bitvavo-Access-"+name, value)
				}
			},
		},
	} {
		t.Run(test.venue, func(t *testing.T) {
			t.Parallel()
			shared := venuetest.SharedVectors(t, test.venue)
			require.NotEmpty(t, shared)
			signer := venuetest.Signer{
				Venue: venue.Venue{Name: test.venue, Dialect: func(venue.Credentials) (venue.Dialect, error) { return test.sign, nil }},
				Unsigned: func(_ venuetest.Vector, r *venue.Request) {
					if test.unsigned != nil {
						test.unsigned(r)
					}
				},
				Foreign: test.foreign,
			}
			for _, v := range shared {
				signer.Reproduce(t, v)
			}
		})
	}
	// The same facts without the folder: one request of each, recorded with ccxt
	// 4.5.83 at 1700000000123.
	require.Equal(t, "5ecd287973547733b45fdf492f1193d2944b16d5debcd6edbf8ca4831b9e39ee",
		venue.HexSHA256(secret, "timestamp=1700000000123&recvWindow=5000"))
	require.Equal(t, "43fa579f9317e55c82f7fc0df13ff417e59e7cf2dee072ed36af1bedf096f38a",
		venue.HexSHA256(secret, "1700000000123"+http.MethodGet+"/v2/balance"))
}
