package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/store"
)

// cliCaller is what the audit log and created_by call the operator's command line.
const cliCaller = "cli"

// operatorLedger is the ledger as the operator's commands use it.
type operatorLedger struct {
	*store.Store
	cfg config.Config
}

// withLedger opens the ledger of the settings for one command. The required keys
// must be set, beside the database.
func withLedger(cmd *cobra.Command, do func(*operatorLedger) error, required ...string) error {
	cfg, log, err := settings(cmd, append([]string{"database.url"}, required...)...)
	if err != nil {
		return err
	}
	ledger, err := openLedger(cmd.Context(), cfg, log, nil)
	if err != nil {
		return err
	}
	defer ledger.Close()
	return do(&operatorLedger{Store: ledger, cfg: cfg})
}

// audited carries out a write of a command in one transaction with its line in the
// audit log of a realm, and returns what do returned.
func (l *operatorLedger) audited(cmd *cobra.Command, realm indexer.Realm, do func(context.Context) error) error {
	var failed error
	entry := access.Entry{
		Realm: realm, Caller: cliCaller, RequestID: uuid.New(), Method: "CLI", Route: cmd.CommandPath(), Path: cmd.CommandPath(),
	}
	_, _, err := l.Write(cmd.Context(), entry, nil, func(ctx context.Context) access.Answer {
		failed = do(ctx)
		return outcomeOf(failed)
	})
	return errors.Join(failed, err)
}

// outcomeOf says how a command ended, as the audit log writes it of requests.
func outcomeOf(err error) access.Answer {
	switch {
	case err == nil:
		return access.Answer{Status: http.StatusOK}
	case errors.Is(err, indexer.ErrNotFound):
		return access.Answer{Status: http.StatusNotFound, Code: string(problem.NotFound)}
	case errors.Is(err, indexer.ErrExists):
		return access.Answer{Status: http.StatusConflict, Code: string(problem.Exists)}
	case errors.Is(err, access.ErrOverlap):
		return access.Answer{Status: http.StatusConflict, Code: string(problem.KeyRotating)}
	case errors.Is(err, errKeyEnded):
		return access.Answer{Status: http.StatusConflict, Code: string(problem.KeyEnded)}
	}
	return access.Answer{Status: http.StatusInternalServerError, Code: string(problem.Internal)}
}

// realmFlags adds the flags that choose a realm, and returns what reads them.
func realmFlags(cmd *cobra.Command, whose string) func() (indexer.Realm, error) {
	var tenant, environment string
	cmd.Flags().StringVar(&tenant, "tenant", access.DefaultTenant, whose)
	cmd.Flags().StringVar(&environment, "environment", string(chains.Live), "live or test: which chains it sees")
	return func() (indexer.Realm, error) {
		env := chains.Environment(environment)
		if env != chains.Live && env != chains.Test {
			return indexer.Realm{}, fmt.Errorf("--environment %q is neither live nor test", environment)
		}
		return indexer.Realm{Tenant: tenant, Environment: env}, nil
	}
}

// moment writes a time as tables show it.
func moment(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.UTC().Format("2006-01-02 15:04:05Z")
}
