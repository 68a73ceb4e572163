package custody

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

// Teller knows what signed bytes and fees mean on a chain.
type Teller interface {
	// Check returns what a signer made of a draft, or a *chains.MismatchError.
	Check(w custody.Withdrawal, draft chains.Draft, signed string) (chains.Signed, error)

	// EstimateFee returns what a payment of an asset would cost now.
	EstimateFee(ctx context.Context, chain string, asset chains.AssetID) (custody.Fee, error)
}

// withdrawalView is a transaction that leaves, with what is known of it beside the
// chain.
type withdrawalView struct {
	TransactionView

	Address       string  `json:"destinationAddress" doc:"In canonical spelling"`
	TxHash        *string `json:"txHash" nullable:"true" doc:"Of the transaction that stands in the chain, or is broadcast; null before it was signed"`
	BlockHash     *string `json:"blockHash" nullable:"true"`
	Height        *uint64 `json:"height" nullable:"true"`
	Confirmations uint64  `json:"confirmations"`
	Sender        *string `json:"senderAddress" nullable:"true" doc:"EVM: the address that pays"`
	Nonce         *uint64 `json:"nonce" nullable:"true" doc:"EVM: of the sender"`
	Draft         int     `json:"draft" doc:"Number of the newest draft; a replacement has another one than what it replaces"`
	NetworkFee    *string `json:"networkFee" nullable:"true" doc:"What the network was paid, or is offered by the newest draft, in whole units of the chain's coin. It is paid from what you have set aside, and not by the wallet"`
	Shortage      *string `json:"shortage" nullable:"true" doc:"What there is too little of, in base units, while no draft can be built"`
}

func viewWithdrawal(w custody.Withdrawal) withdrawalView {
	v := withdrawalView{
		TransactionView: TransactionView{
			ID: w.ID, Kind: string(w.Kind), Status: string(w.Status), Reason: w.Reason, Source: w.WalletID,
			AssetID: string(w.Asset.ID), AssetSymbol: w.Asset.Symbol, Network: w.Chain, Amount: w.Amount.Decimal(w.Asset.Decimals),
			Note: w.Note, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
		},
		Address: w.Destination, Confirmations: w.Confirmations(), Nonce: w.Nonce,
	}
	if tx, ok := w.Tx(); ok {
		v.TxHash = new(hashOf(w, tx))
	}
	if w.Sender != nil {
		v.Sender = &w.Sender.Address
	}
	switch newest := w.Newest(); {
	case w.Mined != nil:
		v.BlockHash, v.Height = new(hashOf(w, w.Mined.Block)), &w.Mined.Height
		v.NetworkFee = new(w.Mined.Fee.Decimal(w.Native.Decimals))
	case newest != nil:
		v.NetworkFee = new(newest.Draft.Fee.Decimal(w.Native.Decimals))
	}
	if newest := w.Newest(); newest != nil {
		v.Draft = newest.N
	}
	if w.Short != nil {
		v.Shortage = new(w.Short.Error())
	}
	return v
}

// hashOf writes an id as its chain does.
func hashOf(w custody.Withdrawal, tx chains.Hash) string {
	if newest := w.Newest(); newest != nil && newest.Draft.Format == chains.FormatEIP1559 {
		return "0x" + tx.String()
	}
	return tx.String()
}

