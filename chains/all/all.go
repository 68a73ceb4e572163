// Package all lists the adapters that are built in, one line each. Only cmd
// imports it.
package all

import (
	"context"

	"github.com/rs/zerolog"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
	"tallyd/chains/evm"
)

// Open opens a chain of one family. The source must be closed.
type Open func(ctx context.Context, spec chains.Spec, log zerolog.Logger) (chains.Source, error)

// Families returns how the chains of each family are opened.
func Families() map[chains.Family]Open {
	return map[chains.Family]Open{
		chains.FamilyBitcoin: bitcoin.Open,
		chains.FamilyEVM:     evm.Open,
	}
}
