package api_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/indexer"
)

// fakeVenues is the logins of the users of fakeUsers, and venues that say what the
// key they are asked with is called.
type fakeVenues struct {
	users *fakeUsers

	mu        sync.Mutex
	asked     int
	states    map[uuid.UUID]indexer.VenueState
	holdings  []indexer.VenueHolding
	movements []indexer.VenueMovement
	filter    indexer.VenueMovementFilter // of the last call
}

func newFakeVenues(users *fakeUsers) *fakeVenues {
	return &fakeVenues{users: users, states: map[uuid.UUID]indexer.VenueState{}}
}

func (f *fakeVenues) set(change func(*fakeVenues)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeVenues) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// say is what a venue says to a key.
func (f *fakeVenues) say(name, key string, acknowledged bool) error {
	f.mu.Lock()
	f.asked++
	f.mu.Unlock()
	switch key {
	case "strong":
		return fmt.Errorf("%w: %s", venue.ErrTooStrong, "WRITE, no scopes")
	case "unknown":
		if !acknowledged {
			return venue.ErrUnacknowledged
		}
	case "wrong":
		e := venue.Say(venue.KeyRefused, "30005", "Header X-BM-SIGN is wrong")
		e.Venue, e.Hint = name, "the memo is the text that you typed when you made the key, not your user id"
		return fmt.Errorf("try the login: %w", e)
	case "slow":
		e := venue.Say(venue.RateLimited, "429", "")
		e.Until = time.Now().Add(time.Minute)
		return fmt.Errorf("try the login: %w", e)
	case "gone":
		return fmt.Errorf("try the login: %w", &venue.Error{Venue: name, Reason: venue.Unreachable, Cause: errors.New("dial tcp: refused")})
	case "late":
		return fmt.Errorf("try the login: %w", context.DeadlineExceeded)
	case "sandbox":
		return indexer.ErrSandbox
	case "broken":
		return &indexer.FieldsError{Cause: errors.New("the secret is no PEM")}
	case "boom":
		return errors.New("dial tcp 10.0.0.7:5432: password=hunter2")
	}
	return nil
}

func (f *fakeVenues) Try(_ context.Context, asked indexer.VenueConnecting) (indexer.TriedLogin, error) {
	if err := f.say(asked.Venue, asked.Credentials.Get(venue.FieldKey), asked.Acknowledged); err != nil {
		return indexer.TriedLogin{}, err
	}
	return indexer.TriedLogin{Credentials: asked.Credentials, Account: indexer.VenueAccount{
		Region: "global", Login: "login",
		State: indexer.VenueState{Status: indexer.StateSyncing, Warnings: []string{`The key lacks the right "Earn".`}},
		Account: indexer.Account{
			ID: uuid.New(), Realm: asked.Realm, UserID: asked.User, Venue: asked.Venue, Kind: indexer.KindVenue, Wallet: asked.Credentials.Digest(asked.Venue),
			Name: asked.Name, Description: asked.Description, CreatedAt: noon, CreatedBy: asked.CreatedBy, MetaData: asked.MetaData,
		},
	}}, nil
}

func (f *fakeVenues) Keep(ctx context.Context, tried indexer.TriedLogin) (indexer.VenueAccount, error) {
	a := tried.Account
	if _, err := f.users.User(ctx, a.Realm, a.UserID); err != nil {
		return indexer.VenueAccount{}, err
	}
	f.users.mu.Lock()
	defer f.users.mu.Unlock()
	if slices.ContainsFunc(f.users.accounts, func(b indexer.Account) bool { return b.UserID == a.UserID && b.Wallet == a.Wallet }) {
		return indexer.VenueAccount{}, indexer.ErrExists
	}
	f.users.writes++
	f.users.accounts = append(f.users.accounts, a.Account)
	f.set(func(f *fakeVenues) { f.states[a.ID] = a.State })
	return f.of(a.Account), nil
}

func (f *fakeVenues) TryOther(ctx context.Context, realm indexer.Realm, id uuid.UUID, credentials venue.Credentials, acknowledged bool) (indexer.TriedLogin, error) {
	a, err := f.VenueAccount(ctx, realm, id)
	if err != nil {
		return indexer.TriedLogin{}, err
	}
	return indexer.TriedLogin{Account: a, Credentials: credentials}, f.say(a.Venue, credentials.Get(venue.FieldKey), acknowledged)
}

