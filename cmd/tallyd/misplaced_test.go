package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/config"
)

// A test network that nobody placed is live, and that is said with its name: by check,
// and in the log of what starts.
func TestTestNetworkThatIsLive(t *testing.T) {
	t.Parallel()
	chain := func(slug, family, network, environment string) string {
		if environment != "" {
			environment = "environment: " + environment + ", "
		}
		return fmt.Sprintf("  %s: {family: %s, network: %s, %supstreams: [{url: %q}]}", slug, family, network, environment, "http://"+nowhere)
	}
	path := settingsFile(t, "chains:",
		chain("btc", "bitcoin", "mainnet", ""), chain("try", "bitcoin", "testnet4", ""), chain("reg", "bitcoin", "regtest", "test"),
		chain("bch", "bitcoin", "unheard-of", ""),
		chain("eth", "evm", "1", ""), chain("sepolia", "evm", "11155111", ""), chain("anvil", "evm", "31337", "live"), chain("hoodi", "evm", "560048", "test"),
		chain("own", "evm", "4711", ""))
	out, err := tallyd(t, "check", "-c", path)
	require.Error(t, err, "no node answers")
	for _, slug := range []string{"try", "sepolia", "anvil"} {
		require.Contains(t, out, "\nchain "+slug+" is of a test network and its environment is live: set chains."+slug+".environment to test, or its coins count as live money\n")
	}
	for _, slug := range []string{"btc", "reg", "bch", "eth", "hoodi", "own"} {
		require.NotContains(t, out, "chain "+slug+" is of")
	}

	cfg, err := config.Load(path, nil)
	require.NoError(t, err)
	log := &bytes.Buffer{}
	warnMisplaced(cfg, zerolog.New(log))
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 3)
	for i, network := range []string{`"chain":"anvil","network":"31337"`, `"chain":"sepolia","network":"11155111"`, `"chain":"try","network":"testnet4"`} {
		require.Contains(t, lines[i], `"level":"warn",`+network)
	}
}
