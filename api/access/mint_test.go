package access

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A signed key is named by its public part and signs with a secret of the form
// of a key, which is stored as it is.
func TestNewSignedKey(t *testing.T) {
	t.Parallel()
	key, text, err := NewKey(pepper, Request{
		Realm: live, Kind: Signed, Scopes: []string{"vaults:write"}, UnsignedQuery: true,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, PerMinute: 7,
	}, now)
	require.NoError(t, err)
	require.Nil(t, key.Hash)
	require.Equal(t, text, string(key.Secret))
	require.True(t, key.UnsignedQuery)
	require.Equal(t, 7, key.PerMinute)
	require.Equal(t, key.Public()+"_", text[:len(key.Public())+1])
	environment, id, err := ParsePublic(key.Public())
	require.NoError(t, err)
	require.Equal(t, key.Realm.Environment, environment)
	require.Equal(t, key.ID, id)
	_, id, err = ParseKey(text)
	require.NoError(t, err)
	require.Equal(t, key.ID, id)
}

func TestParsePublicRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "tly_live_", "tly_prod_AbCdEf123456", "sly_live_AbCdEf123456", "tly_live_AbCdEf12345", "tly_live_AbCdEf12345-", "tly_live_AbCd_f123456"} {
		_, _, err := ParsePublic(text)
		require.ErrorIs(t, err, ErrKeyForm, text)
	}
}

func TestNewKeyRefusesLimits(t *testing.T) {
	t.Parallel()
	good := Request{Realm: live, Scopes: []string{"users:read"}}
	for name, change := range map[string]func(*Request){
		"kind":           func(r *Request) { r.Kind = "magic" },
		"unsigned query": func(r *Request) { r.UnsignedQuery = true },
		"resource":       func(r *Request) { r.Scopes = []string{"castles:read"} },
		"budget":         func(r *Request) { r.PerMinute = -1 },
		"high budget":    func(r *Request) { r.PerMinute = MaxPerMinute + 1 },
		"host bits":      func(r *Request) { r.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")} },
		"no network":     func(r *Request) { r.Addresses = make([]netip.Prefix, 1) },
	} {
		request := good
		change(&request)
		_, _, err := NewKey(pepper, request, now)
		require.Error(t, err, name)
	}
}

// Whatever is rotated when, at most two texts are good at a time, and none ends
// before it was promised to unless everything old is ended on purpose.
func TestRotate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		kind := rapid.SampledFrom([]Kind{Bearer, Signed}).Draw(rt, "kind")
		key, text, err := NewKey(pepper, Request{Realm: live, Kind: kind, Scopes: []string{"*:*"}}, now)
		require.NoError(rt, err)
		stored := func(text string) []byte {
			if kind == Signed {
				return []byte(text)
			}
			return pepper.Hash(text)
		}
		at, until := now, time.Time{}
		for range rapid.IntRange(1, 8).Draw(rt, "steps") {
			at = at.Add(time.Duration(rapid.IntRange(0, 90).Draw(rt, "wait")) * time.Minute)
			overlap := time.Duration(rapid.IntRange(0, 2).Draw(rt, "overlap")) * time.Hour
			next, err := key.Rotate(pepper, overlap, at)
			if overlap > 0 && at.Before(until) {
				require.ErrorIs(rt, err, ErrOverlap)
				continue
			}
			require.NoError(rt, err)
			require.NotEqual(rt, text, next)
			old := text
			text, until = next, at.Add(overlap)
			want, wantOld := stored(text), stored(old)
			if overlap == 0 {
				wantOld = nil
				require.Nil(rt, key.OldUntil)
			} else {
				require.Equal(rt, until, *key.OldUntil)
			}
			if kind == Signed {
				require.Equal(rt, want, key.Secret)
				require.Equal(rt, wantOld, key.OldSecret)
				require.Nil(rt, key.Hash)
				require.Nil(rt, key.OldHash)
			} else {
				require.Equal(rt, want, key.Hash)
				require.Equal(rt, wantOld, key.OldHash)
				require.Nil(rt, key.Secret)
				require.Nil(rt, key.OldSecret)
			}
		}
	})
}

func TestParseAddresses(t *testing.T) {
	t.Parallel()
	prefixes, err := ParseAddresses([]string{"10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "::ffff:192.0.2.7"})
	require.NoError(t, err)
	require.Equal(t, []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.7/32"),
	}, prefixes)
	for _, bad := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "localhost", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		_, err := ParseAddresses([]string{bad})
		require.Error(t, err, bad)
	}
}
