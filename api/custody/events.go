package custody

import (
	"reflect"
	"time"

	"github.com/google/uuid"
)

// EventType is a type of event that custody writes, for filters of webhooks and for
// the document.
type EventType struct {
	Name    string       // resource.change
	Summary string       // what happened, in a sentence
	Data    reflect.Type // of the member data
}

type (
	vaultData struct {
		ID         uuid.UUID `json:"id" format:"uuid"`
		ExternalID *string   `json:"externalId" nullable:"true"`
		Name       string    `json:"name"`
		Status     string    `json:"status" enum:"Active,Archived"`
	}
	walletData struct {
		ID         uuid.UUID `json:"id" format:"uuid"`
		VaultID    uuid.UUID `json:"vaultId" format:"uuid"`
		ExternalID *string   `json:"externalId" nullable:"true" doc:"Of the vault"`
		AssetID    string    `json:"assetId" doc:"CAIP-19"`
		Label      string    `json:"label"`
		Address    *string   `json:"depositAddress" nullable:"true"`
		Status     string    `json:"status" enum:"Active,Frozen"`
		Available  string    `json:"available" doc:"In whole units; negative while the wallet owes"`
	}
	balanceData struct {
		WalletID  uuid.UUID `json:"walletId" format:"uuid"`
		VaultID   uuid.UUID `json:"vaultId" format:"uuid"`
		AssetID   string    `json:"assetId" doc:"CAIP-19"`
		Available string    `json:"available" doc:"In whole units; negative while the wallet owes"`
		Locked    string    `json:"locked"`
		Pending   string    `json:"pending"`
		Credited  string    `json:"credited" doc:"available and locked"`
		Status    string    `json:"status" enum:"Active,Frozen"`
	}
	transactionData struct {
		ID          uuid.UUID  `json:"id" format:"uuid"`
		Kind        string     `json:"kind" enum:"Deposit,Transfer,Withdrawal,Sweep,GasTopUp,NonceFill"`
		Status      string     `json:"status" enum:"Submitted,PendingSignature,Broadcasting,Confirming,Completed,Failed,Cancelled"`
		Reason      string     `json:"reason"`
		Source      *uuid.UUID `json:"sourceWalletId" format:"uuid" nullable:"true"`
		Destination *uuid.UUID `json:"destinationWalletId" format:"uuid" nullable:"true"`
		AssetID     string     `json:"assetId" doc:"CAIP-19"`
		Amount      string     `json:"amount" doc:"In whole units, a decimal string"`
		Note        string     `json:"note"`
		CreatedAt   time.Time  `json:"createdAt"`

		// Of what is paid on a chain.
		Address *string `json:"destinationAddress,omitempty" doc:"Absent for deposits and transfers"`
		Tx      *string `json:"txHash,omitempty" doc:"Absent until it is signed"`
		Block   *string `json:"block,omitempty" doc:"Absent while it stands in none"`
		Height  *int64  `json:"height,omitempty"`
		Fee     *string `json:"networkFee,omitempty" doc:"What the network was paid, in whole units of the chain's coin"`
	}
	depositData struct {
		ID         uuid.UUID `json:"id" format:"uuid" doc:"The same through all of its life"`
		WalletID   uuid.UUID `json:"walletId" format:"uuid"`
		VaultID    uuid.UUID `json:"vaultId" format:"uuid"`
		ExternalID *string   `json:"externalId" nullable:"true" doc:"Of the vault"`
		AssetID    string    `json:"assetId" doc:"CAIP-19"`
		Amount     string    `json:"amount" doc:"What the transaction says, in whole units"`
		Received   *string   `json:"received" nullable:"true" doc:"What is credited of it; null while that is not known"`
		State      string    `json:"state" enum:"detected,confirming,credited,orphaned,replaced,dropped"`
		Reason     string    `json:"reason"`
		Chain      string    `json:"chain"`
		Address    string    `json:"address"`
		Tx         string    `json:"tx" doc:"Hash of the transaction"`
		Source     string    `json:"source" doc:"Where in the transaction it stands" example:"vout:0"`
		Block      *string   `json:"block" nullable:"true"`
		Height     *int64    `json:"height" nullable:"true"`
		ReplacedBy *string   `json:"replacedBy" nullable:"true" doc:"The transaction that spent its inputs"`
	}
	entryData struct {
		ID       uuid.UUID `json:"id" format:"uuid"`
		Chain    string    `json:"chain"`
		Address  string    `json:"address"`
		Label    string    `json:"label"`
		UsableAt time.Time `json:"usableAt" doc:"Withdrawals may go there from then on"`
	}
)

// Types returns the types of events of custody.
func Types() []EventType {
	deposit, transaction, entry := reflect.TypeFor[depositData](), reflect.TypeFor[transactionData](), reflect.TypeFor[entryData]()
	wallet := reflect.TypeFor[walletData]()
	return []EventType{
		{Name: "address_book.added", Summary: "Withdrawals may go to an address, from usableAt on.", Data: entry},
		{Name: "address_book.removed", Summary: "Withdrawals may go to an address no longer.", Data: entry},
		{Name: "balance.updated", Summary: "The balance of a wallet changed.", Data: reflect.TypeFor[balanceData]()},
		{Name: "deposit.detected", Summary: "A payment to a wallet was seen unconfirmed: nothing to rely on.", Data: deposit},
		{Name: "deposit.confirming", Summary: "A payment to a wallet stands in a block, and is not deep enough yet.", Data: deposit},
		{Name: "deposit.credited", Summary: "The wallet has the money.", Data: deposit},
		{Name: "deposit.orphaned", Summary: "The block of a deposit left the chain. If it was credited, that is taken back.", Data: deposit},
		{Name: "deposit.replaced", Summary: "Another transaction spent the inputs of a deposit.", Data: deposit},
		{Name: "deposit.dropped", Summary: "A deposit left the node's mempool or the chain for good, or was none: reason says which.", Data: deposit},
		{Name: "transaction.created", Summary: "Money began to move.", Data: transaction},
		{Name: "transaction.status.updated", Summary: "The status of a transaction changed, or its reason, or the block it stands in.", Data: transaction},
		{Name: "vault.status.updated", Summary: "A vault was made, archived, or taken back into use.", Data: reflect.TypeFor[vaultData]()},
		{Name: "wallet.created", Summary: "A wallet was opened.", Data: wallet},
		{Name: "wallet.status.updated", Summary: "A wallet owes and is frozen, or owes no longer.", Data: wallet},
	}
}
