package custody

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

type (
	// balanceView is amounts in whole units of the wallet's asset.
	balanceView struct {
		Available string `json:"available" doc:"What can be moved; negative while the wallet owes" example:"1.5"`
		Locked    string `json:"locked" doc:"Set aside for withdrawals under way" example:"0"`
		Credited  string `json:"credited" doc:"available and locked: all that is the wallet's" example:"1.5"`
		Pending   string `json:"pending" doc:"Seen and not credited yet: nothing to rely on" example:"0.25"`
	}
	walletView struct {
		ID          uuid.UUID   `json:"id" format:"uuid"`
		VaultID     uuid.UUID   `json:"vaultId" format:"uuid"`
		AssetID     string      `json:"assetId" doc:"CAIP-19" example:"eip155:1/slip44:60"`
		AssetName   string      `json:"assetName" example:"Ether"`
		AssetSymbol string      `json:"assetSymbol" example:"ETH"`
		Decimals    int         `json:"decimals" doc:"Digits that amounts can have behind the point" example:"18"`
		Network     string      `json:"network" doc:"Slug of the chain" example:"eth"`
		Label       string      `json:"label"`
		Address     string      `json:"depositAddress" doc:"Where the end customer pays"`
		Tag         *string     `json:"depositTag" nullable:"true" doc:"Always null: no chain of ours needs one"`
		Status      string      `json:"status" enum:"Active,Frozen" doc:"Frozen while it owes: a reorg took back what had been moved on"`
		Balance     balanceView `json:"balance"`
		Searched    bool        `json:"historySearched" doc:"false while the past of its addresses is searched: payments of before may still be found"`
		CreatedAt   time.Time   `json:"createdAt"`
	}
	addressView struct {
		ID      uuid.UUID  `json:"id" format:"uuid"`
		Address string     `json:"address"`
		Network string     `json:"network" example:"btc"`
		Index   *uint32    `json:"index" nullable:"true" doc:"Below the registered key; null for a leased address"`
		GivenAt *time.Time `json:"givenAt" nullable:"true"`
	}
)

func viewBalance(asset chains.Asset, b custody.Balance) balanceView {
	in := func(a chains.Amount) string { return a.Decimal(asset.Decimals) }
	return balanceView{Available: in(b.Available), Locked: in(b.Locked), Credited: in(b.Credited()), Pending: in(b.Pending)}
}

func viewWallet(w custody.Wallet) walletView {
	return walletView{
		ID: w.ID, VaultID: w.VaultID, AssetID: string(w.Asset.ID), AssetName: w.Asset.Name, AssetSymbol: w.Asset.Symbol,
		Decimals: w.Asset.Decimals, Network: w.Chain, Label: w.Label, Address: w.Address, Status: string(w.Status),
		Balance: viewBalance(w.Asset, w.Balance), Searched: w.Searched, CreatedAt: w.CreatedAt,
	}
}

func viewAddress(a custody.Address) addressView {
	return addressView{ID: a.ID, Address: a.Address, Network: a.Chain, Index: a.Index, GivenAt: a.GivenAt}
}

type (
	// WalletPath names a wallet.
	WalletPath struct {
		Wallet uuid.UUID `path:"walletId" format:"uuid" doc:"Id of the wallet"`
	}
	createWalletInput struct {
		VaultPath
		Body struct {
			AssetID string `json:"assetId" minLength:"1" maxLength:"200" doc:"Of an enabled asset" example:"eip155:1/slip44:60"`
			Label   string `json:"label,omitempty" maxLength:"200"`
		}
	}
	vaultWalletPath struct {
		VaultPath
		WalletPath
	}
	listWalletsInput struct {
		VaultPath
		LongPage
	}
	listAddressesInput struct {
		WalletPath
		LongPage
	}
	walletOutput  struct{ Body walletView }
	walletsOutput struct {
		Body struct {
			Wallets []walletView `json:"wallets" nullable:"false" doc:"Oldest first"`
			Next    *string      `json:"nextCursor" nullable:"true" doc:"cursor of the next page, null if there is none"`
		}
	}
	balanceOutput   struct{ Body balanceView }
	addressOutput   struct{ Body addressView }
	addressesOutput struct {
		Body struct {
			Addresses []addressView `json:"addresses" nullable:"false" doc:"Oldest first; all of them stay good"`
			Next      *string       `json:"nextCursor" nullable:"true" doc:"cursor of the next page, null if there is none"`
		}
	}
)

