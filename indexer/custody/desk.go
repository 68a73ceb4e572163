package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// ErrClosed says that no node of the chain answers yet, so that nobody can read
// what is written in its terms.
var ErrClosed = errors.New("the chain is not open yet")

// InvalidError says what is wrong with something a caller sent, in words that are safe
// to show to that caller. It never repeats a key.
type InvalidError struct {
	Field string
	Text  string
}

// Error returns field and text.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Text }

// Desk does what needs a chain: it reads keys and addresses as a tenant spells
// them, derives addresses, and asks for the past of those that are new.
type Desk struct {
	Pools   Pools
	Sources *indexer.Sources
	Payers  map[string]PayerConfig // by slug: what payments may cost

	// Search asks for the past of a chain's new scripts to be searched soon. It
	// is a hint: a search that was asked for and lost is found again by the next
	// periodic one.
	Search func(ctx context.Context, chain string)
}

// source returns the chain of a slug, or ErrClosed; whether the realm may see it is
// for the port to say.
func (d Desk) source(chain string) (chains.Source, error) {
	source, ok := d.Sources.Get(chain)
	if !ok {
		return nil, fmt.Errorf("chain %s: %w", chain, ErrClosed)
	}
	return source, nil
}

// Script returns what an address of a chain stands for, and its canonical
// spelling. It returns an *InvalidError of field, or ErrClosed.
func (d Desk) Script(chain, field, text string) (script []byte, canonical string, err error) {
	source, err := d.source(chain)
	if err != nil {
		return nil, "", err
	}
	script, canonical, err = source.ParseAddress(text)
	if err != nil {
		return nil, "", &InvalidError{Field: field, Text: err.Error()}
	}
	return script, canonical, nil
}

// RegisterKey makes an extended public key or a descriptor the one that a realm's
// addresses on a chain are derived from, from index next on at the earliest. It
// returns what the ports do, an *InvalidError, or ErrClosed.
func (d Desk) RegisterKey(ctx context.Context, realm indexer.Realm, chain, text string, next uint32) error {
	source, err := d.source(chain)
	if err != nil {
		return err
	}
	wallet, err := readKey(source, text)
	if err != nil {
		return err
	}
	key := Key{ID: uuid.New(), Realm: realm, Chain: chain, Text: wallet.Canonical(), NextIndex: next, CreatedAt: time.Now().UTC()}
	origin, err := wallet.Script(BranchDeposit, 0)
	if err != nil {
		return &InvalidError{Field: "key", Text: err.Error()}
	}
	if source.FormatAddress(origin) == "" {
		return &InvalidError{Field: "key", Text: "its scripts have no address that can be paid to"}
	}
	return d.Pools.RegisterKey(ctx, key, origin) //nolint:wrapcheck // the port says what it was doing
}

// readKey returns the derivation of a key that deposits can be paid to. The chain
// refuses private ones.
func readKey(source chains.Source, text string) (chains.Wallet, error) {
	wallets, ok := source.(chains.Wallets)
	if !ok {
		return nil, &InvalidError{Field: "key", Text: "addresses of this chain are not derived: register them one by one"}
	}
	wallet, ok, err := wallets.ParseWallet(text)
	switch {
	case err != nil:
		return nil, &InvalidError{Field: "key", Text: err.Error()}
	case !ok:
		return nil, &InvalidError{Field: "key", Text: "expected an extended public key or a descriptor"}
	case !wallet.Ranged():
		return nil, &InvalidError{Field: "key", Text: "it has one address only: expected one that ends in /*"}
	case source.Chain().Family == chains.FamilyBitcoin && wallet.Branches() <= BranchChange:
		return nil, &InvalidError{Field: "key", Text: "it has no branch for change: expected an extended public key, or a descriptor with /<0;1>/*"}
	}
	return wallet, nil
}

// SetTreasury makes an address the one that pays on an EVM chain.
func (d Desk) SetTreasury(ctx context.Context, realm indexer.Realm, chain, text string) error {
	const field = "treasuryAddress"
	script, canonical, err := d.Script(chain, field, text)
	if err != nil {
		return err
	}
	source, err := d.source(chain)
	if err != nil {
		return err
	}
	if source.Chain().Family != chains.FamilyEVM {
		return &InvalidError{Field: field, Text: "only EVM chains have one: elsewhere withdrawals are paid from the whole pool"}
	}
	err = d.Pools.SetTreasury(ctx, realm, chain, indexer.WatchedScript{Script: script, Address: canonical})
	if err == nil {
		d.Search(ctx, chain)
	}
	return err //nolint:wrapcheck // the port says what it was doing
}

// RegisterAddresses adds addresses to give to vaults, and returns how many were new.
func (d Desk) RegisterAddresses(ctx context.Context, realm indexer.Realm, chain string, texts []string) (int, error) {
	scripts := make([]indexer.WatchedScript, 0, len(texts))
	for i, text := range texts {
		script, canonical, err := d.Script(chain, fmt.Sprintf("addresses[%d]", i), text)
		if err != nil {
			return 0, err
		}
		scripts = append(scripts, indexer.WatchedScript{Script: script, Address: canonical})
	}
	added, err := d.Pools.RegisterAddresses(ctx, realm, chain, scripts)
	if added > 0 {
		d.Search(ctx, chain)
	}
	return added, err //nolint:wrapcheck // the port says what it was doing
}

// OpenWallet opens a wallet in a vault. It returns what the port does, or ErrClosed.
func (d Desk) OpenWallet(ctx context.Context, realm indexer.Realm, vault uuid.UUID, asset chains.AssetID, label string) (Wallet, error) {
	chain, err := d.Pools.ChainOf(ctx, realm.Environment, asset)
	if err != nil {
		return Wallet{}, err //nolint:wrapcheck // the port says what it was doing
	}
	wallet := Wallet{
		ID: uuid.New(), VaultID: vault, Realm: realm, Asset: chains.Asset{ID: asset}, Label: label, CreatedAt: time.Now().UTC(),
	}
	wallet, err = d.Pools.CreateWallet(ctx, wallet, d.derive)
	if err == nil {
		d.Search(ctx, chain)
	}
	return wallet, err //nolint:wrapcheck // the port says what it was doing
}

// NewAddress gives the vault of a wallet a further address.
func (d Desk) NewAddress(ctx context.Context, realm indexer.Realm, wallet uuid.UUID) (Address, error) {
	address, err := d.Pools.CreateAddress(ctx, realm, wallet, d.derive)
	if err == nil {
		d.Search(ctx, address.Chain)
	}
	return address, err //nolint:wrapcheck // the port says what it was doing
}

// derive implements Derive.
func (d Desk) derive(key Key, index uint32) (indexer.WatchedScript, error) {
	source, err := d.source(key.Chain)
	if err != nil {
		return indexer.WatchedScript{}, err
	}
	wallet, err := readKey(source, key.Text)
	if err != nil {
		return indexer.WatchedScript{}, fmt.Errorf("read the key again: %w", err)
	}
	script, err := wallet.Script(BranchDeposit, index)
	if err != nil {
		return indexer.WatchedScript{}, fmt.Errorf("derive script %d: %w", index, err)
	}
	return indexer.WatchedScript{Script: script, Address: source.FormatAddress(script), Branch: BranchDeposit, Index: index}, nil
}
