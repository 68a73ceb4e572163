package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how level every chain is",
		Long: `Status asks a running daemon for its chains and prints height, head, lag and state.
It finds the daemon by --url and --key, else by the dev.json that tallyd dev wrote
under --data, else by the settings.`,
		Args: cobra.NoArgs,
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
		return url, key, nil
	}
	if flag("config") == "" && os.Getenv("TALLYD_CONFIG") == "" {
		dev, err := readDevFile(flag("data"))
		if err == nil {
			return dev.URL, cmp.Or(key, dev.MasterKey), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
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

// chainRow is what GET /v1/chains says of one chain.
type chainRow struct {
	Chain  string `json:"chain"`
	Height uint64 `json:"height"`
	Head   uint64 `json:"head"`
	Lag    uint64 `json:"lag"`
	State  string `json:"state"`
	Reason string `json:"reason"`
}

func status(ctx context.Context, url, key string, out io.Writer) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/chains", nil)
	if err != nil {
		return fmt.Errorf("address %q: %w", url, err)
	}
	request.Header.Set("X-API-Key", key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no daemon answers at %s: %w", url, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the daemon at %s answers %s", url, response.Status)
	}
	var rows []chainRow
	if err := json.NewDecoder(response.Body).Decode(&rows); err != nil {
		return fmt.Errorf("read the answer of %s: %w", url, err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHAIN\tHEIGHT\tHEAD\tLAG\tSTATE\tREASON")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%s\n", r.Chain, r.Height, r.Head, r.Lag, r.State, r.Reason)
	}
	return table.Flush() //nolint:wrapcheck // the terminal's own words
}
