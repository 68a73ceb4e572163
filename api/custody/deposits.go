package custody

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer/custody"
)

type (
	// dueView is when a deposit is credited.
	dueView struct {
		Basis  string  `json:"basis" enum:"confirmations,safe,finalized" doc:"What must reach height: the tip, or the height that is safe or final"`
		Height uint64  `json:"height"`
		Mature *uint64 `json:"mature" nullable:"true" doc:"The tip at which a coinbase can be spent; null for others"`
	}
	depositView struct {
		ID            uuid.UUID `json:"id" format:"uuid" doc:"The same through all of its life, and that of its transaction"`
		WalletID      uuid.UUID `json:"walletId" format:"uuid"`
		VaultID       uuid.UUID `json:"vaultId" format:"uuid"`
		ExternalID    *string   `json:"externalId" nullable:"true" doc:"Of the vault"`
		AssetID       string    `json:"assetId" example:"eip155:1/slip44:60"`
		AssetSymbol   string    `json:"assetSymbol" example:"ETH"`
		Network       string    `json:"network" example:"eth"`
		Amount        string    `json:"amount" doc:"What the transaction says, in whole units" example:"1.5"`
		Received      *string   `json:"received" nullable:"true" doc:"What is credited of it: on EVM chains what the balance proves. null while that is not known" example:"1.5"`
		Address       string    `json:"address"`
		State         string    `json:"state" enum:"detected,confirming,credited,orphaned,replaced,dropped"`
		Reason        string    `json:"reason" doc:"Why it was dropped: internal, the money came from your own pool; reorg, its block left and the chain has long gone on; nothing_arrived, the balance grew by nothing. Else empty"`
		Tx            string    `json:"txHash"`
		Source        string    `json:"source" doc:"Where in the transaction it stands" example:"vout:0"`
		Block         *string   `json:"blockHash" nullable:"true"`
		Height        *uint64   `json:"height" nullable:"true"`
		Confirmations uint64    `json:"confirmations"`
		Due           *dueView  `json:"creditAt,omitempty" doc:"Absent while it stands in no block"`
		ReplacedBy    *string   `json:"replacedBy" nullable:"true" doc:"The transaction that spent its inputs"`
		CreatedAt     time.Time `json:"createdAt"`
		UpdatedAt     time.Time `json:"updatedAt"`
	}
)

func viewDeposit(d custody.Deposit) depositView {
	v := depositView{
		ID: d.ID, WalletID: d.WalletID, VaultID: d.VaultID, ExternalID: optional(d.ExternalID), AssetID: string(d.Asset.ID),
		AssetSymbol: d.Asset.Symbol, Network: d.Chain, Amount: d.Amount.Decimal(d.Asset.Decimals), Address: d.Address,
		State: string(d.State), Reason: d.Reason, Tx: hashText(d.Family, d.Tx), Source: d.Source,
		Confirmations: d.Confirmations(), CreatedAt: d.CreatedAt, UpdatedAt: d.ChangedAt,
	}
	if d.Received != nil {
		v.Received = new(d.Received.Decimal(d.Asset.Decimals))
	}
	if !d.Block.Hash.IsZero() {
		v.Block, v.Height = new(hashText(d.Family, d.Block.Hash)), &d.Block.Height
	}
	if d.ReplacedBy != nil {
		v.ReplacedBy = new(hashText(d.Family, *d.ReplacedBy))
	}
	if d.Due != nil {
		v.Due = &dueView{Basis: basisText(d.Due.Basis), Height: d.Due.Height}
		if d.Due.Mature > 0 {
			v.Due.Mature = &d.Due.Mature
		}
	}
	return v
}

func hashText(family chains.Family, hash chains.Hash) string {
	if family == chains.FamilyEVM {
		return "0x" + hash.String()
	}
	return hash.String()
}

// basisText names a basis as the settings do.
func basisText(basis custody.Basis) string {
	switch basis {
	case custody.BasisSafe:
		return "safe"
	case custody.BasisFinal:
		return "finalized"
	case custody.BasisDepth:
	}
	return "confirmations"
}

