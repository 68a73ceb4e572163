//go:build !amd64

package bitcoin

func sha256Pair(*shaState, *shaState, *byte, *byte, int) {
	panic("sha256Pair is called where hasSHA is false")
}

func hasSHA() bool { return false }
