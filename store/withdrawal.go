package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

var (
	_ custody.Withdrawals = (*Store)(nil)
	_ custody.Ordering    = (*Store)(nil)
	_ custody.Payouts     = (*Store)(nil)
	_ custody.Coins       = (*Store)(nil)
)

// Withdrawal implements custody.Withdrawals.
func (s *Store) Withdrawal(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Withdrawal, error) {
	var found custody.Withdrawal
	err := s.read(ctx, func(tx pgx.Tx) error {
		read, err := readWithdrawals(ctx, db.New(tx), realm, id)
		if err == nil {
			found = read[0].noun()
		}
		return err
	})
	return found, err
}

// withdrawal is a withdrawal with all that belongs to it, as it was read.
type withdrawal struct {
	db.WithdrawalRowsRow

	drafts   []db.DraftRowsRow
	built    []chains.Draft // of drafts
	replaces *chains.Draft
	policy   custody.Policy
	spender  *custody.Spender
}

// readWithdrawals reads those withdrawals, of one realm or, with the zero Realm, of
// all. It returns ErrNotFound if one of them is not there.
func readWithdrawals(ctx context.Context, q *db.Queries, realm indexer.Realm, ids ...uuid.UUID) ([]*withdrawal, error) {
	rows, err := q.WithdrawalRows(ctx, db.WithdrawalRowsParams{Ids: ids, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return nil, fmt.Errorf("read withdrawals: %w", err)
	}
	if len(rows) < len(ids) {
		return nil, indexer.ErrNotFound
	}
	found := make([]*withdrawal, 0, len(rows))
	byID := make(map[uuid.UUID]*withdrawal, len(rows))
	wanted := ids
	for _, row := range rows {
		w := &withdrawal{WithdrawalRowsRow: row}
		if err := json.Unmarshal(row.Policy, &w.policy); err != nil {
			return nil, fmt.Errorf("read the policy of %s: %w", row.Withdrawal.Chain, err)
		}
		found, byID[row.Withdrawal.ID] = append(found, w), w
		if replaced := row.Withdrawal.Replaces; replaced != nil {
			wanted = append(wanted, *replaced)
		}
	}
	drafts, err := q.DraftRows(ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("read drafts: %w", err)
	}
	newest := map[uuid.UUID]chains.Draft{}
	for _, row := range drafts {
		var draft chains.Draft
		if err := json.Unmarshal(row.Draft, &draft); err != nil {
			return nil, fmt.Errorf("read draft %d of %s: %w", row.N, row.WithdrawalID, err)
		}
		newest[row.WithdrawalID] = draft
		if w := byID[row.WithdrawalID]; w != nil {
			w.drafts, w.built = append(w.drafts, row), append(w.built, draft)
		}
	}
	for _, w := range found {
		if replaced := w.Withdrawal.Replaces; replaced != nil {
			if draft, ok := newest[*replaced]; ok {
				w.replaces = &draft
			}
		}
	}
	return found, nil
}

// noun returns what was read as the noun of package custody.
func (w *withdrawal) noun() custody.Withdrawal {
	r := &w.Withdrawal
	n := custody.Withdrawal{
		ID: r.ID, Realm: realmOf(r.Tenant, r.Environment), Kind: custody.Kind(r.Kind), Status: custody.Status(r.Status), Reason: r.Reason,
		WalletID: r.WalletID, Chain: r.Chain, Amount: r.Amount, Destination: r.Destination, Script: r.Script, Note: w.Note,
		Asset:  asset(w.Caip19, w.Symbol, w.AssetName, w.Decimals, w.Listed),
		Native: asset(w.Native, w.NativeSymbol, w.NativeName, w.NativeDecimals, w.NativeListed),
		MaxFee: r.MaxFee, Nonce: unsigned(r.Nonce), Replaces: w.replaces, Bump: r.Bump, Taken: r.Taken, Lost: unsigned(r.Lost), Spender: w.spender,
		Tip: uint64(w.Tip), Tries: int(r.Tries), Turn: custody.Turn{Chain: r.Chain, ID: r.ID, N: r.Turn}, //nolint:gosec // a height
		Version: w.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: w.UpdatedAt.UTC(),
	}
	if w.PaysID != 0 {
		n.Sender = &custody.Sender{Address: w.Pays, Script: w.PaysScript, Next: uint64(w.NextNonce)} //nolint:gosec // not negative
		if w.PaysKey != "" {
			n.Sender.Key = &chains.KeyPath{Wallet: w.PaysKey, Branch: uint32(w.PaysBranch), Index: uint32(w.PaysIndex)} //nolint:gosec // below 2^31
		}
	}
	for i := range w.drafts {
		row := &w.drafts[i]
		draft := custody.Draft{N: int(row.N), Draft: w.built[i]}
		if row.Raw != nil {
			draft.Signed = &chains.Signed{Raw: row.Raw, ID: chains.Hash(row.Txid)}
		}
		n.Drafts = append(n.Drafts, draft)
	}
	if r.Mined != nil {
		n.Mined = &custody.Mined{Draft: int(*r.Mined), Block: chains.Hash(r.Block), Height: uint64(*r.Height), Paid: *r.Paid, Fee: *r.Fee}
	}
	if r.Mined == nil && r.LastSigned == r.Signed {
		n.Again = int(r.LastMined)
	}
	if r.Due != nil {
		n.Due = &custody.Due{Basis: custody.Basis(r.Basis), Height: uint64(*r.Due)}
	}
	if r.ShortAsset != nil {
		n.Short = &chains.ShortageError{Asset: chains.AssetID(w.Short), Have: *r.ShortHave, Need: *r.ShortNeed}
	}
	return n
}

// unsigned returns a height or nonce as the nouns have it.
func unsigned(n *int64) *uint64 {
	if n == nil {
		return nil
	}
	return new(uint64(*n)) //nolint:gosec // not negative
}

// WithdrawalFaults derives what every withdrawal has done to the accounts from its
// status, and returns up to limit of those where the ledger has something else:
// none, if all is well. It looks at one tenant, or, with "", at all.
func (s *Store) WithdrawalFaults(ctx context.Context, tenant string, limit int) ([]LedgerFault, error) {
	rows, err := s.queries(ctx).WithdrawalFaults(ctx, db.WithdrawalFaultsParams{Tenant: tenant, Most: int32(limit)}) //nolint:gosec // the caller's own number
	if err != nil {
		return nil, fmt.Errorf("check withdrawals: %w", err)
	}
	var faults []LedgerFault
	for _, row := range rows {
		faults = append(faults, LedgerFault{Fault: row.Fault, Resource: row.Resource})
	}
	return faults, nil
}
