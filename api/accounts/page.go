package accounts

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tallyd/api/problem"
	"tallyd/indexer"
)

// Page narrows a list of transactions.
type Page struct {
	Since  string   `query:"since" maxLength:"40" doc:"First day (YYYY-MM-DD, UTC) or time (RFC 3339), included" example:"2020-01-01"`
	Until  string   `query:"until" maxLength:"40" doc:"Last day, included whole, or time (RFC 3339), not included. Now if left out" example:"2020-02-01"`
	Limit  int      `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Transactions on a page"`
	Cursor string   `query:"cursor" maxLength:"200" doc:"page_cursor of the page before"`
	Status []string `query:"status" maxItems:"5" nullable:"false" doc:"Only these, separated by commas: pending, confirmed, orphaned, replaced, dropped"`
	In
}

// filter returns the filter for accounts of one user, and where the page begins.
func (p Page) filter(c cursors, user uuid.UUID) (indexer.TransactionFilter, place, error) {
	f := indexer.TransactionFilter{Limit: p.Limit}
	var err error
	if f.Since, err = day("since", p.Since, 0); err != nil {
		return f, place{}, err
	}
	// Blockmate's default for until is today, and today is not over: the day
	// counts whole.
	if f.Until, err = day("until", p.Until, 1); err != nil {
		return f, place{}, err
	}
	if f.Since != nil && f.Until != nil && !f.Since.Before(*f.Until) {
		return f, place{}, problem.Invalid("since", "expected a time before until")
	}
	for _, status := range p.Status {
		s := indexer.TransferStatus(strings.TrimSpace(status))
		if !slices.Contains(statuses(), s) {
			return f, place{}, problem.Invalid("status", "expected pending, confirmed, orphaned, replaced or dropped")
		}
		f.Statuses = append(f.Statuses, s)
	}
	if p.Cursor == "" {
		return f, place{}, nil
	}
	at, err := c.read(user, p.Cursor)
	return f, at, err
}

func statuses() []indexer.TransferStatus {
	return []indexer.TransferStatus{
		indexer.StatusPending, indexer.StatusConfirmed, indexer.StatusOrphaned,
		indexer.StatusReplaced, indexer.StatusDropped,
	}
}

// day reads a day, whose zeros may be missing, or a time. Of a day it returns
// the midnight that begins it, days later. It returns nil for "".
func day(field, text string, days int) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no bound is no error
	}
	t, err := time.Parse("2006-1-2", text)
	if err == nil {
		t = t.AddDate(0, 0, days)
		return &t, nil
	}
	// A + that was not escaped arrives as a space.
	t, err = time.Parse(time.RFC3339, strings.Replace(text, " ", "+", 1))
	if err != nil {
		return nil, problem.Invalid(field, "expected a day like 2020-02-01 or a time like 2020-02-01T00:00:00Z")
	}
	t = t.UTC()
	return &t, nil
}

type (
	accountTransactionsInput struct {
		AccountPath
		Page
	}
	accountTransactionsOutput struct {
		Body struct {
			PageCursor   string        `json:"page_cursor,omitempty" doc:"cursor of the next page; absent on the last"`
			Transactions []transaction `json:"transactions" nullable:"false"`
			State        state         `json:"state"`
		}
	}
)

func (s *surface) accountTransactions(ctx context.Context, in *accountTransactionsInput) (*accountTransactionsOutput, error) {
	p, id, err := s.path(ctx, &in.AccountPath)
	if err != nil {
		return nil, err
	}
	b, err := s.owned(ctx, p, id)
	if err != nil {
		return nil, err
	}
	out := &accountTransactionsOutput{}
	out.Body.State = stateOf(b.State, !b.AsOf.Hash.IsZero())
	out.Body.Transactions, out.Body.PageCursor, err = s.transactions(ctx, in.Page, []uuid.UUID{id}, nil, false)
	if err != nil {
		return nil, err
	}
	return out, nil
}
