package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tallyd/store"
)

func migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to this version's schema",
		Long: `Migrate applies what the database lacks, ours and the job queue's, and says what it
did. It may run while others run it: one applies, the others find nothing to do.`,
		Example: "  tallyd migrate --config tallyd.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := settings(cmd, "database.url")
			if err != nil {
				return err
			}
			applied, err := store.Migrate(cmd.Context(), store.Options{
				URL: cfg.Database.URL.Reveal(), Pooler: cfg.Database.Pooler, Log: log,
			})
			if err != nil {
				return fmt.Errorf("migrate: %w", oneLineError{err})
			}
			switch applied {
			case 0:
				fmt.Fprintln(cmd.OutOrStdout(), "nothing to do: the schema is this version's")
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "migrations applied: %d\n", applied)
			}
			return nil
		},
	}
}
