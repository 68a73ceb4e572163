package store

import (
	"context"
	"fmt"
	"time"

	"tallyd/api/access"
	"tallyd/store/db"
)

var _ access.Replays = (*Store)(nil)

// Fresh implements access.Replays. It is durable on its own: a request that is
// rolled back has used its signature all the same.
func (s *Store) Fresh(ctx context.Context, signature []byte, until time.Time) (bool, error) {
	kept, err := db.New(s.pool).KeepSignature(ctx, db.KeepSignatureParams{Signature: signature, Until: until})
	if err != nil {
		return false, fmt.Errorf("keep signature: %w", err)
	}
	return kept > 0, nil
}
