package store

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// VaultBalances returns what each wallet in the vaults of a user holds, as an
// account of kind vault, oldest first, all of it as of one moment.
func (s *Store) VaultBalances(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.AccountBalance, error) {
	var balances []indexer.AccountBalance
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		found, err := wallets(ctx, q, realm, db.WalletRowsParams{UserID: &user})
		if err != nil || len(found) == 0 {
			return err
		}
		statuses, err := chainStatuses(ctx, q)
		if err != nil {
			return err
		}
		byChain := make(map[string]*indexer.ChainStatus, len(statuses))
		for i := range statuses {
			byChain[statuses[i].Chain] = &statuses[i]
		}
		for i := range found {
			if at := byChain[found[i].Chain]; at != nil {
				balances = append(balances, vaultBalance(&found[i], at, user))
			}
		}
		return nil
	})
	return balances, err
}

// vaultBalance shows a wallet as an account. What it has is derived from deposits
// in verified blocks, and what moved since.
func vaultBalance(w *custody.Wallet, at *indexer.ChainStatus, user uuid.UUID) indexer.AccountBalance {
	b := indexer.AccountBalance{
		Account: indexer.Account{
			ID: w.ID, Realm: w.Realm, UserID: user, Chain: w.Chain, Kind: indexer.KindVault, Wallet: w.Address,
			Name: w.VaultName, Description: w.Label, CreatedAt: w.CreatedAt,
		},
		AsOf:  at.Tip,
		State: indexer.AccountState{Status: at.State, Height: at.Tip.Height, Head: at.Head, Error: at.Reason},
	}
	b.State.History.Status = indexer.HistoryNone
	if w.Searched {
		b.State.History.Status = indexer.HistoryComplete
	}
	b.State.LastSync = new(at.UpdatedAt)
	b.Balances = []indexer.Balance{{Asset: w.Asset, Amount: w.Balance.Credited(), AsOf: at.Tip, Proof: chains.Derived}}
	if !w.Balance.Pending.IsZero() {
		b.Pending = []indexer.Pending{{Asset: w.Asset, In: w.Balance.Pending}}
	}
	return b
}
