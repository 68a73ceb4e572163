package access_test

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/api/access"
	"tallyd/api/problem"
)

// The vectors of the custody platform's documents: its canonical string, its
// encoding.
func TestSignVectors(t *testing.T) {
	t.Parallel()
	at := time.Unix(1708600000, 0)
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/vaults", "", "a5570f9d42c6251451cbd587b76d6b838db83288d3091e5b1c82b4c5f1ce30ae"},
		{"POST", "/vaults", `{"externalId":"cust_12345","name":"Alice Johnson"}`, "cedc89c677f94d8e43537010ebfa6c1101671cbf77eb83aaed6db9f7f997cba6"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "https://custody.example"+c.path, nil)
		require.NoError(t, err)
		access.Sign(r, "tly_live_x", "test-secret", []byte(c.body), at)
		require.Equal(t, c.want, r.Header.Get("X-Signature"))
		require.Equal(t, "1708600000", r.Header.Get("X-Timestamp"))
		require.Equal(t, "tly_live_x", r.Header.Get("X-API-Key"))
	}
}

// One byte that changed in what is signed, or in the secret, makes a signature
// another's.
func TestSignatureCoversEveryByte(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *access.Config) {
		c.Limits = access.Limits{Anonymous: access.MaxPerMinute, Other: 1 << 20, Custody: 1 << 20}
	})
	key, secret := h.issue(signed)
	const body = `{"name":"n"}`
	// Each returns a signed request with one byte changed behind the signature. It is
	// told which byte, and to what.
	changes := map[string]func(at int, to byte) *http.Request{
		"method": func(int, byte) *http.Request {
			r := h.sign(key, secret, "GET", "/vaults", "")
			r.Method = "HEAD"
			return r
		},
		"path": func(int, byte) *http.Request {
			r := h.sign(key, secret, "GET", "/vaults", "")
			other := h.request("GET", "/events", "")
			other.Header = r.Header
			return other
		},
		"query": func(at int, to byte) *http.Request {
			r := h.sign(key, secret, "GET", "/vaults?limit=50&after=7", "")
			other := h.request("GET", "/vaults"+changed("?limit=50&after=7", 1+at%16, to), "")
			other.Header = r.Header
			return other
		},
		"no query": func(int, byte) *http.Request {
			r := h.sign(key, secret, "GET", "/vaults?limit=50", "")
			other := h.request("GET", "/vaults", "")
			other.Header = r.Header
			return other
		},
		"body": func(at int, to byte) *http.Request {
			r := h.sign(key, secret, "POST", "/vaults", body)
			other := h.request("POST", "/vaults", changed(body, at%len(body), to))
			other.Header = r.Header
			return other
		},
		"timestamp": func(at int, _ byte) *http.Request {
			r := h.sign(key, secret, "GET", "/vaults", "")
			r.Header.Set("X-Timestamp", strconv.FormatInt(h.now().Unix()+1+int64(at%30), 10))
			return r
		},
		"secret": func(at int, to byte) *http.Request {
			return h.sign(key, changed(secret, at%len(secret), to), "GET", "/vaults", "")
		},
		"signature": func(at int, to byte) *http.Request {
			r := h.sign(key, secret, "GET", "/vaults", "")
			r.Header.Set("X-Signature", changed(r.Header.Get("X-Signature"), at%64, "0123456789abcdef"[to%16]))
			return r
		},
		"another key": func(int, byte) *http.Request {
			other, _ := h.issue(signed)
			return h.sign(other, secret, "GET", "/vaults", "")
		},
	}
	for what, change := range changes {
		rapid.Check(t, func(rt *rapid.T) {
			a := h.serve(change(rapid.IntRange(0, 100).Draw(rt, "at"), rapid.ByteRange('!', '~').Draw(rt, "to")))
			require.Equal(rt, http.StatusUnauthorized, a.Code, what)
		})
	}
	require.Zero(t, h.calls.Load())
	for _, r := range []*http.Request{
		h.sign(key, secret, "GET", "/vaults", ""),
		h.sign(key, secret, "HEAD", "/vaults", ""),
		h.sign(key, secret, "GET", "/vaults?", ""),
		h.sign(key, secret, "GET", "/vaults?limit=50&after=7", ""),
		h.sign(key, secret, "GET", "/va%75lts?a=%2F&b=%2f+~", ""),
		h.sign(key, secret, "POST", "/vaults", body),
	} {
		require.Equal(t, http.StatusOK, h.serve(r).Code, r.RequestURI)
	}
}

// changed returns text with one byte changed: to another one, if it is to already.
func changed(text string, at int, to byte) string {
	if text[at] == to {
		to = '0' + (to+1)%10
	}
	if text[at] == to {
		to = '0' + (to+1)%10
	}
	return text[:at] + string(to) + text[at+1:]
}

