package access

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
)

var (
	pepper = Pepper("0123456789abcdef")
	live   = indexer.Realm{Tenant: "default", Environment: chains.Live}
	now    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func TestNewKey(t *testing.T) {
	t.Parallel()
	for _, environment := range []chains.Environment{chains.Live, chains.Test} {
		realm := indexer.Realm{Tenant: "acme", Environment: environment}
		key, text, err := NewKey(pepper, Request{Realm: realm, Owner: "o", Name: "n", Scopes: []string{"*:*"}}, now)
		require.NoError(t, err)
		require.Regexp(t, `^tly_`+string(environment)+`_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}$`, text)
		gotEnvironment, id, err := ParseKey(text)
		require.NoError(t, err)
		require.Equal(t, environment, gotEnvironment)
		require.Equal(t, key.ID, id)
		require.Equal(t, pepper.Hash(text), key.Hash)
		require.NotEqual(t, pepper.Hash(text), Pepper("another pepper!!").Hash(text))
		require.True(t, key.Good(now))

		_, again, err := NewKey(pepper, Request{Realm: realm, Scopes: []string{"*:*"}}, now)
		require.NoError(t, err)
		require.NotEqual(t, text, again)
	}
}

func TestNewKeyRefuses(t *testing.T) {
	t.Parallel()
	good := Request{Realm: live, Scopes: []string{"users:read"}}
	past := now.Add(-time.Second)
	for name, change := range map[string]func(*Request){
		"environment": func(r *Request) { r.Realm.Environment = "prod" },
		"tenant":      func(r *Request) { r.Realm.Tenant = "" },
		"no scope":    func(r *Request) { r.Scopes = nil },
		"scope":       func(r *Request) { r.Scopes = []string{"users"} },
		"action":      func(r *Request) { r.Scopes = []string{"users:frobnicate"} },
		"expiry":      func(r *Request) { r.ExpiresAt = &past },
	} {
		request := good
		change(&request)
		_, _, err := NewKey(pepper, request, now)
		require.Error(t, err, name)
	}
	_, _, err := NewKey(Pepper("short"), good, now)
	require.Error(t, err)
}

func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	_, text, err := NewKey(pepper, Request{Realm: live, Scopes: []string{"*:*"}}, now)
	require.NoError(t, err)
	for i := range text {
		// One digit that changed is found by the checksum.
		other := byte('x')
		if text[i] == other {
			other = 'y'
		}
		_, _, err := ParseKey(text[:i] + string(other) + text[i+1:])
		require.ErrorIs(t, err, ErrKeyForm, "digit %d", i)
	}
	// A right checksum saves no other form.
	for _, body := range []string{
		strings.Replace(text[:len(text)-6], "live", "prod", 1),
		strings.Replace(text[:len(text)-6], "tly", "sly", 1),
		strings.Replace(text[:len(text)-6], text[9:11], "-!", 1),
		strings.Replace(text[:len(text)-6], "_", "x", 1),
	} {
		_, _, err := ParseKey(body + checksum(body))
		require.ErrorIs(t, err, ErrKeyForm, body)
	}
}

func TestGood(t *testing.T) {
	t.Parallel()
	before, after := now.Add(-time.Second), now.Add(time.Second)
	require.True(t, Key{ExpiresAt: &after}.Good(now))
	require.False(t, Key{ExpiresAt: &now}.Good(now))
	require.False(t, Key{ExpiresAt: &before}.Good(now))
	require.False(t, Key{RevokedAt: &after}.Good(now))
}

func TestAllows(t *testing.T) {
	t.Parallel()
	cases := []struct {
		scopes string
		scope  string
		want   bool
	}{
		{"users:read", "users:read", true},
		{"users:read", "users:write", false},
		{"users:read", "events:read", false},
		{"users:*", "users:delete", true},
		{"users:*", "events:read", false},
		{"*:read", "events:read", true},
		{"*:read", "events:write", false},
		{"*:*", "events:write", true},
		{"a:read,users:write", "users:write", true},
		{"users:write", "users:create", true},
		{"users:create", "users:write", false},
		{"", "users:read", false},
	}
	for _, c := range cases {
		require.Equal(t, c.want, Principal{Scopes: strings.Split(c.scopes, ",")}.Allows(c.scope), "%+v", c)
	}
	require.True(t, Principal{Master: true}.Allows("users:delete"))
	require.False(t, From(t.Context()).Allows("users:read"))
}

func FuzzParseKey(f *testing.F) {
	_, text, err := NewKey(pepper, Request{Realm: live, Scopes: []string{"*:*"}}, now)
	require.NoError(f, err)
	f.Add(text)
	f.Add("tly_test_" + strings.Repeat("_", 51))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		environment, id, err := ParseKey(text)
		if err != nil {
			require.ErrorIs(t, err, ErrKeyForm)
			return
		}
		require.True(t, strings.HasPrefix(text, "tly_"+string(environment)+"_"+id+"_"))
		require.Empty(t, strings.Trim(id, base62))
	})
}
