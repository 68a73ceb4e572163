package bitcoin

// sha256Pair advances two states by as many blocks of 64 bytes each.
//
//go:noescape
func sha256Pair(a, b *shaState, pa, pb *byte, blocks int)

// hasSHA reports whether the processor has what sha256Pair needs.
func hasSHA() bool
