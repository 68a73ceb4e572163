package main

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/api/accounts"
	"tallyd/chains/venue"
	"tallyd/config"
)

func TestVenuesCommand(t *testing.T) {
	t.Parallel()
	out, err := tallyd(t, "venues", "-c", settingsFile(t, "venues: {enabled: [bitmart, blink]}"))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^bitmart +api_key, api_secret, memo +global +Read-Only +no +earn, permissions$`, out)
	require.Regexp(t, `(?m)^blink +api_key, \[region\] +main, staging +READ +yes +-$`, out)
	require.Regexp(t, `(?m)^kraken \(off\) `, out)
	require.Equal(t, len(venueNames())+1, strings.Count(out, "\n"))

	out, err = tallyd(t, "venues", "bitmart")
	require.NoError(t, err)
	for _, want := range []string{
		"Permissions to tick: Read-Only\n", "does not tell what a key may do", "TALLYD_VENUE_MEMO", "not your user id", "https://api-cloud.bitmart.com", "permissions  unverified",
	} {
		require.Contains(t, out, want)
	}
	_, err = tallyd(t, "venues", "mtgox")
	require.ErrorContains(t, err, `no venue "mtgox" is built in; there are binance, `)
}

func TestVenueSettingsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	_, err := tallyd(t, "venues", "-c", settingsFile(t, `venues: {enabled: [blink, mtgox], history: often, schedules: [{venue: mtgox, balances: "61 * * * *"}, {venue: okx, balances: "@every 9s", history: "*/5 * * * *"}], base_urls: [
  {venue: mtgox, url: "https://a"}, {venue: okx, region: mars, url: "https://a"}, {venue: okx, host: futures, url: "https://a"},
  {venue: binance, region: us, host: main, url: "https://a"}]}`))
	require.Error(t, err)
	for _, want := range []string{
		`venues.enabled.1: there is no venue "mtgox", but binance, `, `venues.base_urls.0.venue: there is no`, `venues.base_urls.1.region: okx has no region "mars"`,
		`venues.history: must be an interval`, `venues.schedules.0.venue: there is no`, `venues.schedules.0.balances: must be`, `venues.schedules.1.balances: must leave 10s`,
		`venues.base_urls.2.host: okx has no host "futures" there`,
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "base_urls.3")
	require.NotContains(t, err.Error(), "schedules.1.history")
	_, err = tallyd(t, "venues", "-c", settingsFile(t, "venues: {enabled: [none]}"))
	require.NoError(t, err)
}

// What venue check tells of a login, and of one that is refused.
func TestVenueCheck(t *testing.T) {
	t.Parallel()
	e := newExchanges(t)
	e.set(func(e *exchanges) {
		e.keys["blink_writes"], e.keys["blink_everything"] = []string{"READ", "WRITE"}, []string{}
		e.windDown = "PRE_CUTOFF"
	})
	check := func(name string, login map[string]string) (string, error) {
		v, err := venueNamed(name)
		require.NoError(t, err)
		var out bytes.Buffer
		err = checkVenue(t.Context(), v, e.settings(), venue.NewCredentials(login), &out)
		for _, secret := range login {
			if len(secret) > 10 {
				require.NotContains(t, out.String(), secret)
				if err != nil {
					require.NotContains(t, err.Error(), secret)
				}
			}
		}
		return out.String(), err
	}
	out, err := check("blink", map[string]string{"api_key": blinkKey, "region": "staging"})
	require.NoError(t, err)
	require.Contains(t, out, "Blink, region staging\nrights: the key can only read (READ)\nlogin: blink-account\n")
	require.Contains(t, out, "account: closing: Blink ends custody")
	require.Regexp(t, `(?m)^spot +BTC +0.0015 +- +- +- +bip122:000000000019d6689c085ae165831e93/slip44:0$`, out)
	require.Regexp(t, `(?m)^spot +USD +12.5 `, out)
	require.Regexp(t, `(?m)^transactions +to the beginning +deposits on chain below`, out)

	out, err = check("bitmart", map[string]string{"api_key": bitmartKey, "api_secret": bitmartSecret, "memo": bitmartMemo})
	require.NoError(t, err)
	require.Contains(t, out, "does not say what the key may do")
	require.Regexp(t, `(?m)^earn +NOT READ +not_read: there are savings, and no`, out)

	for _, test := range []struct {
		name, venue, want string
		login             map[string]string
	}{
		{name: "Strong", venue: "blink", login: map[string]string{"api_key": "blink_writes"}, want: "tallyd does not take this key: the key can do more than read: WRITE; make one with: READ"},
		{name: "WithoutScopes", venue: "blink", login: map[string]string{"api_key": "blink_everything"}, want: "no scopes, which is full access"},
		{name: "Unknown", venue: "blink", login: map[string]string{"api_key": "blink_unknown"}, want: "check the login: blink: key_refused"},
		{name: "Memo", venue: "bitmart", login: map[string]string{"api_key": bitmartKey, "api_secret": bitmartSecret, "memo": "12345678"}, want: "not your user id"},
		{name: "Nothing", venue: "bitmart", login: map[string]string{"api_key": bitmartKey}, want: "bitmart needs TALLYD_VENUE_API_SECRET and TALLYD_VENUE_MEMO in the environment"},
		{name: "Region", venue: "blink", login: map[string]string{"api_key": blinkKey, "region": "mars"}, want: "region"},
	} {
		_, err := check(test.venue, test.login)
		require.ErrorContains(t, err, test.want, test.name)
	}
}

// The command takes the login from the environment.
func TestVenueCheckCommand(t *testing.T) {
	e := newExchanges(t)
	t.Setenv("TALLYD_VENUE_API_KEY", blinkKey)
	t.Setenv("TALLYD_VENUES_BASE_URLS_0_VENUE", "blink")
	t.Setenv("TALLYD_VENUES_BASE_URLS_0_URL", e.URL)
	out, err := tallyd(t, "venue", "check", "blink")
	require.NoError(t, err, out)
	require.Contains(t, out, "rights: the key can only read")
	require.Positive(t, e.count("/graphql"))
	_, err = tallyd(t, "venue", "check", "blink", blinkKey)
	require.ErrorContains(t, err, "takes NAME; arguments given: 2")
}

// venueWiring is everything that the settings of venues become.
type venueWiring struct {
	Agent             string
	Patience, Timeout time.Duration
	Bases             []string
	InUse             []string
	Next              []time.Time
	Workers           int
}

func wiredVenues(t *testing.T, cfg config.Venues) venueWiring {
	t.Helper()
	require.NoError(t, checkVenues(cfg))
	o := transportOptions(cfg)
	w := venueWiring{Agent: o.UserAgent, Patience: o.Patience, Timeout: o.Timeout, Workers: jobsConfig(cfg).VenueWorkers}
	schedules, err := venueSchedules(cfg)
	require.NoError(t, err)
	for _, v := range venuesInUse(cfg) {
		w.InUse = append(w.InUse, v.Name)
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range venueNames() {
		w.Next = append(w.Next, schedules[name].Balances.Next(at), schedules[name].History.Next(at))
		v, err := venueNamed(name)
		require.NoError(t, err)
		for _, region := range v.Regions {
			for host := range region.Hosts {
				if base := o.Base(name, region.Name, host); base != "" {
					w.Bases = append(w.Bases, name+" "+region.Name+" "+host+" "+base)
				}
			}
		}
	}
	slices.Sort(w.Bases)
	return w
}

// TestEverySettingOfVenuesIsWired changes one setting after the other: each must
// reach the transport, the poller or the jobs.
func TestEverySettingOfVenuesIsWired(t *testing.T) {
	t.Parallel()
	whole := func() config.Venues {
		v := config.DefaultVenues()
		v.Enabled = []string{"okx", "bitmart"}
		v.Schedules = []config.VenueSchedule{{Venue: "okx", Balances: "@every 2m", History: "@every 20m"}}
		v.BaseURLs = []config.BaseURL{{Venue: "bitmart", Region: "global", Host: "main", URL: config.NewURL("https://a")}}
		return v
	}
	require.Equal(t, userAgent(), wiredVenues(t, whole()).Agent)
	changes := map[string]func(v *config.Venues){
		"Enabled":            func(v *config.Venues) { v.Enabled = v.Enabled[:1] },
		"UserAgent":          func(v *config.Venues) { v.UserAgent = "agent" },
		"Balances":           func(v *config.Venues) { v.Balances = "*/5 * * * *" },
		"History":            func(v *config.Venues) { v.History = "@every 1h" },
		"Concurrency":        func(v *config.Venues) { v.Concurrency++ },
		"Patience":           func(v *config.Venues) { v.Patience++ },
		"Timeout":            func(v *config.Venues) { v.Timeout++ },
		"Schedules.Venue":    func(v *config.Venues) { v.Schedules[0].Venue = "bitmart" },
		"Schedules.Balances": func(v *config.Venues) { v.Schedules[0].Balances = "" },
		"Schedules.History":  func(v *config.Venues) { v.Schedules[0].History = "@every 3h" },
		"BaseURLs.Venue":     func(v *config.Venues) { v.BaseURLs[0].Venue = "okx" },
		"BaseURLs.Region":    func(v *config.Venues) { v.BaseURLs[0].Venue, v.BaseURLs[0].Region = "okx", "eea" },
		"BaseURLs.Host":      func(v *config.Venues) { v.BaseURLs[0].Host = "futures" },
		"BaseURLs.URL":       func(v *config.Venues) { v.BaseURLs[0].URL = config.NewURL("https://b") },
	}
	var visit func(prefix string, of reflect.Type)
	visit = func(prefix string, of reflect.Type) {
		for field := range of.Fields() {
			name := prefix + field.Name
			if field.Type.Kind() == reflect.Slice && field.Type.Elem().Kind() == reflect.Struct {
				visit(name+".", field.Type.Elem())
				continue
			}
			change := changes[name]
			require.NotNil(t, change, "nobody shows that %s is wired", name)
			changed := whole()
			change(&changed)
			require.NotEqual(t, wiredVenues(t, whole()), wiredVenues(t, changed), "%s changes nothing", name)
		}
	}
	visit("", reflect.TypeFor[config.Venues]())
}

// What venues ask for can be sent, and what is said of them leads somewhere.
func TestVenuesFitTheAPI(t *testing.T) {
	t.Parallel()
	members := map[string]bool{}
	for field := range reflect.TypeFor[accounts.Login]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		members[name] = true
	}
	for _, name := range venueNames() {
		v, err := venueNamed(name)
		require.NoError(t, err)
		for _, f := range v.Hint() {
			require.True(t, members[f.Name], "%s asks for %s, which POST /v1/exchange/%s/connect does not take", name, f.Name, name)
			require.Regexp(t, `^[A-Z_]+$`, loginVariable(f.Name))
		}
		require.Regexp(t, `^[a-z]+\.[a-z]+(/[a-z]+)?$`, v.Regions[0].Title, "the site that the hint links to")
		require.False(t, v.Regions[0].Sandbox, "what is meant without a word is no test money")
	}
}
