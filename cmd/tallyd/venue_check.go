package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/config"
)

// loginVariable returns the variable that holds a field of a login.
func loginVariable(field string) string { return "TALLYD_VENUE_" + strings.ToUpper(field) }

func venueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "venue",
		Short: "Try a login at an exchange or custodial service",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(venueCheckCommand())
	return cmd
}

func venueCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check NAME",
		Short: "Ask a venue what a key may do and what its account holds",
		Long: `Check opens a login at the venue NAME and prints what the key may do, what each wallet
holds, what the venue itself says all of it is worth, how far its history goes, and what
cannot be read. Nothing is stored and no database is opened.

The login is read from variables, never from arguments, which others on the machine see:

  TALLYD_VENUE_API_KEY          the key (Coinbase: its name)
  TALLYD_VENUE_API_SECRET       its secret
  TALLYD_VENUE_API_PASSPHRASE   where there is one
  TALLYD_VENUE_MEMO             at BitMart: the text typed when the key was made
  TALLYD_VENUE_OTP              at Kraken: the API password, if the key has one
  TALLYD_VENUE_REGION           where the venue has several; the first one if not set

tallyd venues NAME says which of them a venue takes. Of the settings those under venues
count: hosts, waiting times, what the daemon calls itself.

It ends with status 1 if the venue refuses the login, or tallyd does: a key that can
trade or withdraw is not taken.`,
		Example: `  read -rs TALLYD_VENUE_API_KEY && export TALLYD_VENUE_API_KEY
  tallyd venue check blink`,
		Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, _, err := settings(cmd)
			if err != nil {
				return err
			}
			v, err := venueNamed(args[0])
			if err != nil {
				return err
			}
			login := map[string]string{}
			for _, f := range v.Hint() {
				login[f.Name] = os.Getenv(loginVariable(f.Name))
			}
			return checkVenue(cmd.Context(), v, cfg.Venues, venue.NewCredentials(login), cmd.OutOrStdout())
		},
	}
}

// transportOptions returns how venues are asked by these settings.
func transportOptions(cfg config.Venues) venue.TransportOptions {
	return venue.TransportOptions{
		UserAgent: cmp.Or(cfg.UserAgent, userAgent()), Base: cfg.Base, Patience: cfg.Patience, Timeout: cfg.Timeout,
	}
}

// checkVenue prints all that can be known of a login without storing anything.
func checkVenue(ctx context.Context, v venue.Venue, cfg config.Venues, login venue.Credentials, out io.Writer) error {
	names, err := identity.Load()
	if err != nil {
		return fmt.Errorf("read the table of assets: %w", err)
	}
	var missing []string
	for _, f := range v.Hint() {
		if !f.Optional && login.Get(f.Name) == "" {
			missing = append(missing, loginVariable(f.Name))
		}
	}
	if missing != nil {
		return fmt.Errorf("%s needs %s in the environment", v.Name, strings.Join(missing, " and "))
	}
	session, err := venue.NewTransport(transportOptions(cfg)).Open(v, login)
	if err != nil {
		return fmt.Errorf("open the login: %w", err)
	}
	account := session.Account()
	access, err := account.Check(ctx)
	if err != nil {
		return fmt.Errorf("check the login: %w", err)
	}
	fmt.Fprintf(out, "%s, region %s\n", v.Title, session.Region().Name)
	printAccess(access, out)
	// A user of this command is one who looks: what the venue does not say is said.
	if err := access.Accept(true); err != nil {
		return fmt.Errorf("tallyd does not take this key: %w; make one with: %s", err, strings.Join(v.Tick, "; "))
	}
	balances, err := account.Balances(ctx)
	if err != nil {
		return fmt.Errorf("read balances: %w", err)
	}
	if err := printBalances(v, names, balances, out); err != nil {
		return err
	}
	if err := printWorth(ctx, account, out); err != nil {
		return err
	}
	return printHistories(account, out)
}

