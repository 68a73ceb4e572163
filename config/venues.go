package config

import (
	"cmp"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Venues says at which exchanges and custodial services accounts can be connected,
// and how they are read.
type Venues struct {
	// Enabled are the names of those in use, as `tallyd venues` lists them, or the
	// one word none. Accounts at others are not read and keep what they were last
	// seen with. Default: all that are built in.
	Enabled []string `yaml:"enabled"`
	// UserAgent names the daemon to venues. Some refuse what names no program.
	// Default tallyd and its version.
	UserAgent string `yaml:"user_agent"`
	// Balances is how often what accounts hold is read: an interval such as
	// @every 1m, or five fields as cron has them, in UTC; 10s or more. Default
	// @every 1m.
	Balances string `yaml:"balances"`
	// History is how often what happened is read, in the same form. Default
	// @every 10m.
	History string `yaml:"history"`
	// Schedules stand in place of Balances and History for single venues. Default
	// none.
	Schedules []VenueSchedule `yaml:"schedules"`
	// Concurrency is how many accounts one daemon reads balances of at once, and
	// histories of as many. Default 64.
	Concurrency int `yaml:"concurrency"`
	// Patience is how long one question waits for the budget of a venue before it
	// is put off. Default 10s.
	Patience time.Duration `yaml:"patience"`
	// Timeout is of one answer, connection included. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// BaseURLs are asked in place of the venues' own hosts: a proxy, or a mock.
	// Default none.
	BaseURLs []BaseURL `yaml:"base_urls"`
}

// VenueSchedule is how often accounts at one venue are read.
type VenueSchedule struct {
	// Venue is the name of a venue. Required.
	Venue string `yaml:"venue"`
	// Balances is as Venues.Balances. Default: that one.
	Balances string `yaml:"balances"`
	// History is as Venues.History. Default: that one.
	History string `yaml:"history"`
}

// BaseURL is what is asked in place of hosts of one venue. The first that fits a
// host counts.
type BaseURL struct {
	// Venue is the name of a venue. Required.
	Venue string `yaml:"venue"`
	// Region is the name of one of its regions. Default: all of them.
	Region string `yaml:"region"`
	// Host is the name of a host of the region, main for the one that has none:
	// `tallyd venues NAME` lists them. Default: all of them.
	Host string `yaml:"host"`
	// URL begins with https://, or with http:// where it leads to this machine.
	// Credentials are sent there. Required.
	URL URL `yaml:"url"`
}

// NoVenue is what stands in Venues.Enabled to turn all of them off.
const NoVenue = "none"

// DefaultVenues returns all venues with every default.
func DefaultVenues() Venues {
	var v Venues
	v.settle()
	return v
}

// Uses reports whether the venue of a name is in use, if it is built in.
func (v Venues) Uses(name string) bool {
	return len(v.Enabled) == 0 || slices.Contains(v.Enabled, name)
}

// Base returns what is asked in place of a host of a venue, whose own name may be
// "", or "" if that host itself is.
func (v Venues) Base(venue, region, host string) string {
	host = cmp.Or(host, "main")
	for _, b := range v.BaseURLs {
		if b.Venue == venue && (b.Region == "" || b.Region == region) && (b.Host == "" || b.Host == host) {
			return b.URL.Reveal()
		}
	}
	return ""
}

// Schedule returns how often what accounts at a venue hold is read, and what
// happened there.
func (v Venues) Schedule(venue string) (balances, history string) {
	balances, history = v.Balances, v.History
	for _, s := range v.Schedules {
		if s.Venue == venue {
			balances, history = cmp.Or(s.Balances, balances), cmp.Or(s.History, history)
		}
	}
	return balances, history
}

func (v *Venues) settle() {
	v.Balances = cmp.Or(v.Balances, "@every 1m")
	v.History = cmp.Or(v.History, "@every 10m")
	v.Concurrency = cmp.Or(v.Concurrency, 64)
	v.Patience = cmp.Or(v.Patience, 10*time.Second)
	v.Timeout = cmp.Or(v.Timeout, 30*time.Second)
}

// check reports what cannot work. Whether there is such a venue, and what a
// schedule means, only the daemon knows.
func (v Venues) check(p problems) {
	for i, name := range v.Enabled {
		key := "venues.enabled." + strconv.Itoa(i)
		switch {
		case name == NoVenue && len(v.Enabled) > 1:
			p.add(key, "%s stands alone", NoVenue)
		case name == "":
			p.add(key, "is empty")
		case slices.Contains(v.Enabled[:i], name):
			p.add(key, "stands in the list twice")
		}
	}
	if strings.ContainsFunc(v.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }) {
		p.add("venues.user_agent", "must be of printable ASCII characters")
	}
	notNegative(p, "venues.concurrency", v.Concurrency)
	notNegative(p, "venues.patience", v.Patience)
	notNegative(p, "venues.timeout", v.Timeout)
	for i, s := range v.Schedules {
		key := "venues.schedules." + strconv.Itoa(i) + ".venue"
		if s.Venue == "" {
			p.add(key, "is required")
		} else if slices.ContainsFunc(v.Schedules[:i], func(other VenueSchedule) bool { return other.Venue == s.Venue }) {
			p.add(key, "stands in the list twice")
		}
	}
	for i, b := range v.BaseURLs {
		b.check(p, "venues.base_urls."+strconv.Itoa(i))
	}
}

func (b BaseURL) check(p problems, key string) {
	if b.Venue == "" {
		p.add(key+".venue", "is required")
	}
	address := b.URL.Reveal()
	if address == "" {
		p.add(key+".url", "is required")
		return
	}
	checkURL(p, key+".url", b.URL, "https", "http")
	parsed, err := url.Parse(address)
	switch {
	case err != nil:
	case parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "":
		p.add(key+".url", "must be no more than scheme, host and path")
	case parsed.Scheme == "http" && !thisMachine(parsed.Hostname()):
		p.add(key+".url", "must begin with https://, since credentials are sent there")
	}
}

// thisMachine reports whether a host is this machine, whoever resolves names.
func thisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
