package localnode

import (
	"context"
	"fmt"
	"math/big"
	"strings"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Payer pays on a local chain that another process started. It is how somebody
// who plays with tallyd dev sends money to an address.
type Payer struct {
	URL      string
	User     string // of a bitcoin node
	Password string
	Seed     string // of the wallet a bitcoin node mines to
}

// PayBitcoin pays satoshi to an address, in the chain's spelling or in that of the
// main network, then mines blocks. It returns the transaction's id.
func (p Payer) PayBitcoin(ctx context.Context, to string, satoshi int64, blocks int) (string, error) {
	b := &Bitcoin{node: &node{client: newClient(p.URL, p.User, p.Password)}, URL: p.URL, User: p.User, Password: p.Password}
	defer b.close()
	var info struct{ Chain string }
	if err := b.Call(ctx, "getblockchaininfo", &info); err != nil {
		return "", err
	}
	b.Params = Regtest()
	if info.Chain == Simnet().Name {
		b.Params, b.WebSocket = Simnet(), "btcd"
	}
	script, err := readAddress(to, b.Params)
	if err != nil {
		return "", err
	}
	wallet, err := NewWallet(p.Seed, b.Params)
	if err != nil {
		return "", err
	}
	b.miningAddress = wallet.Address(P2WPKH)
	tx, err := wallet.Pay(ctx, b, Payment{To: []*wire.TxOut{wire.NewTxOut(satoshi, script)}})
	if err != nil {
		return "", err
	}
	if blocks > 0 {
		if _, err := b.Generate(ctx, blocks); err != nil {
			return "", err
		}
	}
	return tx.TxHash().String(), nil
}

func readAddress(text string, params *chaincfg.Params) ([]byte, error) {
	for _, network := range []*chaincfg.Params{params, &chaincfg.MainNetParams} {
		if to, err := address.DecodeAddress(text, network); err == nil && to.IsForNet(network) {
			script, err := txscript.PayToAddrScript(to)
			if err != nil {
				return nil, fmt.Errorf("address %q: %w", text, err)
			}
			return script, nil
		}
	}
	return nil, fmt.Errorf("%q is no address of %s", text, params.Name)
}

// PayEthereum pays wei, or base units of a token, from the node's first unlocked
// account, then mines blocks where the node can. It returns the transaction's hash.
func (p Payer) PayEthereum(ctx context.Context, to, token string, amount *big.Int, blocks int) (string, error) {
	e := &Ethereum{node: &node{client: newClient(p.URL, "", "")}, URL: p.URL}
	defer e.close()
	if err := e.Call(ctx, "eth_accounts", &e.Accounts); err != nil {
		return "", err
	}
	if len(strings.TrimPrefix(to, "0x")) != 40 {
		return "", fmt.Errorf("%q is no address", to)
	}
	tx := Transaction{To: to, Value: amount}
	if token != "" {
		// The last account holds the demo's tokens.
		tx = Transaction{To: token, Data: TransferData(to, amount)}
		if len(e.Accounts) > 0 {
			tx.From = e.Accounts[len(e.Accounts)-1]
		}
	}
	hash, err := e.Send(ctx, tx)
	if err != nil {
		return "", err
	}
	if blocks > 0 {
		if err := e.Mine(ctx, blocks); err != nil {
			return "", err
		}
	}
	return hash, nil
}
