package custody

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
)

type (
	assetView struct {
		ID       string `json:"id" doc:"CAIP-19; assetId elsewhere" example:"eip155:1/slip44:60"`
		Symbol   string `json:"symbol" example:"ETH"`
		Name     string `json:"name" example:"Ether"`
		Decimals int    `json:"decimals" example:"18"`
		Network  string `json:"network" doc:"Slug of the chain" example:"eth"`
		Native   bool   `json:"native" doc:"It is the coin of its chain"`
	}
	assetsOutput struct {
		Body struct {
			Assets []assetView `json:"assets" nullable:"false" doc:"By network, its coin first"`
		}
	}
)

func (s *surface) mountAssets(api huma.API) {
	op := huma.Operation{
		OperationID: "ListAssets", Method: http.MethodGet, Path: "/assets", Tags: []string{"Wallets"},
		Summary:     "List the assets that wallets may be opened for",
		Description: "They are the coins of the chains in your environment, and the tokens that the operator lists by contract, less those that the operator does not let you hold.",
	}
	seed(s, api, op, access.Rule{Scope: "assets:read", Signed: true}, s.listAssets)
}

func (s *surface) listAssets(ctx context.Context, _ *struct{}) (*assetsOutput, error) {
	found, err := s.Assets.EnabledAssets(ctx, realmOf(ctx))
	if err != nil {
		return nil, edge("list assets", err)
	}
	out := &assetsOutput{}
	out.Body.Assets = make([]assetView, 0, len(found))
	for _, a := range found {
		out.Body.Assets = append(out.Body.Assets, assetView{
			ID: string(a.ID), Symbol: a.Symbol, Name: a.Name, Decimals: a.Decimals, Network: a.Chain, Native: a.Native,
		})
	}
	return out, nil
}
