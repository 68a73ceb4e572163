package evm

import (
	"time"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// leaveQuiet is how long a contract whose balances were left is not named
	// again: it is asked whenever what is stale is read.
	leaveQuiet = time.Hour

	// maxLeft bounds the contracts remembered, and so the lines an hour:
	// contracts cost next to nothing.
	maxLeft = 256
)

// leave logs that balances of a contract were left for later, once an hour for
// each contract.
func (s *Source) leave(contract common.Address, reason string) {
	if s.noteLeft(contract, time.Now()) {
		s.log.Warn().Str("contract", contract.Hex()).Str("reason", reason).Msg("balances of a token left for later")
	}
}

// noteLeft reports whether a contract is to be named.
func (s *Source) noteLeft(contract common.Address, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, at := range s.left {
		if now.Sub(at) >= leaveQuiet {
			delete(s.left, other)
		}
	}
	if _, told := s.left[contract]; told || len(s.left) >= maxLeft {
		return false
	}
	s.left[contract] = now
	return true
}
