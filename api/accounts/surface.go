package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains/price"
	"tallyd/chains/venue"
	"tallyd/indexer"
)

// Users keeps users. A user of another realm is not found.
type Users interface {
	// CreateUser stores a user, durable when it returns nil. It returns
	// indexer.ErrNotFound if there is no such tenant.
	CreateUser(ctx context.Context, user indexer.User) error

	// Users returns all users of a realm, oldest first, or none.
	Users(ctx context.Context, realm indexer.Realm) ([]indexer.User, error)

	// User returns one user, or indexer.ErrNotFound.
	User(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.User, error)
}

// UserChanges changes and deletes users.
type UserChanges interface {
	// RenameUser gives a user another name and returns the user, or
	// indexer.ErrNotFound.
	RenameUser(ctx context.Context, realm indexer.Realm, id uuid.UUID, name string) (indexer.User, error)

	// DeleteUser deletes a user with all accounts, or returns
	// indexer.ErrNotFound.
	DeleteUser(ctx context.Context, realm indexer.Realm, id uuid.UUID) error
}

// Accounts keeps accounts. An account of another realm is not found.
type Accounts interface {
	// Account returns one account, or indexer.ErrNotFound.
	Account(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.Account, error)

	// Accounts returns all accounts of a user, oldest first, or none.
	Accounts(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.Account, error)

	// DeleteAccount ends a connection, or returns indexer.ErrNotFound.
	DeleteAccount(ctx context.Context, realm indexer.Realm, id uuid.UUID) error
}

// Balances reads what accounts hold.
type Balances interface {
	// AccountBalance returns what one account holds, or indexer.ErrNotFound.
	AccountBalance(ctx context.Context, realm indexer.Realm, account uuid.UUID) (indexer.AccountBalance, error)

	// AccountBalances returns what each account of a user holds, oldest
	// account first, or none.
	AccountBalances(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.AccountBalance, error)
}

// Vaults reads what users hold in custody.
type Vaults interface {
	// VaultBalances returns what each wallet in the vaults of a user holds, as an
	// account of kind vault, oldest first, or none.
	VaultBalances(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.AccountBalance, error)
}

// States reads how far accounts are, which may be a moment old.
type States interface {
	// AccountState returns how far an account is level with its chain, or
	// indexer.ErrNotFound.
	AccountState(ctx context.Context, realm indexer.Realm, account uuid.UUID) (indexer.AccountState, error)
}

// Transactions reads what happened to accounts.
type Transactions interface {
	// Transactions returns a page of transactions, newest first, and the
	// place the next page begins after, nil if there is none.
	Transactions(ctx context.Context, realm indexer.Realm, filter indexer.TransactionFilter) ([]indexer.Transaction, *indexer.TransactionCursor, error)
}

// Connections connects accounts.
type Connections interface {
	// Connect connects a wallet to a user. It returns indexer.ErrExists if
	// the user has it connected, indexer.ErrNotFound if there is no such user
	// or chain, and an *indexer.WalletError for the caller's eyes. When it
	// returns nil the account is durable.
	Connect(ctx context.Context, asked indexer.Connecting) (indexer.Account, error)
}

// Config is what the surface needs. The ledger usually is one value behind most
// of the ports.
type Config struct {
	Gate         *access.Gate
	Users        Users
	UserChanges  UserChanges
	Accounts     Accounts
	Balances     Balances
	Vaults       Vaults // what counts in the totals too; nil for none
	States       States
	Transactions Transactions
	Connections  Connections
	NFTs         NFTs
	Providers    []Provider

	Venues        []venue.Venue // those in use, in the order in which they are listed
	Logins        Logins
	VenueAccounts VenueAccounts // what was read at venues
	VenueCounts   VenueCounts

	Prices    Prices // nil where nothing has a price
	Past      Past
	Names     *price.Names
	CursorKey []byte // secret that cursors are signed with; the same on every instance
}

// surface is the operations with what they need.
type surface struct {
	Config
	cursors cursors
}

// Mount adds the operations of the surface to an API.
func Mount(api huma.API, cfg Config) {
	s := &surface{Config: cfg, cursors: newCursors(cfg.CursorKey)}
	s.mountUsers(api)
	s.mountConnect(api)
	s.mountAccounts(api)
	s.mountAggregate(api)
	s.mountVenues(api)
	s.mountNFTs(api)
	s.mountExchangeRates(api)
	s.mountPortfolio(api)
}

// byKey puts the rule of operations with a project key in force.
func (s *surface) byKey(op huma.Operation, action string) huma.Operation {
	return s.Gate.Guard(op, access.Rule{Surface: access.Blockmate, Scope: "users:" + action})
}

// byUser puts the rule of operations with a user token in force. bad is the status
// of a forged or expired one.
func (s *surface) byUser(op huma.Operation, bad int) huma.Operation {
	return s.Gate.Guard(op, access.Rule{Surface: access.Blockmate, User: true, BadUser: bad})
}

// edge turns an outcome of a port into what the caller may know. Anything it
// does not know is a fault, for the log alone.
func edge(doing string, err error) error {
	var wallet *indexer.WalletError
	switch {
	case errors.Is(err, indexer.ErrNotFound):
		return problem.Missing()
	case errors.Is(err, indexer.ErrExists):
		return problem.New(http.StatusBadRequest, problem.WalletConnected, "Account wallet already connected.")
	case errors.As(err, &wallet):
		return problem.New(http.StatusBadRequest, problem.InvalidWallet, wallet.Text).Field("wallet", wallet.Text)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// acknowledgement is Blockmate's answer where there is nothing to say.
type acknowledgement struct {
	Message string `json:"message" example:"OK"`
}

// done is the output of operations that answer with a message.
type done struct{ Body acknowledgement }

func ok() *done { return &done{Body: acknowledgement{Message: "OK"}} }
