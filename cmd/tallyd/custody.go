package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/danielgtaylor/huma/v2"
	"github.com/spf13/cobra"

	"tallyd/api/access"
	"tallyd/api/custody"
	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/config"
	"tallyd/indexer"
	vaults "tallyd/indexer/custody"
)

// mountCustody adds the operations of custody.
func (d *daemon) mountCustody(api huma.API) {
	desk := vaults.Desk{Pools: d.store, Sources: &d.sources, Payers: map[string]vaults.PayerConfig{}, Search: d.searchNow}
	for slug, c := range d.cfg.Chains {
		desk.Payers[slug] = payerConfig(c)
	}
	custody.Mount(api, custody.Config{
		Gate: d.gate, Vaults: d.store, Wallets: d.store, Assets: d.store, Pools: d.store, Transactions: d.store,
		Transfers: d.store, Deposits: d.store, Book: d.store, Halts: d.store,
		Ordering: ordered{d.store, d.paying}, Withdrawals: ordered{d.store, d.paying}, Desk: desk, Teller: desk,
		CoolingOff: d.cfg.Custody.CoolingOff,
	})
}

// payerConfig returns what payments of a chain may cost. The amount was checked when
// the settings were loaded.
func payerConfig(c config.Chain) vaults.PayerConfig {
	decimals := 8
	if c.Family == config.FamilyEVM {
		decimals = 18
	}
	most, _ := chains.ParseDecimal(c.Withdrawals.MaxFee, decimals)
	return vaults.PayerConfig{MaxFee: most, Blocks: c.Withdrawals.Blocks}
}

// eventTypes returns every type of event there is.
func eventTypes() []webhook.EventType {
	types := webhook.Types()
	for _, t := range custody.Types() {
		types = append(types, webhook.EventType(t))
	}
	return types
}

// policyOf returns when the deposits of a configured chain are credited. The
// amounts of its rules were checked when the settings were loaded.
func policyOf(chain chains.Chain, c config.Chain) (vaults.Policy, error) {
	policy := vaults.Policy{Default: thresholdOf(c.Deposits.Credit), ReorgLimit: c.Deposits.ReorgLimit}
	for _, r := range c.Deposits.Rules {
		rule := vaults.Rule{Asset: chain.Native.ID, Threshold: thresholdOf(r.Credit)}
		decimals := chain.Native.Decimals
		if r.Asset != "" {
			rule.Asset = chains.TokenID(chain.ID, r.Asset)
			for _, token := range listed(chain, c) {
				if token.ID == rule.Asset {
					decimals = token.Decimals
				}
			}
		}
		if r.From != "" {
			var err error
			if rule.From, err = chains.ParseDecimal(r.From, decimals); err != nil {
				return policy, fmt.Errorf("chains.%s.deposits.rules: %w", chain.Slug, err)
			}
		}
		policy.Rules = append(policy.Rules, rule)
	}
	return policy, nil
}

func thresholdOf(c config.Credit) vaults.Threshold {
	switch c.Tag {
	case config.CreditSafe:
		return vaults.Threshold{Basis: vaults.BasisSafe}
	case config.CreditFinalized:
		return vaults.Threshold{Basis: vaults.BasisFinal}
	}
	return vaults.Threshold{Basis: vaults.BasisDepth, Confirmations: c.Confirmations}
}

// Register implements indexer.Leases: a chain that is made known has a policy from
// its first block on, and nothing is searched or credited here under another one.
func (w windows) Register(ctx context.Context, chain chains.Chain, listed []chains.Asset) error {
	if err := w.RegisterWith(ctx, chain, listed, w.policy); err != nil {
		return err //nolint:wrapcheck // the store says what it was doing
	}
	w.registered()
	return nil
}

// checkLedger is the job that holds what wallets have against what made them have
// it. A ledger that does not add up is the operator's to look at: nothing repairs
// it.
func (d *daemon) checkLedger() indexer.Job {
	return indexer.Job{Name: "check the ledger", Spec: "@every 1h", Run: func(ctx context.Context) error {
		const most = 100
		faults, err := d.store.LedgerFaults(ctx, "", most)
		if err != nil {
			return err //nolint:wrapcheck // the store says what it was doing
		}
		more, err := d.store.WithdrawalFaults(ctx, "", most)
		if err != nil {
			return err //nolint:wrapcheck // the store says what it was doing
		}
		faults = append(faults, more...)
		for _, fault := range faults {
			d.log.Error().Str("fault", fault.Fault).Str("resource", fault.Resource).Msg("ledger does not add up")
		}
		d.faults.Store(int64(len(faults)))
		d.log.Debug().Int("faults", len(faults)).Msg("ledger checked")
		return nil
	}}
}

func chainCommand() *cobra.Command {
	chain := &cobra.Command{
		Use:   "chain",
		Short: "Let a chain that was halted go on",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	chain.AddCommand(chainResumeCommand())
	return chain
}

func chainResumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume SLUG",
		Short: "Credit the deposits of a halted chain again",
		Long: `Resume ends the halt of a chain: deposits that became due meanwhile are credited at
once.

A chain is halted when a reorg takes credited deposits back, or more blocks than
chains.SLUG.deposits.reorg_limit. It is followed all the same, and what wallets
have can be moved. See first why the reorg was so deep, and whether the chain
needs more confirmations. tallyd status shows which chains are halted.`,
		Example: "  tallyd chain resume btc",
		Args:    takes("SLUG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withLedger(cmd, func(l *operatorLedger) error {
				realm := indexer.Realm{Tenant: access.DefaultTenant, Environment: chains.Live}
				err := l.audited(cmd, realm, func(ctx context.Context) error { return l.Resume(ctx, args[0]) })
				if errors.Is(err, indexer.ErrNotFound) {
					return fmt.Errorf("no chain %q in the database", args[0])
				}
				return err
			})
		},
	}
}
