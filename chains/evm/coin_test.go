package evm

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// TestCoinsAgree holds the coin that each EVM network is followed under to the one
// that venues' balances of it are known by: an account's total would show the same
// coin twice.
func TestCoinsAgree(t *testing.T) {
	t.Parallel()
	row := regexp.MustCompile(`^\*\s+(\S+)\s+(\S+)\s+(eip155:(\d+)/slip44:\d+)`)
	atVenues := map[string]bool{}
	for _, line := range lines(t, "assets.tsv") {
		if m := row.FindStringSubmatch(line); m != nil {
			id, err := strconv.ParseUint(m[4], 10, 64)
			require.NoError(t, err)
			followed := coin(id)
			require.Equal(t, m[3], string(followed.ID), line)
			require.Equal(t, m[2], followed.Symbol, line)
			atVenues[m[4]] = true
		}
	}
	require.Len(t, atVenues, 6)

	// The other networks that venues pay out on have ether.
	network := regexp.MustCompile(`\seip155:(\d+)\s*$`)
	named := 0
	for _, line := range lines(t, "networks.tsv") {
		if m := network.FindStringSubmatch(line); m != nil && !atVenues[m[1]] {
			id, err := strconv.ParseUint(m[1], 10, 64)
			require.NoError(t, err)
			require.Equal(t, "eip155:"+m[1]+"/slip44:60", string(coin(id).ID), line)
			require.Equal(t, "ETH", coin(id).Symbol, line)
			named++
		}
	}
	require.NotZero(t, named)
}

// coin returns the native coin of the network with a chain id, as far as it is
// known without asking a node.
func coin(id uint64) chains.Asset {
	return knownNetwork(id).chain(chains.Spec{}, id, common.Hash{}).Native
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile("../venue/identity/" + name)
	require.NoError(t, err)
	return strings.Split(string(text), "\n")
}
