package access

import (
	"sync"
	"testing"
	"time"

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
	_, err = tokens.Read(text[:len(text)-2] + "AA")
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
