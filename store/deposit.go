package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// settlement brings the deposits of a chain level with its transfers, in the
// transaction that changed those and after everything else it does: what a verb
// did to a transfer on its way does not show, and every wallet is locked once.
type settlement struct {
	*writing
	books  books
	terms  db.DepositTermsRow
	policy custody.Policy
	moved  bool // a deposit changed
}

// settle is the end of every verb. Where the chain has no addresses of custody,
// and where nothing changed and nothing is due, it does nothing. due says that
// time has passed: the tip, or a final height, or a balance that was read.
func (w *writing) settle(ctx context.Context, due bool) error {
	if !w.custody || len(w.changed) == 0 && !due {
		return nil
	}
	if err := w.wakeWithdrawals(ctx); err != nil {
		return err
	}
	facts, err := w.facts(ctx)
	if err != nil || len(facts) == 0 && !due {
		return err
	}
	s := settlement{writing: w, books: books{q: w.q}}
	if s.terms, err = w.q.DepositTerms(ctx, w.chain); err != nil {
		return fmt.Errorf("read when deposits are credited: %w", err)
	}
	if err := json.Unmarshal(s.terms.Policy, &s.policy); err != nil {
		return fmt.Errorf("read when deposits are credited: %w", err)
	}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return s.follow(ctx, facts) }, s.limit, s.prove, s.credit, s.end, s.close,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// facts returns what the changed transfers are to wallets, each pair once.
func (w *writing) facts(ctx context.Context) ([]db.DepositFactsRow, error) {
	if len(w.changed) == 0 {
		return nil, nil
	}
	type pair struct {
		transfer int64
		wallet   uuid.UUID
	}
	ids, err := w.q.PoolTransfers(ctx, w.changed)
	if err != nil {
		return nil, fmt.Errorf("find transfers of custody: %w", err)
	}
	w.changed = nil
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := w.q.DepositFacts(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("find deposits: %w", err)
	}
	known := make(map[pair]bool, len(rows))
	return slices.DeleteFunc(rows, func(row db.DepositFactsRow) bool {
		p := pair{row.TransferID, row.WalletID}
		twice := known[p]
		known[p] = true
		return twice
	}), nil
}

// moves are deposits on their way to another state.
type moves struct {
	created  db.PutDepositsParams
	changed  db.MoveDepositsParams
	statuses db.SetTransactionStatusesParams
	order    []uuid.UUID // of all
	reversed []custody.Journal
	taken    int // credits that a reorg took back
}

// follow gives deposits the state of their transfers.
func (s *settlement) follow(ctx context.Context, facts []db.DepositFactsRow) error {
	var m moves
	for i := range facts {
		f := &facts[i]
		next := custody.DepositState(f.State).Next(indexer.TransferStatus(f.Status), f.Internal)
		if next == custody.Credited && slices.Contains(s.shaken, f.TransferID) {
			next = custody.Confirming
		}
		if next == "" || next == custody.DepositState(f.State) || f.DepositID == nil && !f.Listed {
			continue
		}
		s.move(&m, f, next)
	}
	if len(m.order) == 0 {
		return nil
	}
	s.moved = true
	if err := s.write(ctx, &m); err != nil {
		return err
	}
	if m.taken > 0 {
		return s.halt(ctx, fmt.Sprintf("a reorg took back %d credited deposits", m.taken))
	}
	return nil
}

// move adds one deposit to m.
func (s *settlement) move(m *moves, f *db.DepositFactsRow, next custody.DepositState) {
	before := custody.DepositState(f.State)
	due := custody.Due{}
	height, dueAt, received := int64(-1), int64(-1), chains.NewAmount(-1)
	threshold := s.policy.For(chains.AssetID(f.Caip19), f.Amount)
	if next == custody.Confirming {
		due = threshold.Due(uint64(f.Height), f.Coinbase, uint64(s.terms.Maturity))
		height, dueAt = f.Height, int64(due.Height)
		if s.terms.Family != string(chains.FamilyEVM) {
			received = f.Amount
		}
	}
	if next == custody.Orphaned {
		// The branch that left ended at the tip before the first block of it was
		// taken back. The last block of all that is taken back leaves no tip.
		below := s.terms.Height
		if s.taken != nil {
			below = int64(*s.taken) - 1
		}
		due = threshold.Due(uint64(below+s.terms.Reverted)+1, false, 0)
		dueAt = int64(due.Height)
	}
	switch {
	case next.Pending() && !before.Pending():
		s.books.add(f.WalletID, custody.Balance{Pending: f.Amount})
	case !next.Pending() && before.Pending():
		s.books.add(f.WalletID, custody.Balance{Pending: f.Amount.Neg()})
	}
	if f.DepositID == nil {
		id := custody.DepositID(f.WalletID, s.chain, chains.Hash(f.Tx), f.Source, f.Script, f.Amount)
		m.order = append(m.order, id)
		c := &m.created
		c.Ids, c.Tenants, c.Environments = append(c.Ids, id), append(c.Tenants, f.Tenant), append(c.Environments, f.Environment)
		c.Wallets, c.Transfers, c.Scripts = append(c.Wallets, f.WalletID), append(c.Transfers, f.TransferID), append(c.Scripts, f.ScriptID)
		c.Assets, c.Amounts, c.States = append(c.Assets, f.AssetID), append(c.Amounts, f.Amount), append(c.States, string(next))
		c.Heights, c.Bases, c.Dues = append(c.Heights, height), append(c.Bases, string(due.Basis)), append(c.Dues, dueAt)
		c.Matures, c.Received = append(c.Matures, int64(due.Mature)), append(c.Received, received)
		return
	}
	id, reason := *f.DepositID, ""
	if f.Internal {
		reason = custody.ReasonInternal
	}
	if f.JournalID != nil {
		m.reversed = append(m.reversed, custody.Journal{
			Realm: realmOf(f.Tenant, f.Environment), Kind: custody.JournalReversal, Reference: id, Version: f.Version + 1, Reverses: f.JournalID,
			Postings: custody.Movement(custody.Available(f.WalletID), custody.World(), f.AssetID, f.Received),
		})
		// One that turns out to be the tenant's own money while it stands was no
		// deposit; one that does not stand any more a reorg took, whatever it was.
		if !f.Internal || indexer.TransferStatus(f.Status) != indexer.StatusConfirmed {
			m.taken++
		}
	}
	m.change(id, next, reason)
	c, last := &m.changed, len(m.changed.Ids)-1
	c.Heights[last], c.Bases[last], c.Dues[last] = height, string(due.Basis), dueAt
	c.Matures[last], c.Received[last] = int64(due.Mature), received
}

