package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
)

func keysCommand() *cobra.Command {
	keys := &cobra.Command{
		Use:   "keys",
		Short: "Make API keys",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	keys.AddCommand(keysCreateCommand())
	return keys
}

func keysCreateCommand() *cobra.Command {
	var tenant, environment, owner string
	var scopes []string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an API key and print it, this once",
		Long: `Create makes a bearer key for a tenant and prints it. It is stored as a keyed hash:
nobody can print it again, so keep it where secrets are kept.

A scope is resource:action: users, events or chains or *, and read, write, delete or *.
A running daemon takes the key at once.`,
		Example: "  tallyd keys create mobile-app --environment live --scope users:read --expires 8760h",
		Args:    takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, log, err := settings(cmd, "database.url", "api.key_pepper")
			if err != nil {
				return err
			}
			env := chains.Environment(environment)
			if env != chains.Live && env != chains.Test {
				return fmt.Errorf("--environment %q is neither live nor test", environment)
			}
			request := access.Request{
				Realm: indexer.Realm{Tenant: tenant, Environment: env},
				Owner: owner, Name: args[0], Scopes: scopes,
			}
			if strings.TrimSpace(args[0]) == "" {
				return errors.New("NAME is empty: say what the key is for")
			}
			if life < 0 {
				return fmt.Errorf("--expires %s is in the past", life)
			}
			if life > 0 {
				expires := time.Now().Add(life).UTC()
				request.ExpiresAt = &expires
			}
			key, text, err := access.NewKey(access.Pepper(cfg.API.KeyPepper.Reveal()), request, time.Now().UTC())
			if err != nil {
				return fmt.Errorf("make a key: %w", err)
			}
			ledger, err := openLedger(cmd.Context(), cfg, log, nil)
			if err != nil {
				return err
			}
			defer ledger.Close()
			err = ledger.CreateKey(cmd.Context(), key)
			if errors.Is(err, indexer.ErrNotFound) {
				return fmt.Errorf("no tenant %q in the database", tenant)
			}
			if err != nil {
				return fmt.Errorf("store the key: %w", err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), text)
			return nil
		},
	}
	cmd.Flags().StringVar(&tenant, "tenant", access.DefaultTenant, "whose key it is")
	cmd.Flags().StringVar(&environment, "environment", string(chains.Live), "live or test: which chains it sees")
	cmd.Flags().StringVar(&owner, "owner", "operator", "who holds it, for the record")
	cmd.Flags().StringSliceVar(&scopes, "scope", []string{"*:*"}, "resource:action it may do; repeat for more")
	cmd.Flags().DurationVar(&life, "expires", 0, "how long it is good; 0 for ever")
	return cmd
}
