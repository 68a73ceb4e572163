package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// takes returns the check that exactly the named arguments are given.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return fmt.Errorf("%s takes %s; arguments given: %d", cmd.CommandPath(), strings.Join(names, " and "), len(args))
	}
}
