package indexer

// WalletError says what is wrong with the wallet text a caller gave, in words
// that are safe to show to that caller. It never repeats a key.
type WalletError struct{ Text string }

// Error returns the text.
func (e *WalletError) Error() string { return e.Text }
