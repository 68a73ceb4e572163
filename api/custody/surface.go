package custody

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

// Gate says who may call an operation.
type Gate interface {
	// Guard returns the operation with its rule in force.
	Guard(op huma.Operation, rule access.Rule) huma.Operation
}

// Desk does what needs a chain. It returns what the ports of package
// indexer/custody do, a *custody.InvalidError for what was sent, or custody.ErrClosed
// while no node of the chain answers.
type Desk interface {
	// Script returns what an address of a chain stands for, and its canonical
	// spelling. A problem is one of field.
	Script(chain, field, text string) (script []byte, canonical string, err error)

	// RegisterKey makes a key the one that addresses are derived from.
	RegisterKey(ctx context.Context, realm indexer.Realm, chain, text string, next uint32) error

	// SetTreasury makes an address the one that pays on an EVM chain.
	SetTreasury(ctx context.Context, realm indexer.Realm, chain, text string) error

	// RegisterAddresses adds addresses to give, and returns how many were new.
	RegisterAddresses(ctx context.Context, realm indexer.Realm, chain string, texts []string) (int, error)

	// OpenWallet opens a wallet.
	OpenWallet(ctx context.Context, realm indexer.Realm, vault uuid.UUID, asset chains.AssetID, label string) (custody.Wallet, error)

	// NewAddress gives the vault of a wallet a further address.
	NewAddress(ctx context.Context, realm indexer.Realm, wallet uuid.UUID) (custody.Address, error)
}

// Pools reads where addresses come from.
type Pools interface {
	// HasChain returns indexer.ErrNotFound if a realm has no such chain.
	HasChain(ctx context.Context, realm indexer.Realm, chain string) error

	// AddressPool returns what a realm has on a chain, or indexer.ErrNotFound. It
	// counts all addresses.
	AddressPool(ctx context.Context, realm indexer.Realm, chain string) (custody.Pool, error)
}

// Halts ends what stops credits.
type Halts interface {
	// Resume lets the credits of a chain go on, or returns indexer.ErrNotFound.
	Resume(ctx context.Context, chain string) error
}

// Config is what the surface needs. The ledger usually is one value behind most of
// the ports.
type Config struct {
	Gate         Gate
	Desk         Desk
	Vaults       custody.Vaults
	Wallets      custody.Wallets
	Assets       custody.Assets
	Pools        Pools
	Transactions custody.Transactions
	Transfers    custody.Transfers
	Deposits     custody.Deposits
	Book         custody.Book
	Halts        Halts
	Ordering     custody.Ordering
	Withdrawals  custody.Withdrawals
	Teller       Teller

	// CoolingOff is how long a new entry of the address book waits before
	// withdrawals may go there.
	CoolingOff time.Duration
}

type surface struct{ Config }

// Mount adds the operations to an API.
func Mount(api huma.API, cfg Config) {
	s := &surface{cfg}
	s.mountVaults(api)
	s.mountWallets(api)
	s.mountAssets(api)
	s.mountTransactions(api)
	s.mountWithdrawals(api)
	s.mountFunds(api)
	s.mountBook(api)
	s.mountDeposits(api)
	s.mountKeys(api)
	s.mountHalts(api)
}

// seed registers an operation at the path that custody backends know, and under
// /v1.
func seed[I, O any](s *surface, api huma.API, op huma.Operation, rule access.Rule, handler func(context.Context, *I) (*O, error)) {
	rule.Surface, rule.Twice = access.Custody, true
	for _, prefix := range []string{"", "/v1"} {
		at := op
		at.OperationID += strings.ToUpper(strings.TrimPrefix(prefix, "/"))
		at.Path = prefix + op.Path
		huma.Register(api, s.Gate.Guard(at, rule), handler)
	}
}

func realmOf(ctx context.Context) indexer.Realm { return access.From(ctx).Realm }

// edge turns an outcome of a port into what the caller may know. Anything it does
// not know is a fault, for the log alone.
func edge(doing string, err error) error {
	var p *problem.Problem
	var invalid *custody.InvalidError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &invalid):
		return problem.Invalid(invalid.Field, invalid.Text)
	case errors.Is(err, custody.ErrClosed):
		return problem.New(http.StatusServiceUnavailable, problem.Unavailable, "no node of this chain answers yet").Header("Retry-After", "5")
	case errors.Is(err, indexer.ErrNotFound):
		return problem.Missing()
	}
	for _, known := range []struct {
		outcome error
		code    problem.Code
		text    string
	}{
		{custody.ErrArchived, problem.VaultArchived, "the vault is archived"},
		{custody.ErrNotEmpty, problem.VaultNotEmpty, "the vault holds something, or waits for it: move it out first"},
		{custody.ErrFrozen, problem.WalletFrozen, "the wallet is frozen: a reorg took back what was moved on, and it owes"},
		{custody.ErrInsufficient, problem.InsufficientFunds, "the source wallet has less available"},
		{custody.ErrNoAddress, problem.NoAddress, "no address is left: register a key for this chain, or addresses"},
		{custody.ErrExhausted, problem.NoAddress, "the key has no further address: register another one"},
	} {
		if errors.Is(err, known.outcome) {
			return problem.New(http.StatusBadRequest, known.code, known.text).Field("", known.text)
		}
	}
	if errors.Is(err, custody.ErrTaken) {
		return problem.New(http.StatusConflict, problem.Exists, "an address is in use already in another role")
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Page narrows a list. It is exported for the router, which fills in exported parts
// of an input only.
type Page struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Entries on a page"`
	Cursor string `query:"cursor" maxLength:"100" doc:"nextCursor of the page before"`
}

// LongPage narrows a list that had no pages once: who does not ask for them is given
// the longest. It is exported as Page is.
type LongPage struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"500" doc:"Entries on a page"`
	Cursor string `query:"cursor" maxLength:"100" doc:"nextCursor of the page before"`
}

// span returns the part of a list that a page is.
func (p LongPage) span(of list) (custody.Span, error) {
	after, err := of.place(p.Cursor)
	return custody.Span{After: after, Limit: p.Limit}, err
}

// text returns a problem unless a query parameter is one that a text can have.
func text(field, value string) error {
	if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
		return problem.Invalid(field, "expected a text in UTF-8")
	}
	return nil
}

// optional returns nil for "".
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