func printAccess(access venue.Access, out io.Writer) {
	verdict := map[venue.Verdict]string{
		venue.ReadOnly: "the key can only read", venue.TooStrong: "the key can do more than read",
		venue.Unknown: "the venue does not say what the key may do: look at the key yourself",
	}[access.Verdict]
	fmt.Fprintf(out, "rights: %s", verdict)
	if len(access.Can) > 0 {
		fmt.Fprintf(out, " (%s)", strings.Join(access.Can, ", "))
	}
	fmt.Fprintln(out)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(out, "%s: %s\n", name, text)
		}
	}
	line("too much", strings.Join(access.Excess, ", "))
	line("lacking", strings.Join(access.Lacks, ", "))
	line("login", access.Login)
	if !access.Expires.IsZero() {
		line("expires", moment(&access.Expires))
	}
	if access.Unbound {
		line("addresses", "the key may be used from anywhere: bind it to this machine's if the venue offers that")
	}
	if access.State.Status != "" && access.State.Status != venue.AccountOpen {
		text := strings.TrimSuffix(access.State.Status+": "+access.State.Detail, ": ")
		if !access.State.At.IsZero() {
			text += " (" + moment(&access.State.At) + ")"
		}
		line("account", text)
	}
	for _, warning := range access.Warnings {
		line("warning", warning)
	}
}

func printBalances(v venue.Venue, names *identity.Table, balances venue.Balances, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nWALLET\tCODE\tTOTAL\tAVAILABLE\tLOCKED\tOWED\tASSET")
	unknown := 0
	for _, h := range balances.Holdings {
		asset := names.Identify(v.Name, h.Code)
		note := ""
		if !asset.Known {
			note = " (not in the table)"
			unknown++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s%s\n", h.Wallet, h.Code, h.Total,
			cmp.Or(h.Available.String(), "-"), cmp.Or(h.Locked.String(), "-"), cmp.Or(h.Borrowed.String(), "-"), asset.Asset, note)
	}
	for _, m := range balances.Missing {
		fmt.Fprintf(table, "%s\tNOT READ\t\t\t\t\t%s\n", m.Wallet, strings.TrimSuffix(string(m.Reason)+": "+m.Detail, ": "))
	}
	if len(balances.Holdings)+len(balances.Missing) == 0 {
		fmt.Fprintln(table, "-\tnothing is held")
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	if unknown > 0 {
		fmt.Fprintln(out, "Codes that are not in the table are kept and listed as they are.")
	}
	return nil
}

// printWorth prints the venue's own totals, where it gives any. They are in a
// money of its own, so that there is nothing here to compare them with.
func printWorth(ctx context.Context, account venue.Account, out io.Writer) error {
	valuer, ok := account.(venue.Valuer)
	if !ok {
		return nil
	}
	totals, err := valuer.Value(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fmt.Fprintf(out, "\nThe venue's own total was not read: %v\n", err)
		return nil
	}
	for _, w := range totals {
		fmt.Fprintf(out, "\nThe venue's own total of %s: %s %s\n", cmp.Or(string(w.Wallet), "everything"), w.Total, w.Code)
	}
	return nil
}

func printHistories(account venue.Account, out io.Writer) error {
	var histories []venue.History
	if historian, ok := account.(venue.Historian); ok {
		histories = historian.Histories()
	}
	if len(histories) == 0 {
		fmt.Fprintln(out, "\nNo history can be read.")
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nHISTORY\tGOES BACK\tWHAT IT LEAVES OUT OR DOUBLES")
	for _, h := range histories {
		depth := "to the beginning"
		if h.Depth > 0 {
			const day = 24 * time.Hour
			depth = fmt.Sprintf("%d days", h.Depth/day)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", h.Stream, depth, cmp.Or(h.Limits, "-"))
	}
	return table.Flush() //nolint:wrapcheck // the terminal's own words
}
