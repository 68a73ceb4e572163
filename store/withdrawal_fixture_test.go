package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// fakeNode is a node that builds transactions by the simplest rules, and takes what
// it is told unless the test says otherwise.
type fakeNode struct {
	chains.Source // nil: what is not faked panics

	chain chains.Chain

	mu      sync.Mutex
	fee     int64                                 // of a draft
	told    []string                              // what was broadcast, in its order
	refuse  chains.RefusalReason                  // of every broadcast, unless ""
	judge   func(raw string) chains.RefusalReason // instead of refuse, unless nil
	down    error                                 // of every question, unless nil
	noFees  error                                 // of what the network asks for, unless nil
	blocks  map[chains.Hash][]chains.Transfer     // what pays somebody, by block
	sights  map[chains.Hash]chains.Sighting
	nonces  map[string]uint64 // next by address, as the chain has it
	reverts bool
}

func (n *fakeNode) Chain() chains.Chain { return n.chain }

func (n *fakeNode) FormatAddress(script []byte) string { return hex.EncodeToString(script) }

func (n *fakeNode) Head(context.Context) (chains.BlockRef, error) {
	return chains.BlockRef{Height: 1}, n.down
}

func (n *fakeNode) EstimateFee(context.Context, int, chains.Amount) (chains.FeeEstimate, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return chains.FeeEstimate{FeeRate: chains.FeeRate{Max: chains.NewAmount(n.fee)}}, errors.Join(n.down, n.noFees)
}

func (n *fakeNode) Broadcast(_ context.Context, raw []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down != nil {
		return n.down
	}
	reason := n.refuse
	if n.judge != nil {
		reason = n.judge(string(raw))
	}
	if reason != "" {
		return &chains.RefusalError{Reason: reason, Detail: "no"}
	}
	n.told = append(n.told, string(raw))
	return nil
}

func (n *fakeNode) Lookup(_ context.Context, id chains.Hash) (chains.Sighting, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if sighting, ok := n.sights[id]; ok {
		return sighting, n.down
	}
	return chains.Sighting{}, errors.Join(chains.ErrNotFound, n.down)
}

// Check takes what sign makes.
func (n *fakeNode) Check(draft chains.Draft, signed string, _ chains.Amount) (chains.Signed, error) {
	if signed != string(sign(draft).Raw) {
		return chains.Signed{}, &chains.MismatchError{Code: chains.Differs, Field: "outputs[0].amount"}
	}
	return sign(draft), nil
}

func (n *fakeNode) Block(_ context.Context, hash chains.Hash) (chains.Block, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down != nil {
		return nil, n.down
	}
	return &fakeBlock{transfers: n.blocks[hash]}, nil
}

type fakeBlock struct {
	chains.Block

	transfers []chains.Transfer
}

func (b *fakeBlock) Match(watch *chains.WatchTable) (chains.Match, error) {
	return chains.Match{Transfers: slices.DeleteFunc(slices.Clone(b.transfers), func(t chains.Transfer) bool { return !watch.HasScript(t.Script) })}, nil
}

// sign makes of a draft what a signer does.
func sign(draft chains.Draft) chains.Signed {
	return chains.Signed{Raw: []byte("signed " + draft.Payload), ID: sha256.Sum256([]byte(draft.Payload))}
}

// sealed gives a draft its payload: everything that is in it.
func sealed(draft chains.Draft) chains.Draft {
	text, err := json.Marshal(draft)
	if err != nil {
		panic(err)
	}
	draft.Payload = string(text)
	return draft
}

// coinNode builds out of coins.
type coinNode struct{ *fakeNode }

// BuildPayment takes the coins in their order until they suffice.
func (n coinNode) BuildPayment(_ context.Context, order chains.PaymentOrder) (chains.Draft, error) {
	return n.pay(order, nil)
}

