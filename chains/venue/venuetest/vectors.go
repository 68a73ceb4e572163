package venuetest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
)

// Vector is one request that another client signed.
type Vector struct {
	Call    string            `json:"call"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    *string           `json:"body"`
}

// VectorFile is testdata/vectors.json of a connector.
type VectorFile struct {
	Source  string   `json:"source"`
	Seen    string   `json:"seen"`
	Note    string   `json:"note"`
	Vectors []Vector `json:"vectors"`
}

// VectorClock is when the vectors were signed.
func VectorClock() time.Time { return time.UnixMilli(1700000000123).UTC() }

// Signer is how a connector reproduces vectors.
type Signer struct {
	Venue venue.Venue
	Login map[string]string // what the vectors were signed with

	// Random is the chance that stands in the vectors.
	Random [16]byte

	// Unsigned takes off a vector what signing adds; nil leaves query and body
	// as they are.
	Unsigned func(v Vector, r *venue.Request)

	// Foreign are headers that name the client which recorded the vectors. They
	// are not signed, and tallyd does not send them.
	Foreign []string

	// Compare compares what cannot be the same bytes, by header; nil compares
	// all as they are.
	Compare map[string]func(t *testing.T, want, got string)
}

// Vectors reproduces the vectors in testdata/vectors.json, and those of the shared
// data folder where it is there.
func (s Signer) Vectors(t *testing.T) {
	t.Helper()
	t.Run("Own", func(t *testing.T) {
		t.Parallel()
		var file VectorFile
		readJSON(t, filepath.Join("testdata", "vectors.json"), &file)
		require.NotEmpty(t, file.Source)
		require.NotEmpty(t, file.Seen)
		require.NotEmpty(t, file.Vectors)
		for _, v := range file.Vectors {
			s.Reproduce(t, v)
		}
	})
	t.Run("Shared", func(t *testing.T) {
		t.Parallel()
		shared := SharedVectors(t, s.Venue.Name)
		require.NotEmpty(t, shared)
		for _, v := range shared {
			s.Reproduce(t, v)
		}
	})
}

// Reproduce signs the request of one vector and compares all that is sent.
func (s Signer) Reproduce(t *testing.T, v Vector) {
	t.Helper()
	target, err := url.Parse(v.URL)
	require.NoError(t, err)
	r := venue.Request{Method: v.Method, Path: target.Path, Query: target.RawQuery, Authority: target.Host, Header: http.Header{}}
	if v.Body != nil {
		r.Body = *v.Body
	}
	if s.Unsigned != nil {
		s.Unsigned(v, &r)
	}
	dialect, err := s.Venue.Dialect(venue.NewCredentials(s.Login))
	require.NoError(t, err)
	stamp := venue.Stamp{Time: VectorClock(), Nonce: uint64(VectorClock().UnixMilli()), Random: s.Random}
	require.NoError(t, dialect.Sign(&r, stamp), v.Call)

	got := target.Scheme + "://" + target.Host + r.Path
	if r.Query != "" {
		got += "?" + r.Query
	}
	require.Equal(t, v.URL, got, v.Call)
	if v.Body != nil {
		require.Equal(t, *v.Body, r.Body, v.Call)
	} else {
		require.Empty(t, r.Body, v.Call)
	}
	for name, want := range v.Headers {
		if contains(s.Foreign, name) {
			require.Empty(t, r.Header.Get(name), name)
			continue
		}
		if compare := s.Compare[name]; compare != nil {
			compare(t, want, r.Header.Get(name))
			continue
		}
		require.Equal(t, want, r.Header.Get(name), "%s of %s", name, v.Call)
	}
	sent := 0
	for name := range r.Header {
		_, known := headerOf(v.Headers, name)
		require.True(t, known, "%s is sent, and is not in the vector", name)
		sent++
	}
	require.Equal(t, len(v.Headers)-countOf(v.Headers, s.Foreign), sent, v.Call)
}

func headerOf(headers map[string]string, name string) (string, bool) {
	for known, value := range headers {
		if strings.EqualFold(known, name) {
			return value, true
		}
	}
	return "", false
}

func countOf(headers map[string]string, names []string) int {
	n := 0
	for name := range headers {
		if contains(names, name) {
			n++
		}
	}
	return n
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// SharedVectors returns the vectors of a venue in the shared data folder, and skips
// the test where that is not there.
func SharedVectors(t *testing.T, name string) []Vector {
	t.Helper()
	var file struct {
		Vectors map[string][]struct {
			Call     string   `json:"call"`
			Requests []Vector `json:"requests"`
		} `json:"vectors"`
	}
	readJSON(t, Shared(t, "data/exchanges/signed-requests.json"), &file)
	var vectors []Vector
	for _, call := range file.Vectors[name] {
		for _, v := range call.Requests {
			v.Call = call.Call
			vectors = append(vectors, v)
		}
	}
	return vectors
}

// Shared returns the path of a file in the folder beside the clone that some
// checks compare with, and skips the test where that is not there. What the tests
// need for good stands in testdata.
func Shared(t *testing.T, file string) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			path := filepath.Join(filepath.Dir(dir), "shared", filepath.FromSlash(file))
			if _, err := os.Stat(path); err != nil {
				t.Skip("../shared/" + file + " is not here: nothing to compare with beyond testdata")
			}
			return path
		}
	}
	t.Fatal("no go.mod above the test")
	return ""
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, into), path)
}
