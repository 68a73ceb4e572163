package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tallyd/api/access"
	"tallyd/indexer"
)

// errKeyEnded is what commands say of a key that cannot be used again.
var errKeyEnded = errors.New("the key is revoked or expired")

func keysListCommand() *cobra.Command {
	var owner string
	var realm func() (indexer.Realm, error)
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the API keys of a tenant, oldest first",
		Example: "  tallyd keys list --tenant acme --environment test",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			within, err := realm()
			if err != nil {
				return err
			}
			return withLedger(cmd, func(l *operatorLedger) error {
				keys, err := l.Keys(cmd.Context(), within, owner)
				if err != nil {
					return fmt.Errorf("list the keys: %w", err)
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "ID\tNAME\tOWNER\tKIND\tSCOPES\tSTATE\tEXPIRES\tLAST USED\tBY")
				for _, k := range keys {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Owner, k.Kind, strings.Join(k.Scopes, ","),
						stateOf(k, time.Now()), moment(k.ExpiresAt), moment(k.LastUsedAt), cmp.Or(k.CreatedBy, "-"))
				}
				return table.Flush()
			})
		},
	}
	realm = realmFlags(cmd, "whose keys")
	cmd.Flags().StringVar(&owner, "owner", "", "only this one's; all if not given")
	return cmd
}

// stateOf says in a word whether a key can be used.
func stateOf(k access.Key, now time.Time) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked"
	case !k.Good(now):
		return "expired"
	case k.OldUntil != nil && now.Before(*k.OldUntil):
		return "rotating"
	}
	return "good"
}

func keysRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "End an API key for good",
		Long: `Revoke ends a key for good: every running daemon refuses it within a second. ID is what
keys list shows, the third part of the key.`,
		Example: "  tallyd keys revoke AbCdEf123456",
		Args:    takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withLedger(cmd, func(l *operatorLedger) error {
				_, err := l.changeKey(cmd, args[0], func(k *access.Key) error {
					if k.RevokedAt == nil {
						now := time.Now().UTC()
						k.RevokedAt = &now
					}
					return nil
				})
				return err
			})
		},
	}
}

func keysRotateCommand() *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Give an API key a new secret and print it, this once",
		Long: `Rotate prints a key with a new secret, as create does. The one before stays good for the
overlap. At most two are good at a time: while an overlap runs, only --overlap 0 rotates
again, which ends every earlier one now.`,
		Example: "  tallyd keys rotate AbCdEf123456 --overlap 1h",
		Args:    takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if overlap < 0 {
				return fmt.Errorf("--overlap %s is in the past", overlap)
			}
			return withLedger(cmd, func(l *operatorLedger) error {
				var text string
				key, err := l.changeKey(cmd, args[0], func(k *access.Key) error {
					now := time.Now()
					if !k.Good(now) {
						return errKeyEnded
					}
					var err error
					text, err = k.Rotate(l.pepper(), overlap, now)
					return err //nolint:wrapcheck // it says all there is to say
				})
				if errors.Is(err, access.ErrOverlap) {
					return fmt.Errorf("%w: wait, or end it with --overlap 0", err)
				}
				if err != nil {
					return err
				}
				printKey(cmd.OutOrStdout(), key, text)
				return nil
			}, "api.key_pepper")
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the one before stays good")
	return cmd
}

// changeKey changes a key of whatever realm.
func (l *operatorLedger) changeKey(cmd *cobra.Command, id string, change func(*access.Key) error) (access.Key, error) {
	key, err := l.KeyByID(cmd.Context(), id)
	if errors.Is(err, indexer.ErrNotFound) {
		return key, fmt.Errorf("no key %q in the database: tallyd keys list shows them", id)
	}
	if err != nil {
		return key, err //nolint:wrapcheck // the store says what it was doing
	}
	err = l.audited(cmd, key.Realm, func(ctx context.Context) error {
		var err error
		key, err = l.ChangeKey(ctx, key.Realm, id, change)
		return err //nolint:wrapcheck // the store says what it was doing
	})
	return key, err
}