func (n coinNode) pay(order chains.PaymentOrder, must []chains.DraftInput) (chains.Draft, error) {
	fee, have := order.Rate.Max, chains.Amount{}
	if fee.Cmp(order.Ceiling) > 0 {
		return chains.Draft{}, chains.ErrFeeTooHigh
	}
	need := order.To.Amount.Add(fee)
	payment := &chains.PaymentDraft{}
	for _, in := range must {
		payment.Inputs, have = append(payment.Inputs, in), have.Add(in.Amount)
	}
	for _, coin := range order.Coins {
		if have.Cmp(need) >= 0 {
			break
		}
		payment.Inputs, have = append(payment.Inputs, chains.DraftInput{Coin: coin}), have.Add(coin.Amount)
	}
	if have.Cmp(need) < 0 {
		return chains.Draft{}, &chains.ShortageError{Asset: n.chain.Native.ID, Have: have, Need: need}
	}
	payment.Outputs = []chains.DraftOutput{{Output: order.To}}
	if rest := have.Sub(need); rest.Sign() > 0 {
		change := order.Change
		change.Amount = rest
		payment.Outputs = append(payment.Outputs, chains.DraftOutput{Output: change, Change: true})
	}
	return sealed(chains.Draft{Chain: n.chain.ID, Format: chains.FormatPSBT, Fee: fee, Rate: chains.FeeRate{Max: fee}, Payment: payment}), nil
}

// Bump pays ten more.
func (n coinNode) Bump(_ context.Context, draft chains.Draft, bump chains.Bump) (chains.Draft, error) {
	order := chains.PaymentOrder{Coins: bump.Coins, Change: bump.Change, Ceiling: bump.Ceiling, Rate: chains.FeeRate{Max: draft.Fee.Add(chains.NewAmount(10))}}
	for _, out := range draft.Payment.Outputs {
		if out.Change {
			order.Change = out.Output
		} else {
			order.To = out.Output
		}
	}
	return n.pay(order, draft.Payment.Inputs)
}

// ParseWallet reads the keys of a desk: branch 1 of xpub is script(150) and so on.
func (n coinNode) ParseWallet(text string) (chains.Wallet, bool, error) {
	return deskWallet(text), true, nil
}

type deskWallet string

func (w deskWallet) Canonical() string { return string(w) }
func (w deskWallet) Branches() uint32  { return 2 }
func (w deskWallet) Ranged() bool      { return true }

func (w deskWallet) Script(branch, index uint32) ([]byte, error) {
	return script(100 + 50*int(branch) + int(index)), nil
}

// accountNode builds EVM transactions. Gas costs the rate.
type accountNode struct{ *fakeNode }

func (n accountNode) BuildTransfer(_ context.Context, order chains.TransferOrder) (chains.Draft, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	rate := order.Rate
	if order.Replaces != nil {
		rate.Max = order.Replaces.Rate.Max.Add(chains.NewAmount(1))
	}
	switch {
	case n.down != nil:
		return chains.Draft{}, n.down
	case n.reverts:
		return chains.Draft{}, fmt.Errorf("%w: paused", chains.ErrReverts)
	case rate.Max.Cmp(order.Ceiling) > 0:
		return chains.Draft{}, chains.ErrFeeTooHigh
	}
	amount := order.Amount
	if order.All {
		amount = chains.NewAmount(40) // what the address has left
	}
	transfer := &chains.TransferDraft{From: order.From, Key: order.Key, Nonce: order.Nonce, To: order.To, Value: amount}
	if order.Asset != n.chain.Native.ID {
		word := make([]byte, 4+64)
		amount.Big().FillBytes(word[36:])
		transfer.Data, transfer.Value = word, chains.Amount{}
	}
	return sealed(chains.Draft{Chain: n.chain.ID, Format: chains.FormatEIP1559, Fee: rate.Max, Rate: rate, Transfer: transfer}), nil
}

func (n accountNode) Bump(_ context.Context, draft chains.Draft, bump chains.Bump) (chains.Draft, error) {
	draft.Fee = draft.Fee.Add(chains.NewAmount(1))
	draft.Rate.Max, draft.Payload = draft.Fee, ""
	if draft.Fee.Cmp(bump.Ceiling) > 0 {
		return chains.Draft{}, chains.ErrFeeTooHigh
	}
	return sealed(draft), nil
}

