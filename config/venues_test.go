package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVenues(t *testing.T) {
	t.Parallel()
	cfg, err := parse([]byte(`
venues: {enabled: [okx, kraken], base_urls: [{venue: okx, region: eea, host: main, url: "https://a/eea"}, {venue: okx, host: other, url: "http://[::1]:1"},
  {venue: kraken, url: "http://localhost:2"}]}`), []string{
		"TALLYD_VENUES_PATIENCE=3s", "TALLYD_VENUES_BASE_URLS_2_URL=http://127.0.0.1:3",
		"TALLYD_VENUE_API_KEY=a login, which is no setting",
	}, nil)
	require.NoError(t, err)
	require.True(t, cfg.Venues.Uses("okx"))
	require.False(t, cfg.Venues.Uses("blink"))
	require.False(t, Venues{Enabled: []string{NoVenue}}.Uses("okx"))
	require.True(t, Venues{}.Uses("okx"))
	require.Equal(t, "3s", cfg.Venues.Patience.String())
	for _, test := range []struct{ venue, region, host, want string }{
		{venue: "okx", region: "eea", want: "https://a/eea"},
		{venue: "okx", region: "global"},
		{venue: "okx", region: "global", host: "other", want: "http://[::1]:1"},
		{venue: "kraken", region: "global", want: "http://127.0.0.1:3"},
		{venue: "kraken", region: "global", host: "futures", want: "http://127.0.0.1:3"},
		{venue: "blink", region: "main"},
	} {
		require.Equal(t, test.want, cfg.Venues.Base(test.venue, test.region, test.host), test)
	}
	v := Venues{Balances: "a", History: "b", Schedules: []VenueSchedule{{Venue: "okx", History: "c"}}}
	balances, history := v.Schedule("okx")
	require.Equal(t, []string{"a", "c"}, []string{balances, history})
	_, history = v.Schedule("kraken")
	require.Equal(t, "b", history)
	shown, err := cfg.Redacted()
	require.NoError(t, err)
	require.Contains(t, shown, "https://a/***")
}