type (
	depositPath struct {
		ID uuid.UUID `path:"depositId" format:"uuid" doc:"Id of the deposit"`
	}
	listDepositsInput struct {
		Page
		Narrow
		Network string   `query:"network" maxLength:"32" doc:"Only those of this chain"`
		State   []string `query:"state" maxItems:"6" nullable:"false" doc:"Only these, separated by commas"`
	}
	depositOutput  struct{ Body depositView }
	depositsOutput struct {
		Body struct {
			Deposits []depositView `json:"deposits" nullable:"false" doc:"Newest first"`
			Next     *string       `json:"nextCursor" nullable:"true" doc:"cursor of the next page, null if there is none"`
		}
	}
)

// Narrow is what lists of movements have in common. It is exported as Page is.
type Narrow struct {
	Wallet string    `query:"walletId" format:"uuid" doc:"Only those of this wallet"`
	Vault  string    `query:"vaultId" format:"uuid" doc:"Only those of the wallets of this vault"`
	Since  time.Time `query:"since" doc:"Only those that were created then or later (RFC 3339)"`
	Until  time.Time `query:"until" doc:"Only those that were created before (RFC 3339)"`
}

// read returns the parts of a filter, nil where nothing is set.
func (n Narrow) read() (wallet, vault *uuid.UUID, since, until *time.Time, err error) {
	if wallet, err = idOf("walletId", n.Wallet); err != nil {
		return nil, nil, nil, nil, err
	}
	if vault, err = idOf("vaultId", n.Vault); err != nil {
		return nil, nil, nil, nil, err
	}
	if !n.Since.IsZero() {
		since = &n.Since
	}
	if !n.Until.IsZero() {
		until = &n.Until
	}
	return wallet, vault, since, until, nil
}

func (s *surface) mountDeposits(api huma.API) {
	rule := access.Rule{Surface: access.Custody, Scope: "deposits:read"}
	huma.Register(api, s.Gate.Guard(huma.Operation{
		OperationID: "ListDeposits", Method: http.MethodGet, Path: "/v1/deposits", Summary: "List deposits", Tags: []string{"Transactions"},
		Description: "What is detected or confirming is nothing to rely on. A deposit that was orphaned, replaced or dropped may come back, under the same id.",
	}, rule), s.listDeposits)
	huma.Register(api, s.Gate.Guard(huma.Operation{
		OperationID: "GetDeposit", Method: http.MethodGet, Path: "/v1/deposits/{depositId}", Summary: "Get a deposit", Tags: []string{"Transactions"},
	}, rule), s.getDeposit)
}

func (s *surface) listDeposits(ctx context.Context, in *listDepositsInput) (*depositsOutput, error) {
	if err := text("network", in.Network); err != nil {
		return nil, err
	}
	filter := custody.DepositFilter{Chain: in.Network, Limit: in.Limit}
	var err error
	if filter.Wallet, filter.Vault, filter.Since, filter.Until, err = in.read(); err != nil {
		return nil, err
	}
	if filter.States, err = choices("state", in.State, custody.DepositStates()); err != nil {
		return nil, err
	}
	if filter.After, err = depositList.place(in.Cursor); err != nil {
		return nil, err
	}
	found, next, err := s.Deposits.Deposits(ctx, realmOf(ctx), filter)
	if err != nil {
		return nil, edge("list deposits", err)
	}
	out := &depositsOutput{}
	out.Body.Deposits, out.Body.Next = make([]depositView, 0, len(found)), depositList.cursor(next)
	for _, d := range found {
		out.Body.Deposits = append(out.Body.Deposits, viewDeposit(d))
	}
	return out, nil
}

func (s *surface) getDeposit(ctx context.Context, in *depositPath) (*depositOutput, error) {
	d, err := s.Deposits.Deposit(ctx, realmOf(ctx), in.ID)
	if err != nil {
		return nil, edge("read deposit", err)
	}
	return &depositOutput{Body: viewDeposit(d)}, nil
}

// choices reads a list of names of which each must be one of known.
func choices[T ~string](field string, list []string, known []T) ([]T, error) {
	var chosen []T
	for _, one := range list {
		name := T(strings.TrimSpace(one))
		if !slices.Contains(known, name) {
			names := make([]string, len(known))
			for i, k := range known {
				names[i] = string(k)
			}
			return nil, problem.Invalid(field, "expected some of "+strings.Join(names, ", "))
		}
		chosen = append(chosen, name)
	}
	return chosen, nil
}