func (f *fakeVenues) KeepOther(ctx context.Context, tried indexer.TriedLogin) (indexer.VenueAccount, error) {
	if tried.Credentials.Get(venue.FieldKey) == "other" {
		return indexer.VenueAccount{}, indexer.ErrOtherLogin
	}
	f.set(func(f *fakeVenues) { f.states[tried.Account.ID] = indexer.VenueState{Status: indexer.StateSyncing} })
	return f.VenueAccount(ctx, tried.Account.Realm, tried.Account.ID)
}

func (f *fakeVenues) Resume(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.VenueAccount, error) {
	f.set(func(f *fakeVenues) { f.states[id] = indexer.VenueState{Status: indexer.StateSyncing} })
	return f.VenueAccount(ctx, realm, id)
}

func (f *fakeVenues) Disconnect(ctx context.Context, realm indexer.Realm, id uuid.UUID) error {
	return f.users.DeleteAccount(ctx, realm, id)
}

// of returns an account with its state.
func (f *fakeVenues) of(a indexer.Account) indexer.VenueAccount {
	f.mu.Lock()
	defer f.mu.Unlock()
	return indexer.VenueAccount{Account: a, Region: "global", Login: "login", State: f.states[a.ID]}
}

func (f *fakeVenues) VenueAccount(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.VenueAccount, error) {
	a, err := f.users.Account(ctx, realm, id)
	if err == nil && a.Kind != indexer.KindVenue {
		err = indexer.ErrNotFound
	}
	if err != nil {
		return indexer.VenueAccount{}, err
	}
	return f.of(a), nil
}

func (f *fakeVenues) UserVenueAccounts(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.VenueAccount, error) {
	all, err := f.users.Accounts(ctx, realm, user)
	var list []indexer.VenueAccount
	for _, a := range all {
		if a.Kind == indexer.KindVenue {
			list = append(list, f.of(a))
		}
	}
	return list, err
}

func (f *fakeVenues) VenueBalance(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.VenueBalance, error) {
	a, err := f.VenueAccount(ctx, realm, id)
	return f.balance(a), err
}

func (f *fakeVenues) UserVenueBalances(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.VenueBalance, error) {
	all, err := f.UserVenueAccounts(ctx, realm, user)
	var list []indexer.VenueBalance
	for _, a := range all {
		list = append(list, f.balance(a))
	}
	return list, err
}

func (f *fakeVenues) balance(a indexer.VenueAccount) indexer.VenueBalance {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := indexer.VenueBalance{Account: a}
	if a.State.LastSync != nil {
		b.Holdings = f.holdings
	}
	return b
}

func (f *fakeVenues) VenueMovements(_ context.Context, _ indexer.Realm, filter indexer.VenueMovementFilter) ([]indexer.VenueMovement, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	from := 0
	if filter.After != nil {
		from = 1 + slices.IndexFunc(f.movements, func(m indexer.VenueMovement) bool { return m.ID == filter.After.ID })
	}
	page := slices.Clone(f.movements[from:min(len(f.movements), from+filter.Limit)])
	for i := range page {
		page[i].AccountID = filter.Accounts[0]
	}
	return page, nil
}

func (f *fakeVenues) LinkedMovements(_ context.Context, _ indexer.Realm, _ uuid.UUID, chain string, txs []chains.Hash) ([]indexer.VenueMovement, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var linked []indexer.VenueMovement
	for _, m := range f.movements {
		hash, err := chains.ParseHash(m.TxHash)
		if err == nil && chain == "btc" && slices.Contains(txs, hash) {
			linked = append(linked, m)
		}
	}
	return linked, nil
}

func (f *fakeVenues) VenueCounts(context.Context) ([]indexer.VenueCount, error) {
	other := indexer.Realm{Tenant: "other", Environment: chains.Live}
	return []indexer.VenueCount{
		{Realm: live, Venue: "bitmart", Status: indexer.StateLevel, Accounts: 3},
		{Realm: live, Venue: "bitmart", Status: indexer.StateStopped, Accounts: 2},
		{Realm: other, Venue: "bitmart", Status: indexer.StateLevel, Accounts: 7},
		{Realm: live, Venue: "blink", Status: indexer.StateDegraded, Accounts: 1},
		{Realm: indexer.Realm{Tenant: "default", Environment: chains.Test}, Venue: "blink", Status: indexer.StateSyncing, Accounts: 9},
	}, nil
}

// decimal reads a number of a venue.
func decimal(text string) venue.Decimal {
	d, err := venue.ParseDecimal(text)
	if err != nil {
		panic(err)
	}
	return d
}

