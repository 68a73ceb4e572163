package custody

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

type (
	fundView struct {
		AssetID   string  `json:"assetId"`
		Symbol    string  `json:"assetSymbol"`
		Balance   *string `json:"balance" nullable:"true" doc:"What there is to pay with, in whole units: coins of the pool that could be spent, or on EVM chains what the treasury has. null while that is unknown"`
		Committed string  `json:"committed" doc:"Of it, what withdrawals have that are built and not mined, with their fees"`
		Waiting   string  `json:"waiting" doc:"What withdrawals want that are not built yet"`
	}
	sweepableView struct {
		Address string `json:"address"`
		AssetID string `json:"assetId"`
		Symbol  string `json:"assetSymbol"`
		Amount  string `json:"amount" doc:"In whole units"`
		Gas     string `json:"gas" doc:"What the address has of the chain's coin to pay for the sweep"`
	}
	fundsView struct {
		Network  string          `json:"network"`
		Treasury *string         `json:"treasuryAddress" nullable:"true"`
		Height   uint64          `json:"height" doc:"Of the block all of it is true at"`
		Assets   []fundView      `json:"assets" nullable:"false"`
		Sweeps   []sweepableView `json:"sweepable" nullable:"false" doc:"EVM: what deposit addresses hold that could be swept to the treasury, the most first, at most 1000. Nothing is swept unless you order it"`
	}
	fundsOutput struct{ Body fundsView }
	sweepInput  struct {
		Body struct {
			_ struct{} `additionalProperties:"false"` // a limit that is misspelled must not be left out

			Network string `json:"network" pattern:"^[a-z][a-z0-9-]{0,31}$" example:"eth"`
			Address string `json:"address" minLength:"1" maxLength:"200" doc:"A deposit address"`
			AssetID string `json:"assetId" minLength:"1" maxLength:"200" doc:"All of this asset is swept"`
			MaxFee  string `json:"maxFee,omitempty" maxLength:"200" doc:"As for a withdrawal"`
			Note    string `json:"note,omitempty" maxLength:"500"`
		}
	}
	topUpInput struct {
		Body struct {
			_ struct{} `additionalProperties:"false"` // a limit that is misspelled must not be left out

			Network string `json:"network" pattern:"^[a-z][a-z0-9-]{0,31}$" example:"eth"`
			Address string `json:"address" minLength:"1" maxLength:"200" doc:"A deposit address"`
			Amount  string `json:"amount" maxLength:"200" doc:"Of the chain's coin, in whole units" example:"0.002"`
			MaxFee  string `json:"maxFee,omitempty" maxLength:"200" doc:"As for a withdrawal"`
			Note    string `json:"note,omitempty" maxLength:"500"`
		}
	}
)

func (s *surface) mountFunds(api huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/v1/custody" + path, Summary: summary, Tags: []string{"Withdrawals"}}
	}
	read := access.Rule{Surface: access.Custody, Scope: "custody:read", Signed: true}
	write := access.Rule{Surface: access.Custody, Scope: "custody:write", Signed: true, Once: true}
	huma.Register(api, s.Gate.Guard(op("GetFunds", http.MethodGet, "/funds/{chain}", "Get what there is to pay withdrawals with"), read), s.getFunds)
	sweep := op("Sweep", http.MethodPost, "/sweeps", "Move all of an asset from a deposit address to the treasury")
	sweep.Description = "EVM only. It is signed like a withdrawal, by the key of the address, which pays the fee: top it up before if it holds a token and no coin."
	sweep.DefaultStatus = http.StatusCreated
	huma.Register(api, s.Gate.Guard(sweep, write), s.sweep)
	topUp := op("TopUpGas", http.MethodPost, "/gas-topups", "Pay a deposit address what it needs for the fee of a sweep")
	topUp.Description = "EVM only. It is signed like a withdrawal, by the key of the treasury. It is no deposit."
	topUp.DefaultStatus = http.StatusCreated
	huma.Register(api, s.Gate.Guard(topUp, write), s.topUp)
}

