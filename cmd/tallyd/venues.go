package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tallyd/chains/all"
	"tallyd/chains/venue"
	"tallyd/config"
	"tallyd/indexer"
)

func venuesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "venues [NAME]",
		Short: "List the exchanges and custodial services that can be read, and what they need",
		Long: `Venues lists every venue that is built in: the fields that a login is made of, its
regions, the permissions to tick when the key is made, whether the venue tells what a
key may do, and which parts could be checked against nothing (UNVERIFIED).

With NAME it shows one of them whole: each field with its hint, the hosts of each
region, what is read, and what each part was checked against.

Nothing is asked and no settings are needed. Those that venues.enabled leaves out are
marked off.`,
		Example: "  tallyd venues\n  tallyd venues bitmart",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, _, err := settings(cmd)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listVenues(cfg.Venues, cmd.OutOrStdout())
			}
			v, err := venueNamed(args[0])
			if err != nil {
				return err
			}
			return showVenue(v, cmd.OutOrStdout())
		},
	}
}

// venueNames returns the names of all venues that are built in, sorted.
func venueNames() []string { return slices.Sorted(maps.Keys(all.Venues())) }

// venueNamed returns the venue of a name that was typed.
func venueNamed(name string) (venue.Venue, error) {
	v, found := all.Venues()[name]
	if !found {
		return v, fmt.Errorf("no venue %q is built in; there are %s", name, strings.Join(venueNames(), ", "))
	}
	return v, nil
}

func listVenues(cfg config.Venues, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VENUE\tFIELDS\tREGIONS\tPERMISSIONS TO TICK\tTELLS RIGHTS\tUNVERIFIED")
	venues := all.Venues()
	for _, name := range venueNames() {
		v := venues[name]
		tells := "yes"
		if !v.Introspects {
			tells = "no"
		}
		if !cfg.Uses(name) {
			name += " (off)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", name, strings.Join(fieldNames(v), ", "), strings.Join(regionNames(v), ", "),
			strings.Join(v.Tick, "; "), tells, cmp.Or(strings.Join(unverified(v), ", "), "-"))
	}
	return table.Flush() //nolint:wrapcheck // the terminal's own words
}

// fieldNames returns the fields of a login; those that may be left out stand in
// brackets.
func fieldNames(v venue.Venue) []string {
	var names []string
	for _, f := range v.Hint() {
		if f.Optional {
			f.Name = "[" + f.Name + "]"
		}
		names = append(names, f.Name)
	}
	return names
}

func regionNames(v venue.Venue) []string {
	var names []string
	for _, r := range v.Regions {
		names = append(names, r.Name)
	}
	return names
}

// unverified returns the parts of a connector that could be checked against
// nothing.
func unverified(v venue.Venue) []string {
	var parts []string
	for _, e := range v.Evidence {
		if e.By == venue.Unverified {
			parts = append(parts, e.Part)
		}
	}
	return parts
}

func showVenue(v venue.Venue, out io.Writer) error {
	fmt.Fprintf(out, "%s (%s)\n", v.Title, v.Name)
	if v.About != "" {
		fmt.Fprintln(out, v.About)
	}
	if !v.Verified() {
		fmt.Fprintln(out, "UNVERIFIED: signing and balances could be checked against nothing")
	}
	fmt.Fprintf(out, "\nPermissions to tick: %s\n", strings.Join(v.Tick, "; "))
	if !v.Introspects {
		fmt.Fprintf(out, "%s does not tell what a key may do: look yourself, and acknowledge it when you connect.\n", v.Title)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nFIELD\tVARIABLE\tTITLE\tHINT")
	for _, f := range v.Hint() {
		hint := f.Hint
		if f.Optional {
			hint = strings.TrimPrefix(hint+"; may be left out", "; ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", f.Name, loginVariable(f.Name), f.Title, hint)
	}
	fmt.Fprintln(table, "\nREGION\tSITE\tHOST\tADDRESS")
	for _, r := range v.Regions {
		site := r.Title
		if r.Sandbox {
			site += " (test money)"
		}
		for _, host := range slices.Sorted(maps.Keys(r.Hosts)) {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Name, site, cmp.Or(host, "main"), r.Hosts[host])
		}
	}
	fmt.Fprintln(table, "\nPART\tCHECKED AGAINST\tSOURCE\tSEEN")
	for _, e := range v.Evidence {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", e.Part, e.By, cmp.Or(e.Source, "-"), cmp.Or(e.Seen, "-"))
	}
	return table.Flush() //nolint:wrapcheck // the terminal's own words
}

// shortestInterval is the least between two readings of an account: balances that are
// always due would leave no turn for its history.
const shortestInterval = 10 * time.Second

// checkVenues returns an error for each setting of venues that means none that is
// built in, or nil.
func checkVenues(cfg config.Venues) error {
	var faults []error
	wrong := func(key, format string, args ...any) {
		faults = append(faults, fmt.Errorf("venues.%s: %s", key, fmt.Sprintf(format, args...)))
	}
	venues := all.Venues()
	for i, name := range cfg.Enabled {
		if _, found := venues[name]; !found && name != config.NoVenue {
			wrong(fmt.Sprintf("enabled.%d", i), "there is no venue %q, but %s", name, strings.Join(venueNames(), ", "))
		}
	}
	schedule := func(key, spec string) {
		if spec == "" {
			return
		}
		s, err := indexer.ParseSchedule(spec)
		if err != nil {
			wrong(key, "must be an interval such as @every 1m, or five fields as cron has them")
			return
		}
		if first := s.Next(time.Now()); s.Next(first).Sub(first) < shortestInterval {
			wrong(key, "must leave %s or more between two times", shortestInterval)
		}
	}
	schedule("balances", cfg.Balances)
	schedule("history", cfg.History)
	for i, s := range cfg.Schedules {
		key := fmt.Sprintf("schedules.%d", i)
		if _, found := venues[s.Venue]; !found {
			wrong(key+".venue", "there is no venue %q, but %s", s.Venue, strings.Join(venueNames(), ", "))
		}
		schedule(key+".balances", s.Balances)
		schedule(key+".history", s.History)
	}
	for i, b := range cfg.BaseURLs {
		key := fmt.Sprintf("base_urls.%d", i)
		v, found := venues[b.Venue]
		if !found {
			wrong(key+".venue", "there is no venue %q, but %s", b.Venue, strings.Join(venueNames(), ", "))
			continue
		}
		regions := v.Regions
		if b.Region != "" {
			one, err := v.Region(b.Region)
			if err != nil {
				wrong(key+".region", "%s", err)
				continue
			}
			regions = []venue.Region{one}
		}
		if b.Host != "" && !slices.ContainsFunc(regions, func(r venue.Region) bool { return hasHost(r, b.Host) }) {
			wrong(key+".host", "%s has no host %q there", b.Venue, b.Host)
		}
	}
	return errors.Join(faults...)
}

// hasHost reports whether a region has a host by the name that settings call it.
func hasHost(r venue.Region, name string) bool {
	if name == "main" {
		name = ""
	}
	_, found := r.Hosts[name]
	return found
}
