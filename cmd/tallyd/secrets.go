package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tallyd/store/secret"
)

// keysetSetting is what config.Load asks for where secrets are sealed or opened.
const keysetSetting = "secrets.keyset|secrets.keyset_file"

func secretsCommand() *cobra.Command {
	secrets := &cobra.Command{
		Use:   "secrets",
		Short: "Make what the settings take their secrets from",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	secrets.AddCommand(secretsKeysetCommand())
	return secrets
}

func secretsKeysetCommand() *cobra.Command {
	var add, promote, rotate bool
	cmd := &cobra.Command{
		Use:   "keyset",
		Short: "Print a new keyset, or the one in the settings with a new key",
		Long: `Keyset prints a keyset for secrets.keyset: what secrets that must be read again are
sealed with. Keep a copy of it: without it what it sealed is lost.

One of its keys seals, and all of them open. To give it a new key while daemons run, add
one, restart every daemon with what was printed, promote it, and restart them again: at
every moment each daemon opens what any other sealed. Where there is one daemon, rotate
does both at once. Earlier keys stay: what they sealed is still there.

--add, --promote and --rotate read the keyset of the settings and write nothing.`,
		Example: `  export KEYSET="$(tallyd secrets keyset)"
  tallyd secrets keyset --add --config tallyd.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := secret.New()
			if add || promote || rotate {
				text, err = editedKeyset(cmd, add || rotate, promote || rotate)
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), text)
			return nil
		},
	}
	cmd.Flags().BoolVar(&add, "add", false, "add a key that opens, and does not seal yet")
	cmd.Flags().BoolVar(&promote, "promote", false, "let the newest key seal")
	cmd.Flags().BoolVar(&rotate, "rotate", false, "add a key that seals at once: for one daemon")
	cmd.MarkFlagsMutuallyExclusive("add", "promote", "rotate")
	return cmd
}

// editedKeyset returns the keyset of the settings with a new key, or with its newest
// key promoted, or both.
func editedKeyset(cmd *cobra.Command, add, promote bool) (string, error) {
	cfg, _, err := settings(cmd, keysetSetting)
	if err != nil {
		return "", err
	}
	setting, err := cfg.Secrets.Read()
	if err != nil {
		return "", err //nolint:wrapcheck // it names the setting
	}
	text := setting.Reveal()
	if add {
		text, err = secret.Add(text)
	}
	if promote && err == nil {
		text, err = secret.Promote(text)
	}
	if err != nil {
		return "", fmt.Errorf("secrets.keyset: %w", err)
	}
	return text, nil
}