// change adds a deposit that is known and has no block, and is not due.
func (m *moves) change(id uuid.UUID, next custody.DepositState, reason string) {
	m.order = append(m.order, id)
	c := &m.changed
	c.Ids, c.States, c.Reasons = append(c.Ids, id), append(c.States, string(next)), append(c.Reasons, reason)
	c.Heights, c.Bases, c.Dues = append(c.Heights, -1), append(c.Bases, ""), append(c.Dues, -1)
	c.Matures, c.Received = append(c.Matures, 0), append(c.Received, chains.NewAmount(-1))
	t := &m.statuses
	t.Ids, t.Statuses, t.Reasons = append(t.Ids, id), append(t.Statuses, string(next.Status())), append(t.Reasons, reason)
}

// write writes moves with their events.
func (s *settlement) write(ctx context.Context, m *moves) error {
	if c := &m.created; len(c.Ids) > 0 {
		err := s.q.PutTransactions(ctx, db.PutTransactionsParams{
			Ids: c.Ids, Tenants: c.Tenants, Environments: c.Environments, Wallets: c.Wallets, Assets: c.Assets, Amounts: c.Amounts,
		})
		if err != nil {
			return fmt.Errorf("put %d transactions: %w", len(c.Ids), err)
		}
		c.Chain = s.chain
		if err := s.q.PutDeposits(ctx, *c); err != nil {
			return fmt.Errorf("put %d deposits: %w", len(c.Ids), err)
		}
		if err := s.tell(ctx, "transaction.created", c.Ids); err != nil {
			return err
		}
	}
	if len(m.changed.Ids) > 0 {
		if err := s.q.MoveDeposits(ctx, m.changed); err != nil {
			return fmt.Errorf("move %d deposits: %w", len(m.changed.Ids), err)
		}
	}
	if _, err := s.books.post(ctx, m.reversed); err != nil {
		return err
	}
	return s.told(ctx, m.order, m.statuses)
}

// told writes the events of deposits that moved, and gives their transactions the
// status they show.
func (s *settlement) told(ctx context.Context, deposits []uuid.UUID, statuses db.SetTransactionStatusesParams) error {
	written, err := s.q.DepositEvents(ctx, deposits)
	if err != nil {
		return fmt.Errorf("write events of %d deposits: %w", len(deposits), err)
	}
	s.applied.Events += int(written)
	if len(statuses.Ids) == 0 {
		return nil
	}
	changed, err := s.q.SetTransactionStatuses(ctx, statuses)
	if err != nil {
		return fmt.Errorf("set the status of %d transactions: %w", len(statuses.Ids), err)
	}
	differs := make(map[uuid.UUID]bool, len(changed))
	for _, id := range changed {
		differs[id] = true
	}
	// In the order of their deposits, and not in that of the rows.
	ids := slices.DeleteFunc(slices.Clone(statuses.Ids), func(id uuid.UUID) bool { return !differs[id] })
	return s.tell(ctx, "transaction.status.updated", ids)
}

func (s *settlement) tell(ctx context.Context, kind string, transactions []uuid.UUID) error {
	if len(transactions) == 0 {
		return nil
	}
	written, err := s.q.TransactionEvents(ctx, db.TransactionEventsParams{Type: kind, Ids: transactions})
	if err != nil {
		return fmt.Errorf("write events of %d transactions: %w", len(transactions), err)
	}
	s.applied.Events += int(written)
	return nil
}

