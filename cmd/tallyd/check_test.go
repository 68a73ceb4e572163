package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	node, _ := localnode.TestBitcoind(t)
	anvil := localnode.TestAnvil(t)
	text := strings.Replace(bitcoinPart(node, "regtest", node.Password), "chains: {", "chains:\n  ", 1)
	path := settingsFile(t, strings.TrimSuffix(text, "}"),
		fmt.Sprintf("  eth: {family: evm, environment: test, network: 31337, upstreams: [{url: %q}, {url: %q}]}", anvil.URL, "http://"+nowhere))
	out, err := tallyd(t, "check", "-c", path)
	require.NoError(t, err, "one node of each chain is enough\n%s", out)
	for _, row := range []string{
		`CHAIN +UPSTREAM +CAPABILITY +DETAIL`,
		`btc +` + node.URL + ` +reach +yes`,
		`eth +` + anvil.URL + ` +reach +yes`,
		`eth +http://` + nowhere + ` +reach +no +\S+`,
		`eth +` + anvil.URL + ` +\S*receipts\S* +yes`,
		`eth +` + anvil.URL + ` +\S*proof\S* +yes`,
	} {
		require.Regexp(t, `(?m)^`+row, out)
	}
	require.NotContains(t, out, node.Password)
	require.Contains(t, out, "\ntallyd serve will not start with these settings:\n")
	require.Contains(t, out, "\nsecrets.keyset: is required: set it in the file or as TALLYD_SECRETS_KEYSET, or set secrets.keyset_file\n")

	path = settingsFile(t, apiPart, downPart, bitcoinPart(node, "regtest", node.Password))
	out, err = tallyd(t, "check", "-c", path)
	require.NoError(t, err)
	require.NotContains(t, out, "tallyd serve")
}

func TestCheckSample(t *testing.T) {
	t.Parallel()
	out, err := tallyd(t, "check", "--sample")
	require.NoError(t, err)
	require.Equal(t, config.Sample(), out)
}
