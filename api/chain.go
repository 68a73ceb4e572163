package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
)

// Chains reads the state of the chains.
type Chains interface {
	// ChainStatuses returns the status of every chain the ledger has met, of
	// both environments, or none.
	ChainStatuses(ctx context.Context) ([]indexer.ChainStatus, error)
}

// chainStatus is one chain as an operator sees it.
type chainStatus struct {
	Chain       string     `json:"chain" example:"btc"`
	ID          string     `json:"id" doc:"CAIP-2" example:"bip122:000000000019d6689c085ae165831e93"`
	Family      string     `json:"family" enum:"bitcoin,evm"`
	Environment string     `json:"environment" enum:"live,test"`
	State       string     `json:"state" enum:"starting,syncing,level,lagging,degraded,halted"`
	Reason      *string    `json:"reason" nullable:"true" doc:"Why it is not level"`
	Halted      *string    `json:"halted" nullable:"true" doc:"Why deposits are not credited until an operator resumes the chain; null if they are"`
	Height      *uint64    `json:"height" nullable:"true" doc:"Tip of the ledger; null before its first block"`
	Hash        *string    `json:"hash" nullable:"true"`
	BlockTime   *time.Time `json:"block_time" nullable:"true"`
	Head        *uint64    `json:"head" nullable:"true" doc:"Best height seen at the node; null before its first answer"`
	Lag         *uint64    `json:"lag" nullable:"true" doc:"Blocks from height to head"`
	Final       *uint64    `json:"final" nullable:"true" doc:"Highest height that counts as final"`
	Scripts     int64      `json:"scripts" doc:"Scripts watched"`
	UpdatedAt   *time.Time `json:"updated_at" nullable:"true"`
}

type chainsOutput struct {
	Body struct {
		Chains []chainStatus `json:"chains" nullable:"false"`
	}
}

func (r *Router) mountChains() {
	huma.Register(r.api, r.cfg.Gate.Guard(huma.Operation{
		OperationID: "ListChains", Method: http.MethodGet, Path: "/v1/chains",
		Summary: "State of every chain", Tags: []string{"Operation"},
	}, access.Rule{Surface: access.Own, Scope: "chains:read"}), r.listChains)
}

// listChains answers with the chains of the caller's environment.
func (r *Router) listChains(ctx context.Context, _ *struct{}) (*chainsOutput, error) {
	all, err := r.cfg.Chains.ChainStatuses(ctx)
	if err != nil {
		return nil, fmt.Errorf("read chains: %w", err)
	}
	out := &chainsOutput{}
	out.Body.Chains = []chainStatus{}
	for _, c := range all {
		if c.Environment == access.From(ctx).Realm.Environment {
			out.Body.Chains = append(out.Body.Chains, chainStatusOf(c))
		}
	}
	return out, nil
}

func chainStatusOf(c indexer.ChainStatus) chainStatus {
	s := chainStatus{
		Chain: c.Chain, ID: c.ID, Family: string(c.Family), Environment: string(c.Environment),
		State: c.State, Reason: known(c.Reason), Halted: known(c.Halted), Final: known(c.Final), Scripts: c.Scripts,
		UpdatedAt: utc(c.UpdatedAt),
	}
	if !c.Tip.Hash.IsZero() {
		hash := c.Tip.Hash.String()
		if c.Family == chains.FamilyEVM {
			hash = "0x" + hash
		}
		s.Height, s.Hash, s.BlockTime = &c.Tip.Height, &hash, utc(c.Tip.Time)
	}
	if s.Height != nil || c.Head > 0 {
		s.Head = &c.Head
	}
	if s.Height != nil {
		lag := c.Head - min(c.Head, c.Tip.Height)
		s.Lag = &lag
	}
	return s
}

// known returns nil for the zero value, which stands for not known.
func known[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// utc returns nil for no time.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
