package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	neturl "net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tallyd/chains"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how far each chain is behind its node, and the accounts at venues",
		Long: `Status asks a running daemon for its chains and prints height, head, lag and state.
Below them stands how many accounts at exchanges are level, if there are any and the key
may see them (venues:read).
A dash stands for what is not known yet. With the master key it shows the live and the
test chains, with another key those of the key's environment.

It finds the daemon by --url and --key, else by the dev.json that tallyd dev wrote
under --data, else by the settings.`,
		Example: "  tallyd status\n  tallyd status --url http://127.0.0.1:8080 --key tly_live_…",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			url, key, err := daemonOf(cmd)
			if err != nil {
				return err
			}
			return status(cmd.Context(), url, key, cmd.OutOrStdout())
		},
	}
	cmd.Flags().String("url", "", "address of the daemon, such as http://127.0.0.1:8080")
	cmd.Flags().String("key", "", "API key; default: TALLYD_KEY")
	cmd.Flags().String("data", ".tallyd", "folder of tallyd dev")
	cmd.MarkFlagsMutuallyExclusive("url", "data")
	return cmd
}

// daemonOf returns the address of the daemon meant and a key for it.
func daemonOf(cmd *cobra.Command) (url, key string, err error) {
	flag := func(name string) string {
		value, _ := cmd.Flags().GetString(name) // declared above
		return value
	}
	url, key = flag("url"), cmp.Or(flag("key"), os.Getenv("TALLYD_KEY"))
	if url != "" {
		if parsed, err := neturl.Parse(url); err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			return "", "", fmt.Errorf("the address %q is not a URL such as http://127.0.0.1:8080", url)
		}
		return strings.TrimSuffix(url, "/"), key, nil
	}
	if cmd.Flags().Changed("data") || flag("config") == "" && os.Getenv("TALLYD_CONFIG") == "" {
		dev, err := readDevFile(flag("data"))
		if err == nil {
			return dev.URL, cmp.Or(key, dev.MasterKey), nil
		}
		if cmd.Flags().Changed("data") || !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
	}
	cfg, _, err := settings(cmd)
	if err != nil {
		return "", "", err
	}
	return "http://" + cfg.Listen, cmp.Or(key, cfg.API.MasterKey.Reveal()), nil
}

func readDevFile(dir string) (devFile, error) {
	var dev devFile
	text, err := os.ReadFile(filepath.Join(dir, devFileName))
	if err != nil {
		return dev, fmt.Errorf("read what tallyd dev wrote: %w", err)
	}
	if err := json.Unmarshal(text, &dev); err != nil {
		return dev, fmt.Errorf("read %s: %w", filepath.Join(dir, devFileName), err)
	}
	return dev, nil
}

// chainRow is what GET /v1/chains says of one chain. What is not known yet is nil.
type chainRow struct {
	Chain       string  `json:"chain"`
	Environment string  `json:"environment"`
	Height      *uint64 `json:"height"`
	Head        *uint64 `json:"head"`
	Lag         *uint64 `json:"lag"`
	State       string  `json:"state"`
	Reason      *string `json:"reason"`
	Halted      *string `json:"halted"`
}

// venueRow is what GET /v1/venues says of one venue.
type venueRow struct {
	Venue       string `json:"venue"`
	Environment string `json:"environment"`
	Accounts    int64  `json:"accounts"`
	Level       int64  `json:"level"`
	Syncing     int64  `json:"syncing"`
	Degraded    int64  `json:"degraded"`
	Stopped     int64  `json:"stopped"`
}

// status prints the chains of both environments, and the accounts at venues, as far
// as the key shows them.
func status(ctx context.Context, url, key string, out io.Writer) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rows := map[string]chainRow{}
	for _, environment := range []chains.Environment{chains.Live, chains.Test} {
		found, err := askStatus[struct{ Chains []chainRow }](ctx, url, key, "/v1/chains", environment)
		if err != nil {
			return err
		}
		for _, row := range found.Chains {
			rows[row.Chain] = row
		}
	}
	if err := printChains(rows, out); err != nil {
		return err
	}
	return printVenues(ctx, url, key, out)
}

func printChains(rows map[string]chainRow, out io.Writer) error {
	if len(rows) == 0 {
		fmt.Fprintln(out, "no chain yet")
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHAIN\tENVIRONMENT\tHEIGHT\tHEAD\tLAG\tSTATE\tREASON")
	for _, slug := range slices.Sorted(maps.Keys(rows)) {
		r := rows[slug]
		reason := ""
		if r.Reason != nil {
			reason = *r.Reason
		}
		if r.Halted != nil {
			reason = strings.TrimPrefix(reason+"; no deposits are credited: "+*r.Halted, "; ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Chain, r.Environment, orDash(r.Height), orDash(r.Head), orDash(r.Lag), r.State, reason)
	}
	return table.Flush() //nolint:wrapcheck // the terminal's own words
}

// printVenues prints how many accounts at venues are level, if there are any and the
// key may see them.
func printVenues(ctx context.Context, url, key string, out io.Writer) error {
	rows := map[string]venueRow{}
	for _, environment := range []chains.Environment{chains.Live, chains.Test} {
		found, err := askStatus[struct{ Venues []venueRow }](ctx, url, key, "/v1/venues", environment)
		if errors.Is(err, errNoScope) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, row := range found.Venues {
			rows[row.Venue+" "+row.Environment] = row
		}
	}
	if len(rows) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nVENUE\tENVIRONMENT\tACCOUNTS\tLEVEL\tSYNCING\tDEGRADED\tSTOPPED")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		r := rows[name]
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\n", r.Venue, r.Environment, r.Accounts, r.Level, r.Syncing, r.Degraded, r.Stopped)
	}
	return table.Flush() //nolint:wrapcheck // the terminal's own words
}

// errNoScope says that a key may not see what was asked for.
var errNoScope = errors.New("the key lacks a scope")

// askStatus asks a daemon for something of one environment. A key that is not the
// master key sees its own whatever is asked for.
func askStatus[T any](ctx context.Context, url, key, path string, environment chains.Environment) (T, error) {
	var answer T
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+path, nil)
	if err != nil {
		return answer, fmt.Errorf("ask %s: %w", url, err)
	}
	request.Header.Set("X-API-Key", key)
	request.Header.Set("X-Environment", string(environment))
	response, err := http.DefaultClient.Do(request)
	if fault, ok := errors.AsType[*neturl.Error](err); ok {
		err = fault.Err // it repeats the address
	}
	if err != nil {
		return answer, fmt.Errorf("no daemon answers at %s: %w", url, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return answer, fmt.Errorf("the daemon at %s refuses the key: give one by --key or TALLYD_KEY", url)
	case http.StatusForbidden:
		return answer, fmt.Errorf("the daemon at %s refuses the key: %w: %s:read", url, errNoScope, strings.TrimPrefix(path, "/v1/"))
	default:
		return answer, fmt.Errorf("the daemon at %s answers %s", url, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("what answers at %s is no tallyd: %w", url, err)
	}
	return answer, nil
}

func orDash(n *uint64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatUint(*n, 10)
}
