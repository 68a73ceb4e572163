package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyd/api/access"
	"tallyd/indexer"
)

func keysCommand() *cobra.Command {
	keys := &cobra.Command{
		Use:   "keys",
		Short: "Make, list, rotate and revoke API keys",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	keys.AddCommand(keysCreateCommand(), keysListCommand(), keysRotateCommand(), keysRevokeCommand())
	return keys
}

// newKey is what keys create is asked for with.
type newKey struct {
	owner         string
	kind          string
	scopes        []string
	addresses     []string
	perMinute     int
	unsignedQuery bool
	life          time.Duration
}

func keysCreateCommand() *cobra.Command {
	var asked newKey
	var realm func() (indexer.Realm, error)
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make an API key and print it, this once",
		Long: `Create makes a key for a tenant and prints it. Nobody can print it again, so keep it
where secrets are kept. A running daemon takes the key at once.

A bearer key is sent with every request; it is stored as a keyed hash. Of a signed key
two lines are printed: the key, which is sent, and its secret, which is not: each request
is signed with it. The secret is stored sealed, which takes secrets.keyset.

A scope is resource:action. Actions are read, write, create (which write implies), delete
and *; resources are
  ` + listOf(access.Resources()) + ` and *.`,
		Example: `  tallyd keys create mobile-app --environment live --scope users:read --expires 8760h
  tallyd keys create payouts --kind signed --scope 'vaults:*' --scope transactions:write --address 192.0.2.0/24`,
		Args: takes("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			within, err := realm()
			if err != nil {
				return err
			}
			now := time.Now().UTC()
			request, err := asked.request(args[0], now)
			if err != nil {
				return err
			}
			request.Realm = within
			required := []string{"api.key_pepper"}
			if request.Kind == access.Signed {
				required = append(required, keysetSetting)
			}
			// What is wrong with the key is said before anything is opened.
			if _, _, err := access.NewKey(make(access.Pepper, 16), request, now); err != nil {
				return fmt.Errorf("make a key: %w", err)
			}
			return withLedger(cmd, func(l *operatorLedger) error { return l.createKey(cmd, request, now) }, required...)
		},
	}
	realm = realmFlags(cmd, "whose key it is")
	cmd.Flags().StringVar(&asked.owner, "owner", "operator", "who holds it: a team, a service")
	cmd.Flags().StringVar(&asked.kind, "kind", string(access.Bearer), "bearer, or signed")
	cmd.Flags().StringSliceVar(&asked.scopes, "scope", []string{"*:*"}, "resource:action it may do; repeat for more")
	cmd.Flags().StringSliceVar(&asked.addresses, "address", nil, "network or address it may be used from; repeat for more; everywhere if not given")
	cmd.Flags().IntVar(&asked.perMinute, "per-minute", 0, "its budget of requests; 0 for the default")
	cmd.Flags().BoolVar(&asked.unsignedQuery, "unsigned-query", false, "its signatures leave out the query")
	cmd.Flags().DurationVar(&asked.life, "expires", 0, "how long it is good; 0 for ever")
	return cmd
}

// request returns what the flags ask for.
func (k newKey) request(name string, now time.Time) (access.Request, error) {
	request := access.Request{
		Owner: k.owner, Name: name, Kind: access.Kind(k.kind), Scopes: k.scopes, PerMinute: k.perMinute, UnsignedQuery: k.unsignedQuery,
		CreatedBy: cliCaller,
	}
	switch {
	case strings.TrimSpace(name) == "":
		return request, errors.New("NAME is empty: say what the key is for")
	case strings.TrimSpace(k.owner) == "":
		return request, errors.New("--owner is empty: say who holds the key")
	case k.life < 0:
		return request, fmt.Errorf("--expires %s is in the past", k.life)
	case k.life > 0:
		expires := now.Add(k.life)
		request.ExpiresAt = &expires
	}
	var err error
	if request.Addresses, err = access.ParseAddresses(k.addresses); err != nil {
		return request, fmt.Errorf("--address: %w", err)
	}
	request.MetaData, err = stampedByCLI()
	return request, err
}

func (l *operatorLedger) createKey(cmd *cobra.Command, request access.Request, now time.Time) error {
	key, text, err := access.NewKey(l.pepper(), request, now)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	err = l.audited(cmd, key.Realm, func(ctx context.Context) error { return l.CreateKey(ctx, key) })
	if errors.Is(err, indexer.ErrNotFound) {
		return fmt.Errorf("no tenant %q in the database", key.Realm.Tenant)
	}
	if err != nil {
		return fmt.Errorf("store the key: %w", err)
	}
	printKey(cmd.OutOrStdout(), key, text)
	return nil
}

// pepper is what new keys are hashed with.
func (l *operatorLedger) pepper() access.Pepper { return access.Pepper(l.cfg.API.KeyPepper.Reveal()) }

// printKey prints what is shown once of a key: a line for what is sent, and one for
// what signs.
func printKey(out io.Writer, key access.Key, text string) {
	if key.Kind == access.Signed {
		fmt.Fprintln(out, key.Public())
	}
	fmt.Fprintln(out, text)
}

// listOf writes names in lines as wide as help is.
func listOf(names []string) string {
	const wide = 80
	var out strings.Builder
	line := 0
	for i, name := range names {
		if i > 0 {
			out.WriteString(",")
			if line += len(name) + 2; line > wide {
				out.WriteString("\n  ")
				line = len(name)
			} else {
				out.WriteString(" ")
			}
		}
		out.WriteString(name)
	}
	return out.String()
}
