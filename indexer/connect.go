package indexer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
)

// Connections connects accounts: it reads what the caller typed, derives the
// first scripts, stores both, and asks for the search of their past.
type Connections struct {
	Accounts Accounts
	Sources  *Sources
	Gap      map[string]uint32 // by slug: scripts watched beyond the last used one of a branch

	// Search asks for the past of a chain's new scripts to be searched soon.
	// It is a hint: a search that was asked for and lost is found again by the
	// next periodic one.
	Search func(ctx context.Context, chain string)
}

// Connecting is what an account is asked for with.
type Connecting struct {
	Realm       Realm
	User        uuid.UUID
	Chain       string
	NFT         bool   // show the NFTs of an address, and nothing else
	Wallet      string // as the caller typed it: an address, an extended public key or a descriptor
	Name        string
	Description string
	CreatedBy   string
	MetaData    json.RawMessage
}

// Connect connects a wallet to a user. It returns the new account; a *WalletError
// says what is wrong with the wallet, ErrNotFound that the realm has no such user
// or chain, ErrExists that the user has the wallet connected already. When it
// returns nil the account is durable and every block from the next one on is
// watched for it.
func (c Connections) Connect(ctx context.Context, asked Connecting) (Account, error) {
	source, ok := c.Sources.Get(asked.Chain)
	if !ok || source.Chain().Environment != asked.Realm.Environment {
		return Account{}, fmt.Errorf("chain %q: %w", asked.Chain, ErrNotFound)
	}
	if _, able := source.(chains.NFTReader); asked.NFT && !able {
		return Account{}, fmt.Errorf("NFTs of chain %q: %w", asked.Chain, ErrNotFound)
	}
	account := Account{
		ID: uuid.New(), Realm: asked.Realm, UserID: asked.User, Chain: asked.Chain,
		Name: asked.Name, Description: asked.Description, CreatedAt: time.Now().UTC(),
		CreatedBy: asked.CreatedBy, MetaData: asked.MetaData,
	}
	read := c.read
	if asked.NFT {
		read = collector
	}
	scripts, err := read(source, asked.Wallet, &account)
	if err != nil {
		return Account{}, err
	}
	if err := c.Accounts.CreateAccount(ctx, account, scripts); err != nil {
		return Account{}, fmt.Errorf("store account: %w", err)
	}
	c.Search(ctx, asked.Chain)
	return account, nil
}

// read sets the kind and the canonical wallet of an account and returns its
// first scripts.
func (c Connections) read(source chains.Source, text string, account *Account) ([]WatchedScript, error) {
	if wallets, ok := source.(chains.Wallets); ok {
		wallet, ok, err := wallets.ParseWallet(text)
		if err != nil {
			return nil, &WalletError{Text: err.Error()}
		}
		if ok {
			account.Kind, account.Wallet = KindDescriptor, wallet.Canonical()
			return c.derive(source, wallet, account.Chain)
		}
	}
	script, canonical, err := source.ParseAddress(text)
	if err != nil {
		return nil, &WalletError{Text: err.Error()}
	}
	account.Kind, account.Wallet = KindAddress, canonical
	return []WatchedScript{{Script: script, Address: canonical}}, nil
}

// collector is read for an account that shows NFTs: those of one address.
func collector(source chains.Source, text string, account *Account) ([]WatchedScript, error) {
	script, canonical, err := source.ParseAddress(text)
	if err != nil {
		return nil, &WalletError{Text: err.Error()}
	}
	account.Kind, account.Wallet = KindNFT, canonical
	return []WatchedScript{{Script: script, Address: canonical}}, nil
}

func (c Connections) derive(source chains.Source, wallet chains.Wallet, chain string) ([]WatchedScript, error) {
	want := uint32(1)
	if wallet.Ranged() {
		want = max(c.Gap[chain], 1)
	}
	var all []WatchedScript
	for branch := range wallet.Branches() {
		scripts, err := deriveBranch(source, wallet, branch, 0, want)
		if err != nil {
			return nil, &WalletError{Text: err.Error()}
		}
		all = append(all, scripts...)
	}
	return all, nil
}
