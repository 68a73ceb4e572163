package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/problem"
)

const stamped = `"TALLYD_GENERATED_BY":"AbCdEf123456","BLNK_GENERATED_BY":"AbCdEf123456"}`

func TestStamp(t *testing.T) {
	t.Parallel()
	p := Principal{KeyID: "AbCdEf123456"}
	for sent, want := range map[string]string{
		``:                         `{`,
		`{}`:                       `{`,
		" { \n} ":                  `{`,
		`{"a":9007199254740993}`:   `{"a":9007199254740993,`,
		`{"a":[1, {"b" : "}"} ] }`: `{"a":[1, {"b" : "}"} ],`,
		`{"b":1 , "a": 123456789012345678901234567890, "\"": "\\"}`: `{"b":1,"a": 123456789012345678901234567890,"\"": "\\",`,
		`{"a":-0.0,"b":1E+2,"c":"\ud800"}`:                          `{"a":-0.0,"b":1E+2,"c":"\ud800",`,
		// Who created a thing cannot be forged, however it is spelt.
		`{"BLNK_GENERATED_BY":"x","a":1,"TALLYD_GENERATED_BY":{"b":2}}`: `{"a":1,`,
		`{"\u0042LNK_GENERATED_BY":"x"}`:                                `{`,
		`{"a":{"BLNK_GENERATED_BY":"mine"}}`:                            `{"a":{"BLNK_GENERATED_BY":"mine"},`,
	} {
		got, err := p.Stamp(MetaData(sent))
		require.NoError(t, err, sent)
		require.Equal(t, want+stamped, string(got))
	}
	user := Principal{User: uuid.MustParse("4301140e-d639-41ec-9120-00155d03ab64")}
	got, err := user.Stamp(nil)
	require.NoError(t, err)
	require.JSONEq(t, `{"TALLYD_GENERATED_BY":"user:4301140e-d639-41ec-9120-00155d03ab64","BLNK_GENERATED_BY":"user:4301140e-d639-41ec-9120-00155d03ab64"}`, string(got))

	deep := strings.Repeat(`{"a":`, maxNesting) + `1` + strings.Repeat(`}`, maxNesting)
	_, err = p.Stamp(MetaData(deep))
	require.NoError(t, err)
	for _, bad := range []string{`{"a":` + deep + `}`, `{"a":"` + strings.Repeat("x", MaxMetaData) + `"}`, "{\"a\":\"\xff\"}"} {
		_, err := p.Stamp(MetaData(bad))
		refused, ok := errors.AsType[*problem.Problem](err)
		require.True(t, ok)
		require.Equal(t, http.StatusBadRequest, refused.Status)
		require.Contains(t, refused.Errors, "meta_data")
	}
}

func TestMetaDataIsText(t *testing.T) {
	t.Parallel()
	var body struct {
		MetaData MetaData `json:"meta_data"`
	}
	for sent, want := range map[string]string{
		`{"meta_data":{"a" :9007199254740993}}`: `{"meta_data":{"a":9007199254740993}}`,
		`{"meta_data":null}`:                    `{"meta_data":{}}`,
		`{}`:                                    `{"meta_data":{}}`,
	} {
		body.MetaData = nil
		require.NoError(t, json.Unmarshal([]byte(sent), &body))
		got, err := json.Marshal(body)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
}

// Whatever object is sent, what is kept is an object of the same members, each
// number written as it was, and of those that name the caller.
func FuzzStamp(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":123456789012345678901234567890,"b":[1e-5,{"c":"\\\""}]}`, ` {"a" : {} , "BLNK_GENERATED_BY":[","]} `,
		`{"\u0054ALLYD_GENERATED_BY":1}`, `{"":{"":[{}]}}`, `{"\\":1}`,
	} {
		f.Add([]byte(seed))
	}
	p := Principal{KeyID: "AbCdEf123456"}
	f.Fuzz(func(t *testing.T, sent []byte) {
		var want map[string]any
		if problem.StrictJSON().Unmarshal(sent, &want) != nil || want == nil || !utf8.Valid(sent) {
			return
		}
		kept, err := p.Stamp(MetaData(sent))
		if err != nil {
			return
		}
		require.True(t, json.Valid(kept), "%s", kept)
		want, got := numbers(t, sent), numbers(t, kept)
		for _, name := range generatedBy() {
			require.Equal(t, "AbCdEf123456", got[name])
			delete(want, name)
			delete(got, name)
		}
		require.Equal(t, want, got)
		again, err := p.Stamp(MetaData(kept))
		require.NoError(t, err)
		require.Equal(t, string(kept), string(again))
	})
}

// numbers reads an object and keeps its numbers as they are written.
func numbers(t *testing.T, text []byte) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	require.NoError(t, decoder.Decode(&object))
	return object
}
