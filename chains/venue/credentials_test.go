package venue_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
)

// Whatever writes credentials, and whatever they stand in, nothing of a value
// comes out.
func TestCredentialsNeverPrint(t *testing.T) {
	t.Parallel()
	const secret = "correct-horse-battery-staple"
	c := venue.NewCredentials(map[string]string{venue.FieldKey: "key-" + secret, venue.FieldSecret: secret})
	type login struct {
		Name        string
		Credentials venue.Credentials
		hidden      venue.Credentials
		list        []venue.Credentials
		byName      map[string]*venue.Credentials
	}
	within := login{Name: "mine", Credentials: c, hidden: c, list: []venue.Credentials{c}, byName: map[string]*venue.Credentials{"a": &c}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%t", "%w"} {
		for _, value := range []any{c, &c, within, &within, []any{c}, map[string]any{"c": c}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("said", "c", c, "within", within)
	slog.New(slog.NewTextHandler(&out, nil)).Info("said", "c", c, "within", within)
	log := zerolog.New(&out)
	log.Info().Interface("c", c).Interface("within", within).Any("p", &c).Stringer("s", c).Msg("said")
	dump(&out, reflect.ValueOf(within), 0)
	require.NotContains(t, out.String(), secret)
	require.Contains(t, out.String(), "credentials(api_key, api_secret)")

	for _, value := range []any{c, within, map[string]any{"c": c}} {
		text, err := json.Marshal(value)
		require.Error(t, err)
		require.Empty(t, text)
	}
	require.NotContains(t, fmt.Sprint(venue.Credentials{}), "nil")
}

// dump writes all that reflection reaches, private fields too.
func dump(out *strings.Builder, v reflect.Value, depth int) {
	if depth > 20 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		out.WriteString(v.String() + "\n")
	case reflect.Struct:
		for _, field := range v.Fields() {
			dump(out, field, depth+1)
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			dump(out, v.Index(i), depth+1)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			dump(out, key, depth+1)
			dump(out, v.MapIndex(key), depth+1)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			dump(out, v.Elem(), depth+1)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	fields := map[string]string{venue.FieldKey: "  k \n", venue.FieldSecret: "s", venue.FieldMemo: "  "}
	c := venue.NewCredentials(fields)
	fields[venue.FieldKey] = "changed"
	require.Equal(t, "k", c.Get(venue.FieldKey), "space, or the caller's map, came in")
	require.Equal(t, []string{venue.FieldKey, venue.FieldSecret}, c.Names())
	require.Empty(t, c.Get(venue.FieldMemo))
	require.Empty(t, venue.Credentials{}.Get(venue.FieldKey))
	require.Equal(t, map[string]string{venue.FieldKey: "k", venue.FieldSecret: "s"}, c.Reveal())

	// A key is counted under one name, whatever else a login is made of.
	other := venue.NewCredentials(map[string]string{venue.FieldKey: "k", venue.FieldSecret: "of another account"})
	require.Equal(t, c.Digest("kraken"), other.Digest("kraken"))
	require.NotEqual(t, c.Digest("kraken"), c.Digest("okx"))
	require.NotContains(t, c.Digest("kraken"), "k\n")
}