func (n accountNode) Nonces(_ context.Context, address []byte) (latest, pending uint64, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nonces[string(address)], n.nonces[string(address)], n.down
}

// till is a desk that pays: with a node, and with whoever looks at withdrawals.
type till struct {
	*desk
	node  *fakeNode
	payer *custody.Payer
	chain []chains.BlockRef // canonical, above the first block
	base  chains.BlockRef
	n     int // numbers of blocks and transactions
}

const (
	outside  = 9 // script of somebody else
	feeLimit = 1000
)

func newTill(t testing.TB, opts store.Options, policy custody.Policy) *till {
	t.Helper()
	return tillIn(t, openStore(t, opts), chains.FamilyBitcoin, policy)
}

func tillIn(t testing.TB, s *store.Store, family chains.Family, policy custody.Policy) *till {
	t.Helper()
	d, tip := deskIn(t, s, family, policy)
	w := &till{desk: d, base: tip, n: 1, node: &fakeNode{
		chain: d.chain, fee: 10, blocks: map[chains.Hash][]chains.Transfer{}, sights: map[chains.Hash]chains.Sighting{}, nonces: map[string]uint64{},
	}}
	w.payer = w.newPayer()
	w.allow(t, outside)
	return w
}

func (w *till) newPayer() *custody.Payer {
	var source chains.Source = coinNode{w.node}
	if w.desk.chain.Family == chains.FamilyEVM {
		source = accountNode{w.node}
	}
	return &custody.Payer{
		Source: source, Payouts: w.Store, Coins: w.Store, Log: zerolog.Nop(),
		Config: custody.PayerConfig{MaxFee: chains.NewAmount(feeLimit), Blocks: 3},
	}
}

// twin is another tenant on the same chain, who gave the key of this one for its own.
func (w *till) twin(t testing.TB) *till {
	t.Helper()
	name := uuid.NewString()[:8]
	require.NoError(t, w.CreateTenant(t.Context(), access.Tenant{ID: name, Name: name}))
	realm := indexer.Realm{Tenant: name, Environment: w.realm.Environment}
	other := &till{desk: &desk{&bench{Store: w.Store, chain: w.desk.chain, realm: realm, lease: w.lease}}, node: w.node, payer: w.payer}
	other.register(t, "xpub")
	other.allow(t, outside)
	return other
}

// allow puts an address of somebody else into the address book.
func (w *till) allow(t testing.TB, to int) custody.Entry {
	t.Helper()
	entry := custody.Entry{
		ID: uuid.New(), Realm: w.realm, Chain: w.desk.chain.Slug, Address: address(to), Script: script(to), CreatedAt: time.Now(), UsableAt: time.Now().Add(-time.Hour),
	}
	require.NoError(t, w.AddEntry(t.Context(), entry))
	return entry
}

func (w *till) tip() chains.BlockRef {
	if len(w.chain) == 0 {
		return w.base
	}
	return w.chain[len(w.chain)-1]
}

// mine appends a block.
func (w *till) mine(t testing.TB, matches ...chains.Match) chains.BlockRef {
	t.Helper()
	var all chains.Match
	for _, match := range matches {
		all.Transfers, all.Spends = append(all.Transfers, match.Transfers...), append(all.Spends, match.Spends...)
	}
	w.n++
	ref := w.apply(t, w.tip(), w.n, all)
	w.chain = append(w.chain, ref)
	return ref
}

func (w *till) mineEmpty(t testing.TB, count int) {
	t.Helper()
	for range count {
		w.mine(t)
	}
}

// unmine takes blocks off.
func (w *till) unmine(t testing.TB, count int) {
	t.Helper()
	for range count {
		_, err := w.Revert(t.Context(), w.lease, w.tip())
		require.NoError(t, err)
		w.chain = w.chain[:len(w.chain)-1]
	}
}

