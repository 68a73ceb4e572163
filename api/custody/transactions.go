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

// TransactionView is a transaction as callers see it.
type TransactionView struct {
	ID          uuid.UUID    `json:"id" format:"uuid"`
	Kind        string       `json:"kind" enum:"Deposit,Transfer,Withdrawal,Sweep,GasTopUp,NonceFill"`
	Status      string       `json:"status" enum:"Submitted,PendingSignature,Broadcasting,Confirming,Completed,Failed,Cancelled"`
	Reason      string       `json:"reason" doc:"Why it is where it is, in a word; empty if there is nothing to say"`
	Source      *uuid.UUID   `json:"sourceWalletId" format:"uuid" nullable:"true" doc:"null where no wallet pays: for a deposit, and within your own addresses"`
	Destination *uuid.UUID   `json:"destinationWalletId" format:"uuid" nullable:"true" doc:"null for what goes to an address"`
	AssetID     string       `json:"assetId" example:"eip155:1/slip44:60"`
	AssetSymbol string       `json:"assetSymbol" example:"ETH"`
	Network     string       `json:"network" example:"eth"`
	Amount      string       `json:"amount" doc:"In whole units" example:"1.5"`
	Note        string       `json:"note"`
	Deposit     *depositView `json:"deposit,omitempty" doc:"The deposit that it is; absent for other kinds"`
	CreatedAt   time.Time    `json:"createdAt"`
	UpdatedAt   time.Time    `json:"updatedAt"`
}

func viewTransaction(t custody.Transaction) TransactionView {
	v := TransactionView{
		ID: t.ID, Kind: string(t.Kind), Status: string(t.Status), Reason: t.Reason, Source: t.Source, Destination: t.Destination,
		AssetID: string(t.Asset.ID), AssetSymbol: t.Asset.Symbol, Network: t.Chain, Amount: t.Amount.Decimal(t.Asset.Decimals),
		Note: t.Note, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
	if t.Deposit != nil {
		v.Deposit = new(viewDeposit(*t.Deposit))
	}
	return v
}

type (
	// TransactionPath names a transaction.
	TransactionPath struct {
		ID uuid.UUID `path:"transactionId" format:"uuid" doc:"Id of the transaction"`
	}
	listTransactionsInput struct {
		Page
		Narrow
		Kind    []string `query:"kind" maxItems:"6" nullable:"false" doc:"Only these, separated by commas"`
		Status  []string `query:"status" maxItems:"7" nullable:"false" doc:"Only these, separated by commas"`
		AssetID string   `query:"assetId" maxLength:"200" doc:"Only those of this asset"`
	}
	transferInput struct {
		Body struct {
			_ struct{} `additionalProperties:"false"` // a limit that is misspelled must not be left out

			Source      uuid.UUID `json:"sourceWalletId" format:"uuid"`
			Destination uuid.UUID `json:"destinationWalletId" format:"uuid" doc:"A wallet of the same asset"`
			Amount      string    `json:"amount" maxLength:"200" doc:"In whole units, a decimal string" example:"0.5"`
			Note        string    `json:"note,omitempty" maxLength:"500" doc:"For your own use"`
		}
	}
	transactionOutput  struct{ Body TransactionView }
	transactionsOutput struct {
		Body struct {
			Transactions []TransactionView `json:"transactions" nullable:"false" doc:"Newest first"`
			Next         *string           `json:"nextCursor" nullable:"true" doc:"cursor of the next page, null if there is none"`
		}
	}
)

func (s *surface) mountTransactions(api huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/transactions" + path, Summary: summary, Tags: []string{"Transactions"}}
	}
	// Reading them takes no signature, so that what reads ledgers with a bearer
	// key reads this one too.
	read := access.Rule{Scope: "transactions:read"}
	seed(s, api, op("ListTransactions", http.MethodGet, "", "List transactions"), read, s.listTransactions)
	seed(s, api, op("GetTransaction", http.MethodGet, "/{transactionId}", "Get a transaction"), read, s.getTransaction)
	transfer := op("Transfer", http.MethodPost, "/transfer", "Move money between two wallets at once")
	transfer.Description = "Nothing happens on a chain. The amount must not be more than the source has available."
	transfer.DefaultStatus = http.StatusCreated
	seed(s, api, transfer, access.Rule{Scope: "transactions:write", Signed: true, Once: true}, s.transfer)
}

func (s *surface) listTransactions(ctx context.Context, in *listTransactionsInput) (*transactionsOutput, error) {
	if err := text("assetId", in.AssetID); err != nil {
		return nil, err
	}
	filter := custody.TransactionFilter{Asset: chains.AssetID(in.AssetID), Limit: in.Limit}
	var err error
	if filter.Wallet, filter.Vault, filter.Since, filter.Until, err = in.read(); err != nil {
		return nil, err
	}
	if filter.Kinds, err = choices("kind", in.Kind, custody.Kinds()); err != nil {
		return nil, err
	}
	if filter.Statuses, err = choices("status", in.Status, custody.Statuses()); err != nil {
		return nil, err
	}
	if filter.After, err = transactionList.place(in.Cursor); err != nil {
		return nil, err
	}
	found, next, err := s.Transactions.CustodyTransactions(ctx, realmOf(ctx), filter)
	if err != nil {
		return nil, edge("list transactions", err)
	}
	out := &transactionsOutput{}
	out.Body.Transactions, out.Body.Next = make([]TransactionView, 0, len(found)), transactionList.cursor(next)
	for _, t := range found {
		out.Body.Transactions = append(out.Body.Transactions, viewTransaction(t))
	}
	return out, nil
}

func (s *surface) getTransaction(ctx context.Context, in *TransactionPath) (*transactionOutput, error) {
	t, err := s.Transactions.CustodyTransaction(ctx, realmOf(ctx), in.ID)
	if err != nil {
		return nil, edge("read transaction", err)
	}
	return &transactionOutput{Body: viewTransaction(t)}, nil
}

func (s *surface) transfer(ctx context.Context, in *transferInput) (*transactionOutput, error) {
	realm := realmOf(ctx)
	source, err := s.Wallets.Wallet(ctx, realm, in.Body.Source)
	if errors.Is(err, indexer.ErrNotFound) {
		return nil, noWallet("sourceWalletId")
	}
	if err != nil {
		return nil, edge("read wallet", err)
	}
	amount, err := custody.ParseAmount(in.Body.Amount, source.Asset.Decimals)
	if err != nil {
		return nil, problem.Invalid("amount", err.Error())
	}
	t, err := s.Transfers.Transfer(ctx, custody.Order{
		ID: uuid.New(), Realm: realm, Source: in.Body.Source, Destination: in.Body.Destination, Amount: amount, Note: in.Body.Note,
	})
	const destination = "destinationWalletId"
	switch {
	case errors.Is(err, custody.ErrNoDestination):
		return nil, noWallet(destination)
	case errors.Is(err, custody.ErrSameWallet):
		return nil, problem.Invalid(destination, "is the source wallet")
	case errors.Is(err, custody.ErrOtherAsset):
		return nil, problem.Invalid(destination, "is a wallet of another asset")
	case err != nil:
		return nil, edge("transfer", err)
	}
	return &transactionOutput{Body: viewTransaction(t)}, nil
}

// noWallet is the problem of a wallet in the body that is not there.
func noWallet(field string) error { return problem.Missing().Field(field, "no such wallet") }