type (
	withdrawInput struct {
		Body struct {
			_ struct{} `additionalProperties:"false"` // a limit that is misspelled must not be left out

			Source  uuid.UUID `json:"sourceWalletId" format:"uuid"`
			Address string    `json:"destinationAddress" minLength:"1" maxLength:"200" doc:"An address of the address book"`
			Amount  string    `json:"amount" maxLength:"200" doc:"In whole units, a decimal string. It arrives whole" example:"0.5"`
			MaxFee  string    `json:"maxFee,omitempty" maxLength:"200" doc:"The most that the network may be paid, in whole units of the chain's coin; the operator's ceiling if left out" example:"0.001"`
			Note    string    `json:"note,omitempty" maxLength:"500" doc:"For your own use"`
		}
	}
	signInput struct {
		TransactionPath

		Body struct {
			Signed string `json:"signed" minLength:"1" doc:"A PSBT in base64, or the raw transaction in hex after 0x"`
			Draft  int    `json:"draft,omitempty" minimum:"1" doc:"Number of the draft that was signed; the newest if left out"`
		}
	}
	draftView struct {
		Draft   int      `json:"draft" doc:"Its number"`
		Format  string   `json:"format" enum:"psbt,eip1559"`
		Payload string   `json:"payload" doc:"psbt: BIP 174 in base64. eip1559: the text whose Keccak-256 is signed, in hex after 0x"`
		Paths   []string `json:"paths" nullable:"false" doc:"fingerprint/path of the key of each input, or of the sender; empty where only the signer knows it"`
	}
	estimateInput struct {
		Source uuid.UUID `query:"sourceWalletId" format:"uuid" required:"true" doc:"The wallet that would pay"`
	}
	estimateView struct {
		Network  string `json:"network" example:"btc"`
		Symbol   string `json:"feeAssetSymbol" example:"BTC" doc:"The chain's coin, in which the network is paid"`
		Ordinary string `json:"estimatedFee" doc:"What an ordinary payment would pay now, in whole units" example:"0.00000141"`
		Ceiling  string `json:"maxFee" doc:"The most that one may pay, as the operator says" example:"0.01"`
		Rate     string `json:"rate" doc:"Base units for 1000 virtual bytes, or wei for a unit of gas"`
		Basis    string `json:"basis" doc:"What the estimate rests on"`
		Capped   bool   `json:"capped" doc:"The ceiling lies below what is needed"`
	}
	withdrawalOutput struct{ Body withdrawalView }
	draftOutput      struct{ Body draftView }
	estimateOutput   struct{ Body estimateView }
)

func (s *surface) mountWithdrawals(api huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/transactions" + path, Summary: summary, Tags: []string{"Withdrawals"}}
	}
	read, write := access.Rule{Scope: "transactions:read", Signed: true}, access.Rule{Scope: "transactions:write", Signed: true}
	withdraw := op("Withdraw", http.MethodPost, "/withdraw", "Pay from a wallet to an address outside")
	withdraw.Description = "The amount is locked at once. The transaction is built soon, waits for your signer, and is broadcast and followed from there."
	withdraw.DefaultStatus = http.StatusCreated
	once := write
	once.Once = true
	seed(s, api, withdraw, once, s.withdraw)
	seed(s, api, op("GetWithdrawal", http.MethodGet, "/{transactionId}/withdrawal", "Get a withdrawal with what its chain knows of it"), read, s.getWithdrawal)
	seed(s, api, op("GetSigning", http.MethodGet, "/{transactionId}/signing", "Get what is to be signed"), read, s.getSigning)
	sign := op("Sign", http.MethodPost, "/{transactionId}/signing", "Hand in what was signed")
	sign.Description = "Every field is compared with what was built, and every signature is verified, before it is accepted. What is accepted is broadcast until the chain has settled it."
	sign.MaxBodyBytes = chains.MaxSigned
	seed(s, api, sign, write, s.sign)
	seed(s, api, op("CancelWithdrawal", http.MethodPost, "/{transactionId}/cancel", "Cancel a withdrawal that was not signed"), write, s.cancel)
	bump := op("BumpWithdrawal", http.MethodPost, "/{transactionId}/bump", "Have a replacement with a higher fee built")
	bump.Description = "The replacement is the same withdrawal: it waits to be signed, and one of the two at most is ever mined."
	seed(s, api, bump, write, s.bump)
	seed(s, api, op("EstimateFee", http.MethodGet, "/fee-estimate", "Estimate what a withdrawal would pay the network"), read, s.estimate)
}

