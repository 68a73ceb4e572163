package store

import (
	"time"

	"github.com/google/uuid"

	"tallyd/indexer/custody"
)

// placeOf returns a place as the arguments of a query.
func placeOf(at *custody.Place) (*time.Time, *uuid.UUID) {
	if at == nil {
		return nil, nil
	}
	return &at.Time, &at.ID
}

// page cuts a list that was read with one more row than asked for, and returns the
// place after which the next page begins, nil if there is none.
func page[T any](rows []T, limit int, place func(T) custody.Place) ([]T, *custody.Place) {
	if len(rows) <= limit {
		return rows, nil
	}
	rows = rows[:limit]
	next := place(rows[limit-1])
	return rows, &next
}