func (s *surface) mountWallets(api huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"Wallets"}}
	}
	read, create := access.Rule{Scope: "wallets:read", Signed: true}, access.Rule{Scope: "wallets:create", Signed: true}
	open := op("CreateWallet", http.MethodPost, "/vaults/{vaultId}/wallets", "Open a wallet for an asset in a vault")
	open.DefaultStatus = http.StatusCreated
	open.Description = "On chains of the EVM family the wallets of one vault share its first address: whatever enabled asset arrives there goes to the wallet of that asset."
	seed(s, api, open, create, s.createWallet)
	seed(s, api, op("ListWallets", http.MethodGet, "/vaults/{vaultId}/wallets", "List the wallets of a vault"), read, s.listWallets)
	seed(s, api, op("GetVaultWallet", http.MethodGet, "/vaults/{vaultId}/wallets/{walletId}", "Get a wallet of a vault"), read, s.getVaultWallet)
	seed(s, api, op("GetWallet", http.MethodGet, "/wallets/{walletId}", "Get a wallet"), read, s.getWallet)
	seed(s, api, op("GetWalletBalance", http.MethodGet, "/wallets/{walletId}/balance", "Get the balance of a wallet"), read, s.getBalance)
	seed(s, api, op("ListAddresses", http.MethodGet, "/wallets/{walletId}/addresses", "List the addresses a wallet is paid at"), read, s.listAddresses)
	further := op("CreateAddress", http.MethodPost, "/wallets/{walletId}/addresses", "Get a further address for a wallet")
	further.DefaultStatus = http.StatusCreated
	seed(s, api, further, create, s.createAddress)
}

func (s *surface) createWallet(ctx context.Context, in *createWalletInput) (*walletOutput, error) {
	realm := realmOf(ctx)
	if _, err := s.Vaults.Vault(ctx, realm, in.Vault); err != nil {
		return nil, edge("read vault", err)
	}
	w, err := s.Desk.OpenWallet(ctx, realm, in.Vault, chains.AssetID(in.Body.AssetID), in.Body.Label)
	switch {
	case errors.Is(err, indexer.ErrNotFound):
		return nil, problem.Invalid("assetId", "no such asset is enabled")
	case errors.Is(err, indexer.ErrExists):
		return nil, problem.New(http.StatusConflict, problem.Exists, "the vault has a wallet for this asset").Field("assetId", "has a wallet in this vault")
	case err != nil:
		return nil, edge("open wallet", err)
	}
	return &walletOutput{Body: viewWallet(w)}, nil
}

func (s *surface) listWallets(ctx context.Context, in *listWalletsInput) (*walletsOutput, error) {
	span, err := in.span(walletList)
	if err != nil {
		return nil, err
	}
	found, next, err := s.Wallets.VaultWallets(ctx, realmOf(ctx), in.Vault, span)
	if err != nil {
		return nil, edge("list wallets", err)
	}
	out := &walletsOutput{}
	out.Body.Wallets, out.Body.Next = make([]walletView, 0, len(found)), walletList.cursor(next)
	for _, w := range found {
		out.Body.Wallets = append(out.Body.Wallets, viewWallet(w))
	}
	return out, nil
}

func (s *surface) getVaultWallet(ctx context.Context, in *vaultWalletPath) (*walletOutput, error) {
	w, err := s.Wallets.Wallet(ctx, realmOf(ctx), in.Wallet)
	if err != nil {
		return nil, edge("read wallet", err)
	}
	if w.VaultID != in.Vault {
		return nil, problem.Missing()
	}
	return &walletOutput{Body: viewWallet(w)}, nil
}

func (s *surface) getWallet(ctx context.Context, in *WalletPath) (*walletOutput, error) {
	w, err := s.Wallets.Wallet(ctx, realmOf(ctx), in.Wallet)
	if err != nil {
		return nil, edge("read wallet", err)
	}
	return &walletOutput{Body: viewWallet(w)}, nil
}

func (s *surface) getBalance(ctx context.Context, in *WalletPath) (*balanceOutput, error) {
	w, err := s.Wallets.Wallet(ctx, realmOf(ctx), in.Wallet)
	if err != nil {
		return nil, edge("read wallet", err)
	}
	return &balanceOutput{Body: viewBalance(w.Asset, w.Balance)}, nil
}

func (s *surface) listAddresses(ctx context.Context, in *listAddressesInput) (*addressesOutput, error) {
	span, err := in.span(addressList)
	if err != nil {
		return nil, err
	}
	found, next, err := s.Wallets.WalletAddresses(ctx, realmOf(ctx), in.Wallet, span)
	if err != nil {
		return nil, edge("list addresses", err)
	}
	out := &addressesOutput{}
	out.Body.Addresses, out.Body.Next = make([]addressView, 0, len(found)), addressList.cursor(next)
	for _, a := range found {
		out.Body.Addresses = append(out.Body.Addresses, viewAddress(a))
	}
	return out, nil
}

func (s *surface) createAddress(ctx context.Context, in *WalletPath) (*addressOutput, error) {
	a, err := s.Desk.NewAddress(ctx, realmOf(ctx), in.Wallet)
	if err != nil {
		return nil, edge("give an address", err)
	}
	return &addressOutput{Body: viewAddress(a)}, nil
}