// The clock in a request may be half a minute off.
func TestTimestampWindow(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, secret := h.issue(signed)
	for away, ok := range map[time.Duration]bool{
		0: true, 30 * time.Second: true, -30 * time.Second: true, 31 * time.Second: false, -31 * time.Second: false,
		24 * time.Hour: false, -1000 * 24 * time.Hour: false,
	} {
		r := h.request("GET", "/events", "")
		access.Sign(r, key.Public(), secret, nil, h.now().Add(away))
		a := h.serve(r)
		if ok {
			require.Equal(t, http.StatusOK, a.Code, away)
		} else {
			requireRefused(t, a, 401, problem.StaleTimestamp, "X-Timestamp is more than 30 seconds from the server's clock")
		}
	}
	stamp := strconv.FormatInt(h.now().Unix(), 10)
	for _, other := range []string{"", "now", "+" + stamp, "0" + stamp, stamp + ".0", stamp + "000", " " + stamp + " x", "-1", "9223372036854775808"} {
		r := h.sign(key, secret, "GET", "/events", "")
		r.Header.Set("X-Timestamp", other)
		require.Equal(t, http.StatusUnauthorized, h.serve(r).Code, other)
	}
	// One signature has one spelling.
	r := h.sign(key, secret, "GET", "/events", "")
	r.Header.Set("X-Signature", strings.ToUpper(r.Header.Get("X-Signature")))
	requireRefused(t, h.serve(r), 401, problem.InvalidSignature, "X-Signature must be 64 lower-case hexadecimal digits")
	// The time of other programs is in milliseconds, in text, or with a fraction.
	r.Header.Set("X-Timestamp", stamp+".25")
	requireRefused(t, h.serve(r), 401, problem.InvalidSignature, "X-Timestamp must be Unix seconds in decimal digits")
}

// A key may be set to sign as the custody seed does, without the query.
func TestUnsignedQuery(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, secret := h.issue(signed, func(r *access.Request) { r.UnsignedQuery = true })
	seed := h.sign(key, secret, "GET", "/vaults", "")
	r := h.request("GET", "/vaults?limit=50", "")
	r.Header = seed.Header
	require.Equal(t, http.StatusOK, h.serve(r).Code)
	require.Equal(t, http.StatusOK, h.serve(seed).Code)
	requireRefused(t, h.serve(h.sign(key, secret, "GET", "/vaults?limit=50", "")), 401, problem.InvalidSignature, "Invalid signature")
}

// A write is carried out once for a signature; reads may be repeated.
func TestReplay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, secret := h.issue(signed)
	again := func(r *http.Request, body string, headers ...string) *http.Request {
		other := h.request(r.Method, r.URL.Path, body)
		other.Header = r.Header.Clone()
		for i := 0; i < len(headers); i += 2 {
			other.Header.Set(headers[i], headers[i+1])
		}
		return other
	}
	write := h.sign(key, secret, "POST", "/users", good)
	require.Equal(t, http.StatusOK, h.serve(again(write, good)).Code)
	requireRefused(t, h.serve(again(write, good)), 401, problem.ReplayedSignature, "The signature was used before: sign again with a later X-Timestamp")
	// A thief who draws a key of its own gets nothing for it.
	requireRefused(t, h.serve(again(write, good, "Idempotency-Key", "thief")), 401, problem.ReplayedSignature, "The signature was used before: sign again with a later X-Timestamp")
	require.EqualValues(t, 1, h.calls.Load())
	log := h.log()
	require.Len(t, log, 3)
	require.Equal(t, []int{200, 401, 401}, []int{log[0].Status, log[1].Status, log[2].Status})
	require.Equal(t, "replayed_signature", log[2].Code)

	h.pass(time.Second)
	once := h.sign(key, secret, "POST", "/users", good, "Idempotency-Key", "a")
	first := h.serve(again(once, good))
	require.Equal(t, http.StatusOK, first.Code)
	second := h.serve(again(once, good))
	require.Equal(t, first.Body.String(), second.Body.String(), "the kept answer")
	require.Equal(t, "true", second.Header().Get("Idempotency-Replayed"))
	requireRefused(t, h.serve(again(once, good, "Idempotency-Key", "b")), 401, problem.ReplayedSignature, "The signature was used before: sign again with a later X-Timestamp")
	require.EqualValues(t, 2, h.calls.Load())

	read := h.sign(key, secret, "GET", "/users", "")
	for range 3 {
		require.Equal(t, http.StatusOK, h.serve(again(read, "")).Code)
	}
	// What was refused for its content is not carried out later either.
	h.pass(time.Second)
	bad := h.sign(key, secret, "POST", "/users", `{"name":7}`)
	require.Equal(t, http.StatusBadRequest, h.serve(again(bad, `{"name":7}`)).Code)
	requireRefused(t, h.serve(again(bad, `{"name":7}`)), 401, problem.ReplayedSignature, "The signature was used before: sign again with a later X-Timestamp")
}

func FuzzSignature(f *testing.F) {
	h := newHouse(f, func(c *access.Config) {
		c.Limits = access.Limits{Anonymous: access.MaxPerMinute, Other: access.MaxPerMinute}
	})
	key, secret := h.issue(signed)
	whole := h.sign(key, secret, "GET", "/events", "")
	f.Add(whole.Header.Get("X-Timestamp"), whole.Header.Get("X-Signature"))
	f.Add(whole.Header.Get("X-Timestamp"), strings.Repeat("0", 64))
	f.Add("", "")
	f.Add("-0", "zz")
	f.Fuzz(func(t *testing.T, stamp, mac string) {
		h.t = t
		r := h.request("GET", "/events", "", "X-API-Key", key.Public())
		r.Header["X-Timestamp"], r.Header["X-Signature"] = []string{stamp}, []string{mac}
		code := h.serve(r).Code
		signed := h.request("GET", "/events", "")
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		access.Sign(signed, key.Public(), secret, nil, time.Unix(seconds, 0))
		if code == http.StatusOK {
			require.NoError(t, err)
			require.Equal(t, stamp, signed.Header.Get("X-Timestamp"))
			require.Equal(t, mac, signed.Header.Get("X-Signature"))
			raw, err := hex.DecodeString(mac)
			require.NoError(t, err)
			require.Len(t, raw, 32)
			return
		}
		require.Equal(t, http.StatusUnauthorized, code)
	})
}
