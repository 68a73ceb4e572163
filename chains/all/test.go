package all

import (
	"strconv"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
	"tallyd/chains/evm"
)

// IsTest reports whether a network of a family, as it stands in the settings, is known
// for one of test money. Of one that is not known nobody can tell.
func IsTest(family chains.Family, network string) bool {
	switch family {
	case chains.FamilyBitcoin:
		params, err := bitcoin.ParamsByName(network)
		return err == nil && params.Environment == chains.Test
	case chains.FamilyEVM:
		id, err := strconv.ParseUint(network, 10, 64)
		return err == nil && evm.IsTestNetwork(id)
	}
	return false
}
