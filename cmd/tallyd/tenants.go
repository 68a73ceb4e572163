package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
)

func tenantsCommand() *cobra.Command {
	tenants := &cobra.Command{
		Use:   "tenants",
		Short: "Make and list tenants",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	tenants.AddCommand(tenantsCreateCommand(), tenantsListCommand())
	return tenants
}

func tenantsCreateCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Make a tenant",
		Long: `Create makes a tenant: somebody whose users, accounts and keys nobody else sees. Make
its first key with tallyd keys create --tenant ID.

ID has up to 63 lower-case letters, digits, hyphens and underscores, and never changes.`,
		Example: "  tallyd tenants create acme --name 'Acme Payments'",
		Args:    takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := args[0]
			if !access.IsTenantID(id) {
				return fmt.Errorf("ID %q has other than %s", id, access.TenantRule)
			}
			return withLedger(cmd, func(l *operatorLedger) error {
				meta, err := stampedByCLI()
				if err != nil {
					return err
				}
				// A tenant is made by the operator, whose own tenant is the default one.
				realm := indexer.Realm{Tenant: access.DefaultTenant, Environment: chains.Live}
				err = l.audited(cmd, realm, func(ctx context.Context) error {
					return l.CreateTenant(ctx, access.Tenant{ID: id, Name: cmp.Or(name, id), CreatedBy: cliCaller, MetaData: meta})
				})
				if errors.Is(err, indexer.ErrExists) {
					return fmt.Errorf("tenant %q is there already", id)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what people call it; ID if not given")
	return cmd
}

// stampedByCLI is the meta_data of what the command line makes.
func stampedByCLI() (json.RawMessage, error) {
	return access.Principal{KeyID: cliCaller}.Stamp(nil) //nolint:wrapcheck // of nothing it is always good
}

func tenantsListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the tenants, oldest first",
		Example: "  tallyd tenants list",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withLedger(cmd, func(l *operatorLedger) error {
				tenants, err := l.Tenants(cmd.Context())
				if err != nil {
					return fmt.Errorf("list the tenants: %w", err)
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "ID\tNAME\tCREATED\tBY")
				for _, t := range tenants {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.ID, t.Name, moment(&t.CreatedAt), cmp.Or(t.CreatedBy, "-"))
				}
				return table.Flush()
			})
		},
	}
}
