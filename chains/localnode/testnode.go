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

// TestAnvil returns a fresh anvil that mines a block for each transaction, ended
// with the test. Without anvil (TALLYD_ANVIL or PATH) the test is skipped, or
// fails when TALLYD_REQUIRE=1.
func TestAnvil(t testing.TB) *Ethereum {
	t.Helper()
	return testEthereum(t, StartAnvil, testProgram(t, "TALLYD_ANVIL", "anvil"))
}

// TestGeth is TestAnvil with a geth for development (TALLYD_GETH or PATH). Without
// one the test is always skipped: geth takes minutes to build, so only who asks
// for it (make geth) has it.
func TestGeth(t testing.TB) *Ethereum {
	t.Helper()
	_, set := os.LookupEnv("TALLYD_GETH")
	if _, err := exec.LookPath("geth"); err != nil && !set {
		t.Skip("needs geth: run make geth, or set TALLYD_GETH")
	}
	return testEthereum(t, StartGeth, testProgram(t, "TALLYD_GETH", "geth"))
}

func testEthereum(t testing.TB, start func(context.Context, EthereumOptions) (*Ethereum, error), bin string) *Ethereum {
	t.Helper()
	e, err := start(t.Context(), EthereumOptions{Bin: bin, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	endWithTest(t, e.node)
	return e
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
