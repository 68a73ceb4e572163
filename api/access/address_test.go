package access_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/api/access"
)

// The address of a caller is what the last proxy we trust says it is, whatever else
// stands in the header.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *access.Config) {
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
		c.Limits.Anonymous = 1000
	})
	for _, c := range []struct {
		name      string
		peer      string // of the connection
		forwarded string // X-Forwarded-For, several headers with | between
		want      string // "" for nobody knows
	}{
		{"Direct", "203.0.113.9:4000", "", "203.0.113.9"},
		{"DirectSix", "[2001:db8::1]:4000", "", "2001:db8::1"},
		{"DirectMapped", "[::ffff:203.0.113.9]:4000", "", "203.0.113.9"},
		{"DirectZone", "[fe80::1%eth0]:4000", "", "fe80::1"},
		{"ForgedDirect", "203.0.113.9:4000", "198.51.100.7", "203.0.113.9"},
		{"ForgedTrusted", "203.0.113.9:4000", "10.0.0.1", "203.0.113.9"},
		{"OneProxy", "10.0.0.1:4000", "203.0.113.9", "203.0.113.9"},
		{"OneProxySix", "[fd00::1]:4000", "2001:db8::1", "2001:db8::1"},
		{"ForgedBehindProxy", "10.0.0.1:4000", "198.51.100.7, 203.0.113.9", "203.0.113.9"},
		{"ForgedHeaderBehindProxy", "10.0.0.1:4000", "198.51.100.7|203.0.113.9", "203.0.113.9"},
		{"ForgedTrustedBehindProxy", "10.0.0.1:4000", "10.9.9.9, 203.0.113.9", "203.0.113.9"},
		{"TwoProxies", "10.0.0.1:4000", "198.51.100.7,203.0.113.9 ,10.0.0.2", "203.0.113.9"},
		{"WithPort", "10.0.0.1:4000", "203.0.113.9:61000", "203.0.113.9"},
		{"SixWithPort", "10.0.0.1:4000", "[2001:db8::1]:61000", "2001:db8::1"},
		{"MappedBehindProxy", "10.0.0.1:4000", "::ffff:203.0.113.9", "203.0.113.9"},
		{"AllTrusted", "10.0.0.1:4000", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		{"ProxyItself", "10.0.0.1:4000", "", "10.0.0.1"},
		{"ProxySaysNothing", "10.0.0.1:4000", "203.0.113.9, unknown", ""},
		{"ProxySaysEmpty", "10.0.0.1:4000", "203.0.113.9,", ""},
		{"NoAddress", "@", "203.0.113.9", ""},
	} {
		r := h.request(http.MethodGet, "/events", "", "X-API-Key", master, "X-Environment", "nowhere")
		r.RemoteAddr = c.peer
		for value := range strings.SplitSeq(c.forwarded, "|") {
			if value != "" {
				r.Header.Add("X-Forwarded-For", value)
			}
		}
		require.Equal(t, http.StatusBadRequest, h.serve(r).Code)
		log := h.log()
		require.Len(t, log, 1)
		var want netip.Addr
		if c.want != "" {
			want = netip.MustParseAddr(c.want)
		}
		require.Equal(t, want, log[0].Address, c.name)
	}
}

// Each of these has no budget of its own: drawing another address, or saying so,
// changes nothing.
func TestCrowdsShareABudget(t *testing.T) {
	t.Parallel()
	for name, peers := range map[string][2]string{
		"ports":   {"203.0.113.9:1", "203.0.113.9:2"},
		"a /64":   {"[2001:db8::1]:1", "[2001:db8::ffff:2]:1"},
		"unknown": {"@", "pipe"},
	} {
		h := newHouse(t, func(c *access.Config) { c.Limits.Anonymous = 1 })
		codes := [2]int{}
		for i, peer := range peers {
			r := h.request(http.MethodGet, "/open", "", "X-Forwarded-For", "198.51.100."+string(rune('1'+i)))
			r.RemoteAddr = peer
			codes[i] = h.serve(r).Code
		}
		require.Equal(t, [2]int{http.StatusOK, http.StatusTooManyRequests}, codes, name)
	}
	h := newHouse(t, func(c *access.Config) { c.Limits.Anonymous = 1 })
	for _, peer := range []string{"203.0.113.9:1", "203.0.113.10:1", "[2001:db8::1]:1", "[2001:db8:0:1::1]:1"} {
		r := h.request(http.MethodGet, "/open", "")
		r.RemoteAddr = peer
		require.Equal(t, http.StatusOK, h.serve(r).Code, peer)
	}
}