// fund opens a wallet with a credited deposit of each amount, each a coin.
func (w *till) fund(t testing.TB, amounts ...int) custody.Wallet {
	t.Helper()
	wallet := w.open(t)
	addresses, _, err := w.WalletAddresses(t.Context(), w.realm, wallet.ID, whole)
	require.NoError(t, err)
	var match chains.Match
	for _, amount := range amounts {
		w.n++
		match.Transfers = append(match.Transfers, w.to(1000+w.n, int(*addresses[0].Index), amount))
	}
	w.mine(t, match)
	w.mineEmpty(t, 3)
	return wallet
}

func (w *till) order(wallet custody.Wallet, amount int64) custody.WithdrawalOrder {
	return custody.WithdrawalOrder{
		ID: uuid.New(), Realm: w.realm, Wallet: wallet.ID, Address: address(outside), Script: script(outside), Amount: chains.NewAmount(amount),
	}
}

func (w *till) withdraw(t testing.TB, wallet custody.Wallet, amount int64) uuid.UUID {
	t.Helper()
	made, err := w.Withdraw(t.Context(), w.order(wallet, amount))
	require.NoError(t, err)
	return made.ID
}

// work has everything looked at that can be, and forgets how long the rest waits.
func (w *till) work(t testing.TB) {
	t.Helper()
	const most = 100 // steps, more than any test here takes
	for range most {
		moved, err := w.payer.Step(t.Context())
		if !errors.Is(err, errFault) {
			require.NoError(t, err)
		}
		if !moved && err == nil {
			return
		}
		if errors.Is(err, errFault) {
			w.hurry(t)
		}
	}
	require.Fail(t, "there is always more to do")
}

// hurry lets time pass: all that waits for a moment is due, and no turn lasts.
func (w *till) hurry(t testing.TB) {
	t.Helper()
	_, err := w.Pool().Exec(t.Context(), `UPDATE withdrawals SET next_at = least(next_at, now()), lease_until = 'epoch' WHERE chain = $1 AND next_at IS NOT NULL`, w.desk.chain.Slug)
	require.NoError(t, err)
}

// again is work after some time.
func (w *till) again(t testing.TB) {
	t.Helper()
	w.hurry(t)
	w.work(t)
}

func (w *till) withdrawal(t testing.TB, id uuid.UUID) custody.Withdrawal {
	t.Helper()
	found, err := w.Withdrawal(t.Context(), w.realm, id)
	require.NoError(t, err)
	return found
}

// at returns status and reason of a withdrawal as one text.
func (w *till) at(t testing.TB, id uuid.UUID) string {
	t.Helper()
	found := w.withdrawal(t, id)
	return strings.TrimSpace(string(found.Status) + " " + found.Reason)
}

// signs signs what waits for it.
func (w *till) signs(t testing.TB, id uuid.UUID) custody.Draft {
	t.Helper()
	found := w.withdrawal(t, id)
	draft := found.ToSign()
	require.NotNil(t, draft, "%s %s", found.Status, found.Reason)
	_, err := w.Accept(t.Context(), w.realm, id, draft.N, sign(draft.Draft))
	require.NoError(t, err)
	return *draft
}

// onChain is what the newest signed draft of a withdrawal does to the ledger.
func (w *till) onChain(t testing.TB, id uuid.UUID) chains.Match {
	t.Helper()
	found := w.withdrawal(t, id)
	return w.effect(found.NewestSigned().Draft)
}

func (w *till) effect(draft chains.Draft) chains.Match { return w.effectAs(draft, sign(draft).ID) }

func (w *till) effectAs(draft chains.Draft, tx chains.Hash) chains.Match {
	var match chains.Match
	if draft.Payment == nil {
		return w.transferEffect(draft, tx, true)
	}
	for i, in := range draft.Payment.Inputs {
		match.Spends = append(match.Spends, chains.Spend{Tx: tx, Vin: uint32(i), Spent: in.Outpoint})
	}
	for i, out := range draft.Payment.Outputs {
		match.Transfers = append(match.Transfers, chains.Transfer{
			Tx: tx, Source: chains.SourceVout(uint32(i)), Side: chains.In, Asset: w.desk.chain.Native.ID, Amount: out.Amount, Script: out.Script,
		})
	}
	return match
}

