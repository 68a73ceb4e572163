package evm

import (
	"time"

	"github.com/ethereum/go-ethereum/common"
)

const (
	// disputeQuiet is how long a contract in dispute is not named again: it is
	// asked again each time what is stale is read.
	disputeQuiet = time.Hour

	// maxDisputes bounds the contracts remembered, and so the lines an hour:
	// contracts cost next to nothing.
	maxDisputes = 256
)

// disputed logs that nodes say different things of what a contract answers,
// once an hour for each contract.
func (s *Source) disputed(contract common.Address) {
	if s.noteDispute(contract, time.Now()) {
		s.log.Warn().Str("contract", contract.Hex()).Msg("nodes disagree about a token that is not listed, its balances are left for later")
	}
}

// noteDispute reports whether a dispute is worth a line.
func (s *Source) noteDispute(contract common.Address, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for other, at := range s.disputes {
		if now.Sub(at) >= disputeQuiet {
			delete(s.disputes, other)
		}
	}
	if _, told := s.disputes[contract]; told || len(s.disputes) >= maxDisputes {
		return false
	}
	s.disputes[contract] = now
	return true
}
