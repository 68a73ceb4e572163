package custody

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tallyd/indexer"
)

// Entry is an address that a tenant lets withdrawals go to.
type Entry struct {
	ID        uuid.UUID
	Realm     indexer.Realm
	Chain     string
	Address   string // canonical spelling
	Script    []byte // what the address stands for
	Label     string
	UsableAt  time.Time // withdrawals may go there from then on
	CreatedAt time.Time
}

// EntryFilter narrows a list of entries.
type EntryFilter struct {
	Chain string // "" for all
	After *Place
	Limit int
}

// Book is the address book.
type Book interface {
	// AddEntry adds an entry, with its event. It returns indexer.ErrExists if
	// the address is there already, or indexer.ErrNotFound if there is no such
	// chain or tenant.
	AddEntry(ctx context.Context, entry Entry) error

	// BookEntry returns one entry, or indexer.ErrNotFound.
	BookEntry(ctx context.Context, realm indexer.Realm, id uuid.UUID) (Entry, error)

	// BookEntries returns up to filter.Limit entries, oldest first, and the
	// place the next page begins after, nil if there is none.
	BookEntries(ctx context.Context, realm indexer.Realm, filter EntryFilter) ([]Entry, *Place, error)

	// RemoveEntry removes an entry, with its event, or returns
	// indexer.ErrNotFound.
	RemoveEntry(ctx context.Context, realm indexer.Realm, id uuid.UUID) error
}
