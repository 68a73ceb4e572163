package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"tallyd/config"
)

// settings loads the file named by --config or TALLYD_CONFIG, and the variables.
// The required keys must be set.
func settings(cmd *cobra.Command, required ...string) (config.Config, zerolog.Logger, error) {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return config.Config{}, zerolog.Nop(), fmt.Errorf("read --config: %w", err)
	}
	cfg, err := config.Load(cmp.Or(path, os.Getenv("TALLYD_CONFIG")), os.Environ(), required...)
	if err == nil {
		err = checkVenues(cfg.Venues)
	}
	if err == nil {
		_, err = newPricing(cfg.Prices, zerolog.Nop())
	}
	if err != nil {
		if !strings.Contains(err.Error(), "\n") {
			return config.Config{}, zerolog.Nop(), fmt.Errorf("settings are not usable: %w", err)
		}
		return config.Config{}, zerolog.Nop(), fmt.Errorf("settings are not usable:\n%w", err)
	}
	return cfg, logger(cfg.Log, os.Stderr), nil
}

// logger writes to out as the settings say.
func logger(cfg config.Log, out *os.File) zerolog.Logger {
	var w io.Writer = out
	if cfg.Format == "console" || cfg.Format == "auto" && isTerminal(out) {
		w = zerolog.ConsoleWriter{Out: out, TimeFormat: time.TimeOnly}
	}
	level, err := zerolog.ParseLevel(cfg.Level)
	if err != nil {
		level = zerolog.InfoLevel // the settings were checked
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}

// isTerminal reports whether a person is looking.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
