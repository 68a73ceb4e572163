package ticker

import (
	"maps"
	"slices"
)

// Names returns the sources there are.
func Names() []string { return slices.Sorted(maps.Keys(exchanges())) }
