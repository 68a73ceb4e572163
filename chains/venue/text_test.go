package venue_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains/venue"
)

func TestText(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]string{
		`"a\"bé"`: `a"bé`, `12345678901234567890`: "12345678901234567890", `1e5`: "1e5", `true`: "true", `null`: "", `""`: "", `"0012"`: "0012",
	} {
		var text venue.Text
		require.NoError(t, json.Unmarshal([]byte(doc), &text), doc)
		require.Equal(t, want, string(text), doc)
	}
	for _, doc := range []string{`{}`, `["a"]`} {
		var text venue.Text
		require.Error(t, json.Unmarshal([]byte(doc), &text), doc)
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)
	for _, test := range []struct {
		text string
		want time.Time
	}{
		{text: "1700000000", want: at},
		{text: "1700000000.5", want: at.Add(500 * time.Millisecond)},
		{text: "1700000000.1234567891", want: at.Add(123456789)},
		{text: "1700000000123", want: at.Add(123 * time.Millisecond)},
		{text: "1700000000123.5", want: at.Add(123*time.Millisecond + 500*time.Microsecond)},
		{text: "1700000000123456", want: at.Add(123456 * time.Microsecond)},
		{text: "1700000000123456789", want: at.Add(123456789)},
		{text: "2023-11-14T22:13:20Z", want: at},
		{text: "2023-11-14T23:13:20.25+01:00", want: at.Add(250 * time.Millisecond)},
		{text: "2023-11-14 22:13:20", want: at},
		{text: "2023-11-14 22:13:20.000123", want: at.Add(123 * time.Microsecond)},
		{text: "2023-11-14T22:13:20", want: at},
		{text: ""},
		{text: "0"},
	} {
		got, err := venue.ParseMoment(test.text)
		require.NoError(t, err, test.text)
		require.Equal(t, test.want, got, test.text)
	}
	for _, text := range []string{"-1", "1e9", "1700000000.x", "soon", "2023-13-01 00:00:00", "14/11/2023"} {
		_, err := venue.ParseMoment(text)
		require.Error(t, err, text)
	}
	var read struct{ A, B, C, D venue.Moment }
	require.NoError(t, json.Unmarshal([]byte(`{"A":1700000000123,"B":"1700000000","C":null}`), &read))
	require.Equal(t, at.Add(123*time.Millisecond), read.A.Time)
	require.Equal(t, at, read.B.Time)
	require.True(t, read.C.IsZero())
	require.True(t, read.D.IsZero())
	require.Error(t, json.Unmarshal([]byte(`{"A":[1]}`), &read))
}

// A time survives being written as venues take it.
func TestMomentsComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// Milliseconds of before March 1973 have the size of seconds.
		at := time.UnixMilli(rapid.Int64Range(100_000_000_000, 4_000_000_000_000).Draw(t, "ms")).UTC()
		millis, err := venue.ParseMoment(venue.Millis(at))
		require.NoError(t, err)
		require.Equal(t, at, millis)
		seconds, err := venue.ParseMoment(venue.Seconds(at))
		require.NoError(t, err)
		require.Equal(t, at.Truncate(time.Second), seconds)
	})
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var into any
	require.NoError(t, venue.Decode([]byte(` {"a":12345678901234567890.10} `), &into))
	require.Equal(t, map[string]any{"a": json.Number("12345678901234567890.10")}, into, "a number was rounded")
	for _, doc := range []string{"", "{", `{"a":1}}`, `{} {}`, `{"a":01}`, `{"a":NaN}`, `[1,]`, "\xef\xbb\xbf{}"} {
		require.Error(t, venue.Decode([]byte(doc), &into), doc)
	}
}

func TestHollow(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{"", "null", "[]", "{}", `{"list":[],"total":0,"sum":"0.00","next":"","ok":true,"name":"staking","more":{"x":null,"y":"-0"}}`} {
		require.True(t, venue.Hollow(json.RawMessage(doc)), doc)
	}
	for _, doc := range []string{`{"list":[{}]}`, `[0]`, `{"total":"0.00000001"}`, `{"a":{"b":{"c":1}}}`, `-1`, `{"a":`, `{} {}`} {
		require.False(t, venue.Hollow(json.RawMessage(doc)), doc)
	}
}
