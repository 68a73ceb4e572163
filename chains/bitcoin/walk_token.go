package bitcoin

// Marks of a token prefix (CHIP-2022-02-CashTokens).
const (
	tokenPrefix     = 0xef
	tokenReserved   = 0x80
	tokenCommitment = 0x40
	tokenNFT        = 0x20
	tokenAmount     = 0x10
	tokenCapability = 0x0f
	tokenMinting    = 0x02 // the highest capability
)

// lockingScript returns the script of an output without the token prefix that
// chains with CashTokens put before it. A prefix that is not well formed is part
// of the script, as it was for every output before tokens existed.
func (w *Walker) lockingScript(script []byte) []byte {
	if !w.params.CashTokens || len(script) < 34 || script[0] != tokenPrefix {
		return script
	}
	bits := script[33]
	capability := bits & tokenCapability
	hasNFT := bits&tokenNFT != 0
	switch {
	case bits&tokenReserved != 0,
		bits&(tokenNFT|tokenAmount) == 0,
		capability > tokenMinting,
		!hasNFT && (capability != 0 || bits&tokenCommitment != 0):
		return script
	}
	at := 34
	if bits&tokenCommitment != 0 {
		size, start, ok := compactSize(script, at)
		if !ok || size == 0 || size > uint64(len(script)-start) {
			return script
		}
		at = start + int(size)
	}
	if bits&tokenAmount != 0 {
		amount, next, ok := compactSize(script, at)
		if !ok || amount == 0 || amount > 1<<63-1 {
			return script
		}
		at = next
	}
	return script[at:]
}
