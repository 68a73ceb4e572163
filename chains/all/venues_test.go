package all_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/all"
	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
)

func TestVenues(t *testing.T) {
	t.Parallel()
	for name, v := range all.Venues() {
		require.Equal(t, name, v.Name)
		require.True(t, v.Verified(), "%s is registered, and nothing was checked", name)
		for _, route := range v.Routes {
			require.Contains(t, []string{http.MethodGet, http.MethodPost}, route.Method, "%s %s", name, route.Path)
		}
	}
	table, err := identity.Load()
	require.NoError(t, err)
	for _, name := range table.Venues() {
		require.Contains(t, all.Venues(), name, "the table of assets knows a venue that is not there")
	}
}

// docs/venues.md says of each venue what its connector declares: hosts,
// permissions, how far back its past goes, and what was checked.
func TestVenuesAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "venues.md"))
	require.NoError(t, err)
	doc := string(text)
	for _, line := range documented(t) {
		require.Contains(t, doc, line+"\n")
	}
}

// documented returns the lines that the page must have.
func documented(t *testing.T) []string {
	t.Helper()
	var lines []string
	venues := all.Venues()
	for _, name := range slices.Sorted(maps.Keys(venues)) {
		v := venues[name]
		lines = append(lines, "### "+v.Title)
		lines = append(lines, fmt.Sprintf("| %s | %s | %s |", v.Title, strings.Join(v.Tick, "; "), map[bool]string{true: "yes", false: "no: you must say that you looked"}[v.Introspects]))
		for _, region := range v.Regions {
			var hosts []string
			for _, host := range slices.Sorted(maps.Keys(region.Hosts)) {
				hosts = append(hosts, "`"+strings.TrimPrefix(region.Hosts[host], "https://")+"`")
			}
			title := region.Title
			if region.Sandbox {
				title += " (test money)"
			}
			lines = append(lines, fmt.Sprintf("| %s | `%s` | %s | %s |", v.Title, region.Name, title, strings.Join(hosts, ", ")))
		}
		for _, h := range histories(t, v) {
			lines = append(lines, fmt.Sprintf("| %s | %s | %s | %s | %s |", v.Title, h.Stream, days(h.Window, "any"), days(h.Depth, "all"), h.Limits))
		}
		for _, e := range v.Evidence {
			source := e.Source
			if e.By == venue.Unverified {
				source = "nothing"
			}
			lines = append(lines, strings.ReplaceAll(fmt.Sprintf("| %s | %s | %s | %s | %s |", v.Title, e.Part, e.By, source, e.Seen), "  ", " "))
		}
	}
	return lines
}

// histories returns the streams of a venue, by a login of the right form.
func histories(t *testing.T, v venue.Venue) []venue.History {
	t.Helper()
	login := map[string]string{}
	for _, field := range v.Fields {
		if !field.Optional {
			login[field.Name] = "c2VjcmV0"
		}
	}
	if v.Name == "coinbase" {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		der, err := x509.MarshalECPrivateKey(key)
		require.NoError(t, err)
		login[venue.FieldSecret] = string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	}
	session, err := venue.NewTransport(venue.TransportOptions{}).Open(v, venue.NewCredentials(login))
	require.NoError(t, err)
	historian, ok := session.Account().(venue.Historian)
	require.True(t, ok, v.Name)
	return historian.Histories()
}

func days(d time.Duration, none string) string {
	switch {
	case d == 0:
		return none
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}