// prove finds out how much of what logs and traces of an EVM chain tell did arrive.
func (s *settlement) prove(ctx context.Context) error {
	if s.terms.Family != string(chains.FamilyEVM) {
		return nil
	}
	rows, err := s.q.DepositProofs(ctx, s.chain)
	if err != nil {
		return fmt.Errorf("prove deposits: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	s.moved = true
	var p db.ProveDepositsParams
	for _, row := range rows {
		p.Ids, p.Received, p.Heights = append(p.Ids, row.ID), append(p.Received, row.Received), append(p.Heights, row.ProvenHeight)
		p.LeansOn = append(p.LeansOn, row.LeansOn)
	}
	if err := s.q.ProveDeposits(ctx, p); err != nil {
		return fmt.Errorf("keep what is proven of %d deposits: %w", len(rows), err)
	}
	return nil
}

// unprove forgets what balances proved that were read at the block now taken back,
// or above it. What was credited or dropped stays so, unless transfers counted that
// are now taken back: what they were counted for must be judged anew.
func (w *writing) unprove(ctx context.Context, height uint64) error {
	if !w.custody {
		return nil
	}
	rows, err := w.q.UnproveDeposits(ctx, db.UnproveDepositsParams{Chain: w.chain, Height: int64(height)})
	if err != nil {
		return fmt.Errorf("forget what was proven: %w", err)
	}
	w.unproved = rows > 0
	leaning, err := w.q.LeaningDeposits(ctx, db.LeaningDepositsParams{Chain: w.chain, Height: int64(height)})
	if err != nil {
		return fmt.Errorf("find what leaned on the block: %w", err)
	}
	w.changed, w.shaken = append(w.changed, leaning...), leaning
	return nil
}

// credit gives wallets what is due to them.
func (s *settlement) credit(ctx context.Context) error {
	rows, err := s.q.DueDeposits(ctx, s.chain)
	if err != nil {
		return fmt.Errorf("find deposits that are due: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	s.moved = true
	var credited db.CreditDepositsParams
	var statuses db.SetTransactionStatusesParams
	journals := make([]custody.Journal, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		journals = append(journals, custody.Journal{
			Realm: realmOf(row.Tenant, row.Environment), Kind: custody.JournalDeposit, Reference: row.ID, Version: row.Version + 1,
			Postings: custody.Movement(custody.World(), custody.Available(row.WalletID), row.AssetID, row.Received),
		})
		s.books.add(row.WalletID, custody.Balance{Pending: row.Amount.Neg()})
		credited.Ids = append(credited.Ids, row.ID)
		statuses.Ids, statuses.Statuses, statuses.Reasons = append(statuses.Ids, row.ID), append(statuses.Statuses, string(custody.Completed)), append(statuses.Reasons, "")
	}
	if credited.Journals, err = s.books.post(ctx, journals); err != nil {
		return err
	}
	if err := s.q.CreditDeposits(ctx, credited); err != nil {
		return fmt.Errorf("credit %d deposits: %w", len(rows), err)
	}
	return s.told(ctx, credited.Ids, statuses)
}

// end drops what is as deep as a credit must be and has nothing to credit.
func (s *settlement) end(ctx context.Context) error {
	rows, err := s.q.EndingDeposits(ctx, s.chain)
	if err != nil {
		return fmt.Errorf("find deposits that come to nothing: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	s.moved = true
	var m moves
	for i := range rows {
		row := &rows[i]
		before := custody.DepositState(row.State)
		next, reason := before.End()
		if before.Pending() {
			s.books.add(row.WalletID, custody.Balance{Pending: row.Amount.Neg()})
		}
		m.change(row.ID, next, reason)
	}
	return s.write(ctx, &m)
}

// close writes the wallets, and when the chain's owner must look again.
func (s *settlement) close(ctx context.Context) error {
	written, err := s.books.close(ctx)
	if err != nil {
		return err
	}
	s.applied.Events += written
	if !s.moved && !s.unproved {
		return nil
	}
	if err := s.q.SetDue(ctx, s.chain); err != nil {
		return fmt.Errorf("keep when deposits are due: %w", err)
	}
	return nil
}

// claim makes deposits of transfers that none of some wallets could have when they
// came: to any address of a wallet's vault, or to the one given.
func (w *writing) claim(ctx context.Context, wallets []uuid.UUID, address *uuid.UUID) error {
	if err := w.unclaimed(ctx, wallets, address); err != nil {
		return err
	}
	return w.settle(ctx, false)
}

// unclaimed adds those transfers to what changed, for settle.
func (w *writing) unclaimed(ctx context.Context, wallets []uuid.UUID, address *uuid.UUID) error {
	if len(wallets) == 0 {
		return nil
	}
	ids, err := w.q.UnclaimedTransfers(ctx, db.UnclaimedTransfersParams{Wallets: wallets, AddressID: address})
	if err != nil {
		return fmt.Errorf("find unclaimed transfers: %w", err)
	}
	w.changed = append(w.changed, ids...)
	return nil
}
