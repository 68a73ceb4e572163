package accounts

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

// NFTs reads which NFTs accounts hold. An account of another realm or user is not
// found.
type NFTs interface {
	// NFTHolders returns the accounts of a user on EVM chains with how many NFTs
	// each holds, oldest first, or none; with only, that one, or
	// indexer.ErrNotFound.
	NFTHolders(ctx context.Context, realm indexer.Realm, user uuid.UUID, only *uuid.UUID) ([]indexer.NFTHolder, error)

	// NFTs returns a page of what they hold, and the place the next page begins
	// after, nil if there is none.
	NFTs(ctx context.Context, realm indexer.Realm, filter indexer.NFTFilter) ([]indexer.NFT, *indexer.NFTCursor, error)
}

type (
	// NFTPath names an EVM chain.
	NFTPath struct {
		Chain string `path:"chain" maxLength:"64" doc:"Slug of an EVM chain, or a common name of it: eth, ethereum" example:"eth"`
	}
	nftAccountPath struct {
		NFTPath
		ID uuid.UUID `path:"account_id" format:"uuid" doc:"Id of the account"`
	}
	connectNFTInput struct {
		NFTPath
		Body connectBody
	}
	nftsInput struct {
		AccountFilter
		Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"NFTs on a page"`
		Cursor string `query:"cursor" maxLength:"200" doc:"pageKey of the page before"`
	}
	nftsOutput struct{ Body map[uuid.UUID]ownedNFTs }
)

// ownedNFTs is Blockmate's object of one account, with how far it can be trusted.
type ownedNFTs struct {
	OwnedNFTs  []ownedNFT `json:"ownedNfts" doc:"Those of them on this page" nullable:"false"`
	TotalCount string     `json:"totalCount" doc:"All that the account holds. An address that several accounts have counts for the oldest, unless account-filter names another" example:"3"`
	BlockHash  string     `json:"blockHash" doc:"Tip the answer was read at; empty before the first block"`
	PageKey    string     `json:"pageKey,omitempty" doc:"cursor of the next page, the same in every account; absent on the last"`
	Chain      string     `json:"chain" example:"eth"`
	Wallet     string     `json:"wallet" doc:"In canonical spelling"`
	Complete   bool       `json:"complete" doc:"false unless the whole past was searched: NFTs that came before state.history.from_height and did not move since are then missing. A contract that moves NFTs without the events of its standard is never seen"`
	State      state      `json:"state"`
}

func (s *surface) mountNFTs(api huma.API) {
	operation := func(id, method, path, summary string) huma.Operation {
		return s.byUser(huma.Operation{
			OperationID: id, Method: method, Path: "/v1/nft/{chain}/" + path, Summary: summary, Tags: []string{"NFTs"},
		}, http.StatusForbidden)
	}
	hint := operation("GetNFTHint", http.MethodGet, "connect", "What connecting an address for its NFTs takes")
	hint.Description = `An unknown chain, or one without NFTs, is answered with 404 and {"status":"not_found"}.`
	huma.Register(api, hint, s.nftHint)
	connect := operation("ConnectNFTAccount", http.MethodPost, "connect", "Connect an address for its NFTs")
	connect.Description = "Shows the NFTs of the address and nothing else. The same address can be connected for its balances too, which shows its NFTs as well."
	huma.Register(api, connect, s.connectNFTs)
	huma.Register(api, operation("DeleteNFTAccount", http.MethodDelete, "account/{account_id}", "Disconnect an address"), s.deleteNFTs)
	list := s.byUser(huma.Operation{
		OperationID: "NFTMetadata", Method: http.MethodGet, Path: "/v1/aggregate/nft_metadata", Summary: "NFTs of all accounts", Tags: []string{"NFTs"},
	}, http.StatusUnauthorized)
	list.Description = "By the id of the account. Names, descriptions and URLs are what a contract's maker wrote: text to be shown as text, never as markup."
	huma.Register(api, list, s.nfts)
}

// collectors returns the provider a path names, if it has NFTs.
func (s *surface) collectors(ctx context.Context, chain string) (Provider, bool) {
	p, known := s.provider(chain, callerOf(ctx).Realm.Environment)
	return p, known && p.Family == chains.FamilyEVM
}

func (s *surface) nftHint(ctx context.Context, in *NFTPath) (*hintOutput, error) {
	p, known := s.collectors(ctx, in.Chain)
	if !known {
		return &hintOutput{Status: http.StatusNotFound, Body: hintOrNot{missing: true}}, nil
	}
	return &hintOutput{Status: http.StatusOK, Body: hintOrNot{Hint: p.nftHint()}}, nil
}

func (s *surface) connectNFTs(ctx context.Context, in *connectNFTInput) (*connectOutput, error) {
	p, known := s.collectors(ctx, in.Chain)
	if !known {
		return nil, problem.Missing()
	}
	return s.connectTo(ctx, indexer.Connecting{Chain: p.Chain, NFT: true}, in.Body)
}

func (s *surface) deleteNFTs(ctx context.Context, in *nftAccountPath) (*done, error) {
	p, known := s.collectors(ctx, in.Chain)
	if !known {
		return nil, problem.Missing()
	}
	caller := callerOf(ctx)
	account, err := s.Accounts.Account(ctx, caller.Realm, in.ID)
	if err != nil {
		return nil, edge("read account", err)
	}
	if account.UserID != caller.User || account.Chain != p.Chain || account.Kind != indexer.KindNFT {
		return nil, problem.Missing()
	}
	if err := s.Accounts.DeleteAccount(ctx, account.Realm, account.ID); err != nil {
		return nil, edge("delete account", err)
	}
	return ok(), nil
}

func (s *surface) nfts(ctx context.Context, in *nftsInput) (*nftsOutput, error) {
	caller := callerOf(ctx)
	filter := indexer.NFTFilter{User: caller.User, Limit: in.Limit}
	if in.Account != "" {
		id, err := uuid.Parse(in.Account)
		if err != nil {
			return nil, problem.Invalid("account-filter", "expected the id of an account")
		}
		filter.Account = &id
	}
	var err error
	if filter.After, err = s.cursors.readNFT(caller.User, in.Cursor); err != nil {
		return nil, err
	}
	holders, err := s.NFTs.NFTHolders(ctx, caller.Realm, caller.User, filter.Account)
	if err != nil {
		return nil, edge("read accounts with NFTs", err)
	}
	page, next, err := s.NFTs.NFTs(ctx, caller.Realm, filter)
	if err != nil {
		return nil, fmt.Errorf("list %d NFTs: %w", in.Limit, err)
	}
	of := make(map[uuid.UUID][]ownedNFT, len(holders))
	for _, n := range page {
		of[n.Account] = append(of[n.Account], ownedOf(n))
	}
	key := ""
	if next != nil {
		key = s.cursors.writeNFT(caller.User, *next)
	}
	out := &nftsOutput{Body: make(map[uuid.UUID]ownedNFTs, len(holders))}
	for _, h := range holders {
		one := ownedNFTs{
			OwnedNFTs: append([]ownedNFT{}, of[h.Account.ID]...), TotalCount: strconv.FormatInt(h.Held, 10), PageKey: key,
			Chain: h.Account.Chain, Wallet: h.Account.Wallet, Complete: whole(h.State.History),
			State: stateOf(h.State, !h.Tip.Hash.IsZero()),
		}
		if !h.Tip.Hash.IsZero() {
			one.BlockHash = hashText(h.Tip.Hash, true)
		}
		out.Body[h.Account.ID] = one
	}
	return out, nil
}

// whole reports whether all of an account's past was searched. A search that was
// bounded by the operator ends where that says.
func whole(h indexer.History) bool {
	return h.Status == indexer.HistoryComplete && h.FromHeight == 0 && len(h.Gaps) == 0
}
