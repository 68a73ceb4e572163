package indexer

import (
	"slices"
	"sync"

	"tallyd/chains"
)

// Sources holds the chains that are open by their slug. A chain whose nodes do
// not answer at start is added when they do. It is safe for concurrent use.
type Sources struct {
	mu   sync.RWMutex
	open map[string]chains.Source
}

// Add makes a source found by the slug of its chain.
func (s *Sources) Add(source chains.Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]chains.Source{}
	}
	s.open[source.Chain().Slug] = source
}

// Get returns the source of a slug, and false if it is not open.
func (s *Sources) Get(slug string) (chains.Source, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	source, ok := s.open[slug]
	return source, ok
}

// All returns every open source, ordered by slug.
func (s *Sources) All() []chains.Source {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]chains.Source, 0, len(s.open))
	for _, source := range s.open {
		all = append(all, source)
	}
	slices.SortFunc(all, func(a, b chains.Source) int {
		if a.Chain().Slug < b.Chain().Slug {
			return -1
		}
		return 1
	})
	return all
}
