package api_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
)

// fakeUsers is users, accounts and connections in memory. writes counts what
// changed.
type fakeUsers struct {
	mu       sync.Mutex
	users    []indexer.User
	accounts []indexer.Account
	writes   int
}

// state returns how much was written so far and how many accounts are left.
func (f *fakeUsers) state() (writes, accounts int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes, len(f.accounts)
}

func (f *fakeUsers) CreateUser(_ context.Context, u indexer.User) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u.Realm.Tenant != "default" && u.Realm.Tenant != "other" {
		return indexer.ErrNotFound
	}
	f.writes++
	f.users = append(f.users, u)
	return nil
}

func (f *fakeUsers) Users(_ context.Context, realm indexer.Realm) ([]indexer.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.users), func(u indexer.User) bool { return u.Realm != realm }), nil
}

func (f *fakeUsers) User(_ context.Context, realm indexer.Realm, id uuid.UUID) (indexer.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.users {
		if u.ID == id && u.Realm == realm {
			return u, nil
		}
	}
	return indexer.User{}, indexer.ErrNotFound
}

func (f *fakeUsers) RenameUser(_ context.Context, realm indexer.Realm, id uuid.UUID, name string) (indexer.User, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, u := range f.users {
		if u.ID == id && u.Realm == realm {
			f.writes++
			f.users[i].Name = name
			return f.users[i], nil
		}
	}
	return indexer.User{}, indexer.ErrNotFound
}

func (f *fakeUsers) DeleteUser(_ context.Context, realm indexer.Realm, id uuid.UUID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.users)
	f.users = slices.DeleteFunc(f.users, func(u indexer.User) bool { return u.ID == id && u.Realm == realm })
	if len(f.users) == before {
		return indexer.ErrNotFound
	}
	f.writes++
	f.accounts = slices.DeleteFunc(f.accounts, func(a indexer.Account) bool { return a.UserID == id })
	return nil
}

func (f *fakeUsers) Account(_ context.Context, realm indexer.Realm, id uuid.UUID) (indexer.Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.accounts {
		if a.ID == id && a.Realm == realm {
			return a, nil
		}
	}
	return indexer.Account{}, indexer.ErrNotFound
}

func (f *fakeUsers) Accounts(_ context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.accounts), func(a indexer.Account) bool {
		return a.Realm != realm || a.UserID != user
	}), nil
}

func (f *fakeUsers) DeleteAccount(_ context.Context, realm indexer.Realm, id uuid.UUID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.accounts)
	f.accounts = slices.DeleteFunc(f.accounts, func(a indexer.Account) bool { return a.ID == id && a.Realm == realm })
	if len(f.accounts) == before {
		return indexer.ErrNotFound
	}
	f.writes++
	return nil
}

func (f *fakeUsers) Connect(_ context.Context, asked indexer.Connecting) (indexer.Account, error) {
	realm, user, chain, wallet := asked.Realm, asked.User, asked.Chain, asked.Wallet
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasPrefix(wallet, "bad") {
		return indexer.Account{}, &indexer.WalletError{Text: "not an address of this chain"}
	}
	if wallet == "boom" {
		return indexer.Account{}, errors.New("dial tcp 10.0.0.7:5432: password=hunter2")
	}
	if !slices.ContainsFunc(f.users, func(u indexer.User) bool { return u.ID == user && u.Realm == realm }) {
		return indexer.Account{}, indexer.ErrNotFound
	}
	kind := indexer.KindAddress
	if asked.NFT {
		kind = indexer.KindNFT
	}
	if slices.ContainsFunc(f.accounts, func(a indexer.Account) bool {
		return a.UserID == user && a.Chain == chain && a.Wallet == wallet && a.Kind == kind
	}) {
		return indexer.Account{}, indexer.ErrExists
	}
	f.writes++
	a := indexer.Account{
		ID: uuid.New(), Realm: realm, UserID: user, Chain: chain, Kind: kind,
		Wallet: wallet, Name: asked.Name, Description: asked.Description, CreatedAt: noon,
		CreatedBy: asked.CreatedBy, MetaData: asked.MetaData,
	}
	f.accounts = append(f.accounts, a)
	return a, nil
}

// fakeLedger is what the accounts of fakeUsers hold.
type fakeLedger struct {
	users *fakeUsers

	mu      sync.Mutex
	held    map[string]indexer.AccountBalance // by chain; Account is filled in
	pending int                               // answers without a balance before the first with one
	pages   [][]indexer.Transaction
	filter  indexer.TransactionFilter // of the last call
	events  []indexer.Event
	nfts    []indexer.NFT // of every account on an EVM chain; Account is filled in
	chains  []indexer.ChainStatus
	down    error
}

// set changes the ledger while the API may read it.
func (f *fakeLedger) set(change func(*fakeLedger)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeLedger) AccountBalance(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.AccountBalance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.users.Account(ctx, realm, id)
	if err != nil {
		return indexer.AccountBalance{}, err
	}
	b := f.held[a.Chain]
	b.Account = a
	if f.pending > 0 {
		f.pending--
		b.Balances, b.State.LastSync, b.State.Status = nil, nil, "syncing"
	}
	return b, f.down
}

