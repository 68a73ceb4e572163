package custody

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

type poolView struct {
	Network   string  `json:"network" example:"btc"`
	Key       *string `json:"key" nullable:"true" doc:"The public key or descriptor that addresses are derived from, in canonical spelling; null if none is registered"`
	NextIndex *uint32 `json:"nextIndex" nullable:"true" doc:"The lowest index that was never given away"`
	Treasury  *string `json:"treasuryAddress" nullable:"true" doc:"EVM: the address that withdrawals are paid from"`
	Given     int64   `json:"addressesGiven" doc:"Addresses that vaults have"`
	Free      int64   `json:"addressesFree" doc:"Registered addresses that wait to be given"`
}

func viewPool(chain string, p custody.Pool) poolView {
	v := poolView{Network: chain, Treasury: optional(p.Treasury), Given: p.Given, Free: p.Free}
	if p.Key != nil {
		v.Key, v.NextIndex = &p.Key.Text, &p.Key.NextIndex
	}
	return v
}

type (
	// ChainPath names a chain.
	ChainPath struct {
		Chain string `path:"chain" pattern:"^[a-z][a-z0-9-]{0,31}$" doc:"Slug of the chain" example:"btc"`
	}
	putKeyInput struct {
		ChainPath
		Body struct {
			Key       string `json:"key,omitempty" maxLength:"1024" doc:"An extended public key or a descriptor of one key. The private one stays with you"`
			NextIndex uint32 `json:"nextIndex,omitempty" maximum:"2147483647" doc:"The lowest index to give away, for a key that was in use elsewhere. It never lowers what is given away already"`
			Treasury  string `json:"treasuryAddress,omitempty" maxLength:"200" doc:"EVM: the address that withdrawals are paid from"`
		}
	}
	addAddressesInput struct {
		ChainPath
		Body struct {
			Addresses []string `json:"addresses" minItems:"1" maxItems:"500" nullable:"false" doc:"Given to vaults in this order, where no key is registered"`
		}
	}
	poolOutput struct{ Body poolView }
)

func (s *surface) mountKeys(api huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/v1/custody/keys/{chain}" + path, Summary: summary, Tags: []string{"Keys of custody"}}
	}
	read, write := access.Rule{Surface: access.Custody, Scope: "custody:read", Signed: true}, access.Rule{Surface: access.Custody, Scope: "custody:write", Signed: true}
	put := op("RegisterCustodyKey", http.MethodPut, "", "Register the key that deposit addresses are derived from")
	put.Description = "Addresses that were given before stay good and watched. A key that comes back goes on where it ended: no index is given away twice."
	huma.Register(api, s.Gate.Guard(put, write), s.putKey)
	huma.Register(api, s.Gate.Guard(op("GetCustodyKey", http.MethodGet, "", "Get the key and the addresses of a chain"), read), s.getKey)
	huma.Register(api, s.Gate.Guard(op("RegisterCustodyAddresses", http.MethodPost, "/addresses", "Register addresses to be given to vaults"), write), s.addAddresses)
}

func (s *surface) putKey(ctx context.Context, in *putKeyInput) (*poolOutput, error) {
	realm := realmOf(ctx)
	if in.Body.Key == "" && in.Body.Treasury == "" {
		return nil, problem.Invalid("key", "expected a key, or a treasuryAddress")
	}
	if in.Body.Key == "" && in.Body.NextIndex > 0 {
		return nil, problem.Invalid("nextIndex", "expected a key with it")
	}
	if err := s.Pools.HasChain(ctx, realm, in.Chain); err != nil {
		return nil, edge("read keys", err)
	}
	if in.Body.Key != "" {
		if err := s.Desk.RegisterKey(ctx, realm, in.Chain, in.Body.Key, in.Body.NextIndex); err != nil {
			return nil, orTenant("register a key", err)
		}
	}
	if in.Body.Treasury != "" {
		if err := s.Desk.SetTreasury(ctx, realm, in.Chain, in.Body.Treasury); err != nil {
			return nil, orTenant("set the treasury", err)
		}
	}
	return s.getKey(ctx, &in.ChainPath)
}

// orTenant is edge for what is found missing after the chain was found: the tenant.
func orTenant(doing string, err error) error {
	if errors.Is(err, indexer.ErrNotFound) {
		return problem.Invalid("X-Tenant", "no such tenant")
	}
	return edge(doing, err)
}

func (s *surface) getKey(ctx context.Context, in *ChainPath) (*poolOutput, error) {
	pool, err := s.Pools.AddressPool(ctx, realmOf(ctx), in.Chain)
	if err != nil {
		return nil, edge("read keys", err)
	}
	return &poolOutput{Body: viewPool(in.Chain, pool)}, nil
}

func (s *surface) addAddresses(ctx context.Context, in *addAddressesInput) (*poolOutput, error) {
	realm := realmOf(ctx)
	if err := s.Pools.HasChain(ctx, realm, in.Chain); err != nil {
		return nil, edge("read keys", err)
	}
	if _, err := s.Desk.RegisterAddresses(ctx, realm, in.Chain, in.Body.Addresses); err != nil {
		return nil, orTenant("register addresses", err)
	}
	return s.getKey(ctx, &in.ChainPath)
}
