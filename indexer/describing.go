package indexer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"tallyd/chains"
)

const (
	// nftClaim is how long NFTs that were claimed are nobody else's: longer than
	// a batch of them can take.
	nftClaim = 5 * time.Minute

	// nftBatch is how many are claimed for each that is under way.
	nftBatch = 4

	week = 7 * 24 * time.Hour
)

// Documents reads metadata.
type Documents interface {
	// Read returns the metadata at a URI, or a *chains.DocumentError that says
	// why there is none; any other error is that of ctx. It does not retry.
	Read(ctx context.Context, uri string) (chains.NFTDocument, error)
}

// Describing looks at the metadata of a chain's NFTs. It runs beside everything
// else: what it cannot read is missing, and nothing waits for it.
//
// Any number of processes may run one for the same chain.
type Describing struct {
	Source    chains.Source
	Gallery   Gallery
	Documents Documents
	AtOnce    int           // looks side by side
	Refresh   time.Duration // after which what was read is read again; 0 for a week
	Log       zerolog.Logger
}

// Run looks at what is due until nothing is, or ctx ends.
func (d Describing) Run(ctx context.Context) error {
	for {
		looked, err := d.step(ctx)
		if err != nil || looked == 0 {
			return err
		}
	}
}

// step looks at one batch. A node that does not answer ends it: what was claimed
// and not looked at is due again after the claim.
func (d Describing) step(ctx context.Context) (looked int, err error) {
	slug := d.Source.Chain().Slug
	reader, ok := d.Source.(chains.NFTReader)
	if !ok {
		return 0, nil
	}
	due, err := d.Gallery.ClaimNFTs(ctx, slug, nftBatch*max(d.AtOnce, 1), nftClaim)
	if err != nil {
		return 0, fmt.Errorf("claim NFTs of %s: %w", slug, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(d.AtOnce, 1))
	for _, one := range due {
		group.Go(func() error { return d.look(ctx, reader, one) })
	}
	if err := group.Wait(); err != nil {
		return 0, err //nolint:wrapcheck // look says what it was doing
	}
	return len(due), nil
}

// look reads the metadata of one NFT and keeps it, or why there is none.
func (d Describing) look(ctx context.Context, reader chains.NFTReader, one DueNFT) error {
	claim, err := reader.NFT(ctx, one.ID)
	if err != nil {
		return fmt.Errorf("ask about %s: %w", one.ID, err)
	}
	document, err := d.Documents.Read(ctx, claim.URI)
	missing, isMissing := errors.AsType[*chains.DocumentError](err)
	switch {
	case isMissing:
		again := max(backOff(one.Attempts), missing.Retry)
		d.Log.Debug().Str("nft", string(one.ID)).Str("reason", missing.Reason).Dur("again_in", again).Msg("NFT not described")
		err = d.Gallery.FailNFT(ctx, one.Row, NFTSaid{Claim: claim}, missing.Reason, again)
	case err != nil:
		return fmt.Errorf("read the metadata of %s: %w", one.ID, err)
	default:
		err = d.Gallery.DescribeNFT(ctx, one.Row, NFTSaid{Claim: claim, Document: document}, cmp.Or(d.Refresh, week))
	}
	if err != nil {
		return fmt.Errorf("keep what is known of %s: %w", one.ID, err)
	}
	return nil
}

// backOff returns how long to wait after another failure: a minute, and then four
// times as long each time, up to a week.
func backOff(attempts int) time.Duration {
	wait := time.Minute
	for range attempts {
		if wait *= 4; wait >= week {
			return week
		}
	}
	return wait
}