// Assets as venues' codes stand for them.
var (
	bitcoin = identity.Identity{Asset: btc.ID, Symbol: "BTC", Known: true}
	dollar  = identity.Identity{Asset: "iso4217:USD", Symbol: "USD", Known: true}
	nobody  = identity.Identity{Asset: "venue:bitmart/WAT", Symbol: "WAT"}
)

// atVenue is what an account at a venue holds: bitcoin in two wallets, 30 digits of
// what nobody knows, and what is owed.
func atVenue() []indexer.VenueHolding {
	return []indexer.VenueHolding{
		{Holding: venue.Held(venue.Spot, "XXBT", decimal("1.5"), decimal("0.25")), Asset: bitcoin, At: noon},
		{Holding: venue.Owned(venue.Earn, "XBT.F", decimal("0.000000001")), Asset: bitcoin, At: noon},
		{Holding: venue.Owned(venue.Spot, "WAT", decimal("123456789012345678901234567890.123456789012345678")), Asset: nobody, At: noon},
		{Holding: venue.Holding{Wallet: venue.Margin, Code: "USD", Available: decimal("0"), Borrowed: decimal("12.5"), Total: decimal("-12.5")}, Asset: dollar, At: noon},
	}
}

// levelAtVenue is the state of an account that was read, as far as it could be.
func levelAtVenue() indexer.VenueState {
	return indexer.VenueState{
		Status: indexer.StateLevel, LastSync: &noon, Since: &noon, RetryAt: &noon,
		Missing: []venue.Missing{{Wallet: venue.Earn, Reason: venue.PermissionMissing, Detail: "no Earn"}},
		Totals: []indexer.VenueTotal{
			{Worth: venue.Worth{Wallet: venue.Spot, Code: "USD", Total: decimal("10.5")}, Sum: decimal("10"), At: noon},
			{Worth: venue.Worth{Code: "BTC", Total: decimal("2")}, At: noon},
		},
		Histories: []indexer.VenueHistory{
			{Stream: venue.Deposits, Status: indexer.HistoryComplete, Covered: venue.Ranges{{From: noon.Add(-time.Hour), To: noon}}, Since: &noon},
			{Stream: venue.Ledger, Status: indexer.HistoryPartial, Limits: "three months", Reason: venue.Maintenance, Detail: "later"},
		},
	}
}

// movements are a deposit that is linked to a chain, a trade, and a withdrawal
// that was taken back, newest first.
func movements() []indexer.VenueMovement {
	at := func(minutes int) time.Time { return noon.Add(-time.Duration(minutes) * time.Minute) }
	return []indexer.VenueMovement{
		{
			ID: 3, Venue: "bitmart", Chain: "bip122:000000000019d6689c085ae165831e93", Assets: []identity.Identity{bitcoin},
			Movement: venue.Movement{
				Stream: venue.Deposits, ID: "d1", Kind: venue.Deposit, Status: venue.Settled, State: "3", Network: "BTC", TxHash: "AB" + strings.Repeat("00", 31), Vout: 0, Address: "bc1q",
				Legs: []venue.Leg{{Code: "BTC", Amount: decimal("0.5")}}, Time: at(0),
			},
			Links: []indexer.VenueLink{{AccountID: uuid.UUID{1}, Chain: "btc", Tx: chains.Hash{0xab}, Source: "vin:0", Side: chains.Out, Asset: btc.ID, Amount: chains.NewAmount(50_000_000), Status: indexer.StatusConfirmed}},
		},
		{
			ID: 2, Venue: "bitmart", Assets: []identity.Identity{bitcoin, dollar, dollar},
			Movement: venue.Movement{
				Stream: venue.Trades, ID: "t1", Kind: venue.Trade, Status: venue.Settled, Vout: -1, Time: at(2),
				Legs: []venue.Leg{{Code: "BTC", Amount: decimal("1")}, {Code: "USD", Amount: decimal("-100")}, {Code: "USD", Amount: decimal("-0.25"), Fee: true}},
			},
		},
		{
			ID: 1, Venue: "bitmart", Assets: []identity.Identity{nobody, nobody},
			Movement: venue.Movement{
				Stream: venue.Withdrawals, ID: "w1", Kind: venue.Withdrawal, Status: venue.Reversed, Vout: -1, Address: "elsewhere", Time: at(3),
				Legs: []venue.Leg{{Code: "WAT", Amount: decimal("-7")}, {Code: "WAT", Fee: true}},
			},
		},
	}
}