// transferEffect is what an EVM draft does: it costs 2, and moves what it says if it
// succeeds.
func (w *till) transferEffect(draft chains.Draft, tx chains.Hash, succeeds bool) chains.Match {
	d := draft.Transfer
	leg := chains.Transfer{Tx: tx, Source: chains.SourceFee, Side: chains.Out, Asset: w.desk.chain.Native.ID, Amount: chains.NewAmount(2), Script: d.From}
	match := chains.Match{Transfers: []chains.Transfer{leg}}
	if len(d.Data) > 0 {
		leg.Source, leg.Asset, leg.Amount, leg.Peer = chains.SourceLog(0), tokenOf(w.desk.chain), chains.AmountFromBytes(d.Data[36:]), peerOf(1)
	} else {
		leg.Source, leg.Amount, leg.Peer = chains.SourceValue, d.Value, d.To
	}
	if succeeds && !leg.Amount.IsZero() {
		match.Transfers = append(match.Transfers, leg)
		leg.Side, leg.Script, leg.Peer = chains.In, d.To, d.From
		match.Transfers = append(match.Transfers, leg)
	}
	return match
}

func tokenOf(chain chains.Chain) chains.AssetID { return chains.AssetID(chain.ID + "/erc20:0x01") }

// sound asks the ledger whether all adds up, withdrawals among it.
func (w *till) sound(t testing.TB) {
	t.Helper()
	w.desk.sound(t)
	faults, err := w.WithdrawalFaults(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, faults)
}

// reserved returns how many coins withdrawals have.
func (w *till) reserved(t testing.TB) (count int) {
	t.Helper()
	require.NoError(t, w.Pool().QueryRow(t.Context(), "SELECT count(*) FROM reserved_coins WHERE chain = $1", w.desk.chain.Slug).Scan(&count))
	return count
}

// accounts returns what the accounts of the realm as a whole sum to, of the native
// coin: outside, treasury, fees.
func (w *till) accounts(t testing.TB) string {
	t.Helper()
	var text string
	require.NoError(t, w.Pool().QueryRow(t.Context(), `
		SELECT concat_ws(' ',
			coalesce(sum(p.amount) FILTER (WHERE account = 'chain'), 0),
			coalesce(sum(p.amount) FILTER (WHERE account = 'treasury'), 0),
			coalesce(sum(p.amount) FILTER (WHERE account = 'fees'), 0))
		FROM postings AS p JOIN journals AS j ON j.id = p.journal_id JOIN assets AS a ON a.id = p.asset_id
		WHERE j.tenant = $1 AND a.native`, w.realm.Tenant).Scan(&text))
	return text
}

// withdrawalCalls calls every method of withdrawals that writes.
func withdrawalCalls(t testing.TB, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	w := tillIn(t, s, chains.FamilyBitcoin, depth(1))
	wallet := w.fund(t, 100)
	id, other := w.withdraw(t, wallet, 50), w.withdraw(t, wallet, 45)
	w.work(t) // the other finds no coin
	require.NoError(t, second(w.Bump(ctx, w.realm, id)))
	w.work(t)
	w.signs(t, id)
	require.NoError(t, second(w.Cancel(ctx, w.realm, other)))
	e := evmTillIn(t, s, depth(1))
	e.openIn(t, e.newVault(t), e.token)
	e.snapshot(t, 100, 5, 60)
	require.NoError(t, second(e.MoveWithin(ctx, custody.InternalOrder{
		ID: uuid.New(), Realm: e.realm, Kind: custody.KindSweep, Chain: e.desk.chain.Slug, Script: script(100), Asset: e.token,
	})))
}