func (s *surface) withdraw(ctx context.Context, in *withdrawInput) (*withdrawalOutput, error) {
	realm := realmOf(ctx)
	wallet, err := s.Wallets.Wallet(ctx, realm, in.Body.Source)
	if errors.Is(err, indexer.ErrNotFound) {
		return nil, noWallet("sourceWalletId")
	}
	if err != nil {
		return nil, edge("read wallet", err)
	}
	order := custody.WithdrawalOrder{ID: uuid.New(), Realm: realm, Wallet: wallet.ID, Note: in.Body.Note}
	if order.Amount, err = custody.ParseAmount(in.Body.Amount, wallet.Asset.Decimals); err != nil {
		return nil, problem.Invalid("amount", err.Error())
	}
	native, err := s.native(ctx, realm, wallet.Chain)
	if err != nil {
		return nil, err
	}
	if order.MaxFee, err = mostFee(in.Body.MaxFee, native); err != nil {
		return nil, err
	}
	if order.Script, order.Address, err = s.Desk.Script(wallet.Chain, "destinationAddress", in.Body.Address); err != nil {
		return nil, edge("read an address", err)
	}
	w, err := s.Ordering.Withdraw(ctx, order)
	if err != nil {
		return nil, withdrawalEdge("withdraw", err)
	}
	return &withdrawalOutput{Body: viewWithdrawal(w)}, nil
}

// mostFee reads the most that the network may be paid, nil for "".
func mostFee(text string, native chains.Asset) (*chains.Amount, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // none was said
	}
	most, err := custody.ParseAmount(text, native.Decimals)
	if err != nil {
		return nil, problem.Invalid("maxFee", err.Error())
	}
	return &most, nil
}

// native returns the coin of a chain.
func (s *surface) native(ctx context.Context, realm indexer.Realm, chain string) (chains.Asset, error) {
	assets, err := s.Assets.ListedAssets(ctx, realm.Environment)
	if err != nil {
		return chains.Asset{}, edge("list assets", err)
	}
	for _, a := range assets {
		if a.Chain == chain && a.Native {
			return a.Asset, nil
		}
	}
	return chains.Asset{}, notThere("network", "no such chain in this environment")
}

// notThere is the problem of something that a field names and that is not there.
func notThere(field, text string) error {
	return problem.Missing().Say(field+": "+text).Field(field, text)
}

// withdrawalEdge turns an outcome of withdrawals into what the caller may know.
func withdrawalEdge(doing string, err error) error {
	refused := func(field, text string) error {
		return problem.New(http.StatusBadRequest, problem.NoDestination, text).Field(field, text)
	}
	cooling, isCooling := errors.AsType[*custody.CoolingError](err)
	mismatch, isMismatch := errors.AsType[*chains.MismatchError](err)
	switch {
	case errors.Is(err, custody.ErrNotInBook):
		return refused("destinationAddress", "the destination is not in the address book")
	case errors.Is(err, custody.ErrOwnAddress):
		return refused("destinationAddress", "the destination is an address of your own pool: use a transfer")
	case isCooling:
		return refused("destinationAddress", cooling.Error())
	case isMismatch:
		field := "signed"
		if mismatch.Field != "" {
			field += "." + mismatch.Field
		}
		return problem.New(http.StatusBadRequest, problem.SignedRefused, mismatch.Error()).Field(field, mismatch.Error())
	case errors.Is(err, custody.ErrNotSignable):
		return problem.New(http.StatusConflict, problem.NothingToSign, "no such draft waits for a signature")
	case errors.Is(err, custody.ErrSigned):
		return problem.New(http.StatusConflict, problem.TooLate, "signed bytes were accepted already: they may be broadcast at any time")
	case errors.Is(err, custody.ErrUnderWay):
		return problem.New(http.StatusConflict, problem.Exists, "the same sweep is under way")
	case errors.Is(err, custody.ErrNoTreasury):
		return problem.New(http.StatusConflict, problem.NoTreasury, "no treasury is registered on this chain")
	case errors.Is(err, custody.ErrNothingThere):
		const text = "the address holds nothing of the asset"
		return problem.New(http.StatusBadRequest, problem.NothingThere, text).Field("address", text)
	case errors.Is(err, custody.ErrSettled):
		return problem.New(http.StatusConflict, problem.TooLate, "the withdrawal is settled, or has nothing to replace")
	}
	return edge(doing, err)
}

