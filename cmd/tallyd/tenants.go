package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
)

func tenantsCommand() *cobra.Command {
	tenants := &cobra.Command{
		Use:   "tenants",
		Short: "Make and list tenants, and say what they may hold",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	tenants.AddCommand(tenantsCreateCommand(), tenantsListCommand(), tenantsAssetsCommand())
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
				fmt.Fprintln(table, "ID\tNAME\tCREATED\tBY\tASSETS")
				for _, t := range tenants {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, moment(&t.CreatedAt), cmp.Or(t.CreatedBy, "-"), heldBy(t))
				}
				return table.Flush()
			})
		},
	}
}

// heldBy says how many assets a tenant may hold.
func heldBy(t access.Tenant) string {
	if t.Assets == nil {
		return "all"
	}
	return strconv.Itoa(len(t.Assets))
}

func tenantsAssetsCommand() *cobra.Command {
	var every bool
	cmd := &cobra.Command{
		Use:   "assets ID [ASSET...]",
		Short: "Say which assets a tenant may open wallets of custody for",
		Long: `Assets says which assets a tenant may open wallets of custody for: those named, by
CAIP-19, or with --all every one that a chain lists, which is so until you say otherwise.
They hold in both environments. Wallets that are open stay, and are paid and pay.`,
		Example: `  tallyd tenants assets acme eip155:1/slip44:60 bip122:000000000019d6689c085ae165831e93/slip44:0
  tallyd tenants assets acme --all`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := args[0]
			if every == (len(args) > 1) {
				return errors.New("name assets, or give --all")
			}
			var assets []chains.AssetID
			for _, name := range args[1:] {
				assets = append(assets, chains.AssetID(name))
			}
			return withLedger(cmd, func(l *operatorLedger) error {
				realm := indexer.Realm{Tenant: access.DefaultTenant, Environment: chains.Live}
				err := l.audited(cmd, realm, func(ctx context.Context) error {
					_, err := l.SetTenantAssets(ctx, id, assets)
					return err //nolint:wrapcheck // the ledger says what it was doing
				})
				if errors.Is(err, indexer.ErrNotFound) {
					return fmt.Errorf("there is no tenant %q", id)
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&every, "all", false, "every asset that a chain lists")
	return cmd
}
