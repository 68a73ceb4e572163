package indexer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
)

// exhibit is a chain whose collections answer, a server, and what is kept of both.
type exhibit struct {
	chains.Source

	mu     sync.Mutex
	due    []indexer.DueNFT
	said   map[chains.AssetID]string // "!" for a node that does not answer
	kept   []string
	most   int // looks at once
	now    int
	looked chan struct{} // each look waits for one, if it is there
}

func (*exhibit) Chain() chains.Chain { return chains.Chain{Slug: "eth"} }

func (e *exhibit) NFT(_ context.Context, id chains.AssetID) (chains.NFTClaim, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.said[id] == "!" {
		return chains.NFTClaim{}, errors.New("connection refused")
	}
	return chains.NFTClaim{URI: e.said[id], Name: "C"}, nil
}

func (e *exhibit) Read(ctx context.Context, uri string) (chains.NFTDocument, error) {
	e.mu.Lock()
	e.now++
	e.most = max(e.most, e.now)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.now--
	}()
	if e.looked != nil {
		select {
		case <-e.looked:
		case <-ctx.Done():
			return chains.NFTDocument{}, context.Cause(ctx)
		}
	}
	switch uri {
	case "gone":
		return chains.NFTDocument{}, &chains.DocumentError{Reason: "gone"}
	case "busy":
		return chains.NFTDocument{}, &chains.DocumentError{Reason: "busy", Retry: 3 * time.Hour}
	}
	return chains.NFTDocument{Name: uri}, nil
}

func (e *exhibit) DueNFTs(context.Context, string) (bool, error) { return len(e.due) > 0, nil }

func (e *exhibit) ClaimNFTs(_ context.Context, _ string, limit int, _ time.Duration) ([]indexer.DueNFT, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := min(limit, len(e.due))
	claimed := e.due[:n]
	e.due = e.due[n:]
	return claimed, nil
}

func (e *exhibit) DescribeNFT(_ context.Context, _ int64, said indexer.NFTSaid, again time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept = append(e.kept, said.Claim.Name+" "+said.Document.Name+" "+again.String())
	return nil
}

func (e *exhibit) FailNFT(_ context.Context, _ int64, _ indexer.NFTSaid, reason string, again time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept = append(e.kept, reason+" "+again.String())
	return nil
}

func describing(e *exhibit, atOnce int) indexer.Describing {
	return indexer.Describing{Source: e, Gallery: e, Documents: e, AtOnce: atOnce, Log: zerolog.Nop()}
}

// TestDescribing looks at what is due: what cannot be read is tried again later and
// later, and not before its server says.
func TestDescribing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		uri      string
		attempts int
		kept     string
	}{
		"Good":        {uri: "good", kept: "C good 168h0m0s"},
		"First":       {uri: "gone", kept: "gone 1m0s"},
		"Second":      {uri: "gone", attempts: 1, kept: "gone 4m0s"},
		"Fifth":       {uri: "gone", attempts: 4, kept: "gone 4h16m0s"},
		"Hundredth":   {uri: "gone", attempts: 99, kept: "gone 168h0m0s"},
		"AskedToWait": {uri: "busy", kept: "busy 3h0m0s"},
		"AskedLess":   {uri: "busy", attempts: 5, kept: "busy 17h4m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &exhibit{due: []indexer.DueNFT{{ID: "a", Attempts: tt.attempts}}, said: map[chains.AssetID]string{"a": tt.uri}}
			require.NoError(t, describing(e, 1).Run(t.Context()))
			require.Equal(t, []string{tt.kept}, e.kept)
		})
	}
}

// TestDescribingMany looks at many at once, within the bound, and ends when a node
// does not answer or the daemon stops.
func TestDescribingMany(t *testing.T) {
	t.Parallel()
	e := &exhibit{said: map[chains.AssetID]string{"a": "good"}}
	for range 50 {
		e.due = append(e.due, indexer.DueNFT{ID: "a"})
	}
	require.NoError(t, describing(e, 3).Run(t.Context()))
	require.Len(t, e.kept, 50)
	require.LessOrEqual(t, e.most, 3)

	e = &exhibit{due: []indexer.DueNFT{{ID: "a"}, {ID: "b"}}, said: map[chains.AssetID]string{"a": "good", "b": "!"}}
	require.ErrorContains(t, describing(e, 1).Run(t.Context()), "ask about b: connection refused")
	require.Len(t, e.kept, 1)

	e = &exhibit{due: []indexer.DueNFT{{ID: "a"}}, said: map[chains.AssetID]string{"a": "good"}, looked: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- describing(e, 1).Run(ctx) }()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Empty(t, e.kept, "that the daemon stops is no failure")
}