func (s *surface) getWithdrawal(ctx context.Context, in *TransactionPath) (*withdrawalOutput, error) {
	w, err := s.Withdrawals.Withdrawal(ctx, realmOf(ctx), in.ID)
	if err != nil {
		return nil, edge("read withdrawal", err)
	}
	return &withdrawalOutput{Body: viewWithdrawal(w)}, nil
}

func (s *surface) getSigning(ctx context.Context, in *TransactionPath) (*draftOutput, error) {
	w, err := s.Withdrawals.Withdrawal(ctx, realmOf(ctx), in.ID)
	if err != nil {
		return nil, edge("read withdrawal", err)
	}
	d := w.ToSign()
	if d == nil {
		return nil, withdrawalEdge("read the draft", custody.ErrNotSignable)
	}
	return &draftOutput{Body: draftView{
		Draft: d.N, Format: string(d.Draft.Format), Payload: d.Draft.Payload, Paths: append([]string{}, d.Draft.Paths...),
	}}, nil
}

func (s *surface) sign(ctx context.Context, in *signInput) (*withdrawalOutput, error) {
	realm := realmOf(ctx)
	w, err := s.Withdrawals.Withdrawal(ctx, realm, in.ID)
	if err != nil {
		return nil, edge("read withdrawal", err)
	}
	n := in.Body.Draft
	if n == 0 {
		n = len(w.Drafts)
	}
	if n == 0 || n > len(w.Drafts) {
		return nil, withdrawalEdge("find the draft", custody.ErrNotSignable)
	}
	signed, err := s.Teller.Check(w, w.Drafts[n-1].Draft, in.Body.Signed)
	if err != nil {
		return nil, withdrawalEdge("check what was signed", err)
	}
	if w, err = s.Withdrawals.Accept(ctx, realm, in.ID, n, signed); err != nil {
		return nil, withdrawalEdge("accept what was signed", err)
	}
	return &withdrawalOutput{Body: viewWithdrawal(w)}, nil
}

func (s *surface) cancel(ctx context.Context, in *TransactionPath) (*withdrawalOutput, error) {
	w, err := s.Withdrawals.Cancel(ctx, realmOf(ctx), in.ID)
	if err != nil {
		return nil, withdrawalEdge("cancel", err)
	}
	return &withdrawalOutput{Body: viewWithdrawal(w)}, nil
}

func (s *surface) bump(ctx context.Context, in *TransactionPath) (*withdrawalOutput, error) {
	w, err := s.Withdrawals.Bump(ctx, realmOf(ctx), in.ID)
	if err != nil {
		return nil, withdrawalEdge("bump", err)
	}
	return &withdrawalOutput{Body: viewWithdrawal(w)}, nil
}

func (s *surface) estimate(ctx context.Context, in *estimateInput) (*estimateOutput, error) {
	realm := realmOf(ctx)
	wallet, err := s.Wallets.Wallet(ctx, realm, in.Source)
	if errors.Is(err, indexer.ErrNotFound) {
		return nil, noWallet("sourceWalletId")
	}
	if err != nil {
		return nil, edge("read wallet", err)
	}
	native, err := s.native(ctx, realm, wallet.Chain)
	if err != nil {
		return nil, err
	}
	fee, err := s.Teller.EstimateFee(ctx, wallet.Chain, wallet.Asset.ID)
	if err != nil {
		// Only nodes can say it, and none does now.
		return nil, edge("estimate a fee", errors.Join(custody.ErrClosed, err))
	}
	return &estimateOutput{Body: estimateView{
		Network: wallet.Chain, Symbol: native.Symbol, Ordinary: fee.Ordinary.Decimal(native.Decimals), Ceiling: fee.Ceiling.Decimal(native.Decimals),
		Rate: fee.Max.String(), Basis: fee.Basis, Capped: fee.Capped,
	}}, nil
}