func (f *fakeLedger) AccountState(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.AccountState, error) {
	b, err := f.AccountBalance(ctx, realm, id)
	return b.State, err
}

func (f *fakeLedger) AccountBalances(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.AccountBalance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.users.Accounts(ctx, realm, user)
	var list []indexer.AccountBalance
	for _, a := range all {
		if a.Kind == indexer.KindVenue {
			continue
		}
		b := f.held[a.Chain]
		b.Account = a
		list = append(list, b)
	}
	return list, err
}

func (f *fakeLedger) Transactions(_ context.Context, _ indexer.Realm, filter indexer.TransactionFilter) ([]indexer.Transaction, *indexer.TransactionCursor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	at := 0
	if filter.After != nil {
		at = int(filter.After.Tx[0])
	}
	if at >= len(f.pages) {
		return nil, nil, nil
	}
	if at == len(f.pages)-1 {
		return f.pages[at], nil, nil
	}
	return f.pages[at], &indexer.TransactionCursor{Time: noon, Tx: chains.Hash{byte(at + 1)}, Account: filter.Accounts[0]}, nil
}

func (f *fakeLedger) NFTHolders(ctx context.Context, realm indexer.Realm, user uuid.UUID, only *uuid.UUID) ([]indexer.NFTHolder, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.users.Accounts(ctx, realm, user)
	var holders []indexer.NFTHolder
	for _, a := range all {
		if a.Chain != "btc" && (only == nil || *only == a.ID) {
			holders = append(holders, indexer.NFTHolder{Account: a, State: f.held[a.Chain].State, Tip: f.held[a.Chain].AsOf, Held: int64(len(f.nfts))})
		}
	}
	if only != nil && len(holders) == 0 {
		return nil, indexer.ErrNotFound
	}
	return holders, errors.Join(err, f.down)
}

func (f *fakeLedger) NFTs(ctx context.Context, realm indexer.Realm, filter indexer.NFTFilter) ([]indexer.NFT, *indexer.NFTCursor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, err := f.users.Accounts(ctx, realm, filter.User)
	var page []indexer.NFT
	for i := int(filter.After.Asset); i < len(f.nfts); i++ {
		if len(page) == filter.Limit {
			return page, &indexer.NFTCursor{Script: 1, Asset: int64(i)}, err
		}
		one := f.nfts[i]
		for _, a := range all {
			if a.Chain != "btc" {
				one.Account = a.ID
				break
			}
		}
		page = append(page, one)
	}
	return page, nil, errors.Join(err, f.down)
}

func (f *fakeLedger) EventsAfter(_ context.Context, realm indexer.Realm, after int64, limit int) ([]indexer.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(f.events), func(e indexer.Event) bool { return e.Realm != realm || e.Seq <= after })
	return list[:min(limit, len(list))], nil
}

func (f *fakeLedger) ChainStatuses(context.Context) ([]indexer.ChainStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.chains), f.down
}

func (f *fakeLedger) Ping(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down
}

// fakeKeys is keys in memory.
type fakeKeys struct {
	mu      sync.Mutex
	keys    map[string]access.Key
	touched map[string]time.Time
	down    error
}

func (f *fakeKeys) KeyByID(_ context.Context, id string) (access.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key, ok := f.keys[id]
	if !ok {
		return access.Key{}, indexer.ErrNotFound
	}
	return key, f.down
}

func (f *fakeKeys) TouchKeys(_ context.Context, used map[string]time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.touched = used
	return f.down
}

// KeysChanged says that no key ever changes: nothing in these tests remembers any.
func (*fakeKeys) KeysChanged(context.Context) (map[string]int64, error) { return nil, nil }

// fakeReplays is signatures in memory.
type fakeReplays struct{ seen sync.Map }

func (f *fakeReplays) Fresh(_ context.Context, signature []byte, _ time.Time) (bool, error) {
	_, seen := f.seen.LoadOrStore(string(signature), true)
	return !seen, nil
}

// fakeRequests carries requests out without a transaction, and keeps the audit log
// in memory.
type fakeRequests struct {
	mu      sync.Mutex
	entries []access.Entry
}

func (f *fakeRequests) Write(ctx context.Context, entry access.Entry, _ *access.Once, do func(context.Context) access.Answer) (access.Answer, bool, error) {
	answer := do(ctx)
	entry.Status, entry.Code = answer.Status, answer.Code
	return answer, false, f.Record(ctx, entry)
}

// Kept says that no answer is kept.
func (*fakeRequests) Kept(context.Context, access.Entry, access.Once) (access.Answer, error) {
	return access.Answer{}, indexer.ErrNotFound
}

func (f *fakeRequests) Record(_ context.Context, entry access.Entry) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries = append(f.entries, entry)
	return nil
}
