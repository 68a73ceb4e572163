package localnode

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
)

// TestBtcd returns a fresh btcd on regtest with an index of transactions, ended
// with the test, and the wallet it mines to. Without btcd (TALLYD_BTCD or PATH)
// the test is skipped, or fails when TALLYD_REQUIRE=1.
func TestBtcd(t testing.TB) (*Bitcoin, *Wallet) {
	t.Helper()
	return testBitcoin(t, StartBtcd, testProgram(t, "TALLYD_BTCD", "btcd"))
}

// TestBitcoind is TestBtcd with a Bitcoin Core or Knots (TALLYD_BITCOIND or PATH).
func TestBitcoind(t testing.TB) (*Bitcoin, *Wallet) {
	t.Helper()
	return testBitcoin(t, StartBitcoind, testProgram(t, "TALLYD_BITCOIND", "bitcoind"))
}

func testBitcoin(t testing.TB, start func(context.Context, BitcoinOptions) (*Bitcoin, error), bin string) (*Bitcoin, *Wallet) {
	t.Helper()
	wallet, err := NewWallet("miner", &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	b, err := start(t.Context(), BitcoinOptions{
		Bin: bin, Dir: t.TempDir(), Params: &chaincfg.RegressionNetParams, MiningAddress: wallet.Address(P2WPKH), TxIndex: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, b.node)
	return b, wallet
}

func endWithTest(t testing.TB, n *node) {
	t.Helper()
	t.Cleanup(func() {
		if err := n.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop the node: %v", err)
		}
	})
}

// testProgram finds a program by its variable, then in PATH.
func testProgram(t testing.TB, variable, name string) string {
	t.Helper()
	if path, ok := os.LookupEnv(variable); ok && path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if must, _ := os.LookupEnv("TALLYD_REQUIRE"); must == "1" {
		t.Fatalf("needs %s: set %s", name, variable)
	}
	t.Skipf("needs %s: set %s", name, variable)
	return ""
}