func (s *surface) getFunds(ctx context.Context, in *ChainPath) (*fundsOutput, error) {
	funds, err := s.Ordering.Funds(ctx, realmOf(ctx), in.Chain)
	if err != nil {
		return nil, edge("read funds", err)
	}
	view := fundsView{
		Network: in.Chain, Treasury: optional(funds.Treasury), Height: funds.Tip, Assets: make([]fundView, 0, len(funds.Assets)),
		Sweeps: make([]sweepableView, 0, len(funds.Sweeps)),
	}
	var coin chains.Asset
	for i, f := range funds.Assets {
		if i == 0 {
			coin = f.Asset
		}
		in := func(a chains.Amount) string { return a.Decimal(f.Asset.Decimals) }
		shown := fundView{AssetID: string(f.Asset.ID), Symbol: f.Asset.Symbol, Committed: in(f.Committed), Waiting: in(f.Waiting)}
		if f.Balance != nil {
			shown.Balance = new(in(*f.Balance))
		}
		view.Assets = append(view.Assets, shown)
	}
	for _, one := range funds.Sweeps {
		view.Sweeps = append(view.Sweeps, sweepableView{
			Address: one.Address, AssetID: string(one.Asset.ID), Symbol: one.Asset.Symbol,
			Amount: one.Amount.Decimal(one.Asset.Decimals), Gas: one.Gas.Decimal(coin.Decimals),
		})
	}
	return &fundsOutput{Body: view}, nil
}

func (s *surface) sweep(ctx context.Context, in *sweepInput) (*withdrawalOutput, error) {
	return s.within(ctx, custody.InternalOrder{
		Kind: custody.KindSweep, Chain: in.Body.Network, Asset: chains.AssetID(in.Body.AssetID), Note: in.Body.Note,
	}, in.Body.Address, in.Body.MaxFee)
}

func (s *surface) topUp(ctx context.Context, in *topUpInput) (*withdrawalOutput, error) {
	native, err := s.native(ctx, realmOf(ctx), in.Body.Network)
	if err != nil {
		return nil, err
	}
	amount, err := custody.ParseAmount(in.Body.Amount, native.Decimals)
	if err != nil {
		return nil, problem.Invalid("amount", err.Error())
	}
	return s.within(ctx, custody.InternalOrder{
		Kind: custody.KindGasTopUp, Chain: in.Body.Network, Amount: amount, Note: in.Body.Note,
	}, in.Body.Address, in.Body.MaxFee)
}

func (s *surface) within(ctx context.Context, order custody.InternalOrder, address, maxFee string) (*withdrawalOutput, error) {
	order.ID, order.Realm = uuid.New(), realmOf(ctx)
	// The chain is looked for first: one of the other environment is not there.
	native, err := s.native(ctx, order.Realm, order.Chain)
	if err != nil {
		return nil, err
	}
	if order.MaxFee, err = mostFee(maxFee, native); err != nil {
		return nil, err
	}
	if order.Script, _, err = s.Desk.Script(order.Chain, "address", address); err != nil {
		return nil, edge("read address", err)
	}
	w, err := s.Ordering.MoveWithin(ctx, order)
	switch {
	case errors.Is(err, indexer.ErrNotFound):
		return nil, s.unfound(ctx, order)
	case err != nil:
		return nil, withdrawalEdge("move within", err)
	}
	return &withdrawalOutput{Body: viewWithdrawal(w)}, nil
}

// unfound returns the problem of an order that names an asset or an address which is
// not there.
func (s *surface) unfound(ctx context.Context, order custody.InternalOrder) error {
	if order.Kind == custody.KindSweep {
		assets, err := s.Assets.ListedAssets(ctx, order.Realm.Environment)
		if err != nil {
			return edge("list assets", err)
		}
		if !slices.ContainsFunc(assets, func(a custody.EnabledAsset) bool { return a.Chain == order.Chain && a.ID == order.Asset }) {
			return notThere("assetId", "no such asset is enabled on this chain")
		}
	}
	return notThere("address", "is none of your deposit addresses on this chain")
}
