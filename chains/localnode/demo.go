package localnode

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

const (
	// quickstartAddress is the mainnet address Blockmate's quickstart connects.
	// Its script is the same on every network.
	quickstartAddress = "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh"

	// demoHeight is past what simnet needs for segwit and taproot, and matures
	// more coins than the demo needs.
	demoHeight = 310

	// blockRounds is how many rounds share a block. On simnet the difficulty rises
	// fourfold every 2016 blocks that come faster than one in ten minutes, so a
	// block each round would make mining hard within days.
	blockRounds = 4

	// quickstartRounds is how many rounds lie between payments to the quickstart's
	// address.
	quickstartRounds = 10
)

// Demo makes traffic on local chains for tallyd dev. Either chain may be nil.
// Prepare comes first, then Step or Run; it is for one goroutine.
type Demo struct {
	Bitcoin  *Bitcoin
	Wallet   *Wallet // the one Bitcoin mines to
	Ethereum *Ethereum

	// Every is the time between two rounds; zero means 5 s.
	Every time.Duration

	// Token is the address of the demo's ERC-20, DEMO with 6 decimals, known after
	// Prepare.
	Token string

	round      int
	quickstart []byte
	strangers  [][]byte
}

// Prepare brings the chains to where payments are possible: bitcoin past the
// height of its last rules and with one confirmed payment to the quickstart's
// address, ethereum with a token, the same one after every restart of its chain.
func (d *Demo) Prepare(ctx context.Context) error {
	if d.Bitcoin != nil {
		if err := d.prepareBitcoin(ctx); err != nil {
			return fmt.Errorf("prepare demo on bitcoin: %w", err)
		}
	}
	if d.Ethereum != nil {
		if err := d.prepareEthereum(ctx); err != nil {
			return fmt.Errorf("prepare demo on ethereum: %w", err)
		}
	}
	return nil
}

// Run makes a round every so often until ctx ends, and returns its cause. A round
// that fails, because a node is being restarted, is handed to failed and the next
// is made all the same.
func (d *Demo) Run(ctx context.Context, failed func(error)) error {
	every := d.Every
	if every == 0 {
		every = 5 * time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			if err := d.Step(ctx); err != nil && ctx.Err() == nil {
				failed(err)
			}
		}
	}
}

// Step makes one round: a payment on bitcoin, and in every fourth round a block;
// a native payment and one of the token on ethereum.
func (d *Demo) Step(ctx context.Context) error {
	d.round++
	var errBitcoin, errEthereum error
	if d.Bitcoin != nil {
		errBitcoin = d.stepBitcoin(ctx)
	}
	if d.Ethereum != nil {
		errEthereum = d.stepEthereum(ctx)
	}
	return errors.Join(errBitcoin, errEthereum)
}

func (d *Demo) prepareBitcoin(ctx context.Context) error {
	known, err := address.DecodeAddress(quickstartAddress, &chaincfg.MainNetParams)
	if err != nil {
		return fmt.Errorf("read the quickstart's address: %w", err)
	}
	if d.quickstart, err = txscript.PayToAddrScript(known); err != nil {
		return fmt.Errorf("read the quickstart's address: %w", err)
	}
	d.strangers = nil
	for _, name := range []string{"ann", "ben", "cleo"} {
		stranger, err := NewWallet("demo "+name, d.Bitcoin.Params)
		if err != nil {
			return err
		}
		d.strangers = append(d.strangers, stranger.Script(P2WPKH), stranger.Script(P2PKH), stranger.Script(P2TR))
	}
	height, err := d.Bitcoin.Height(ctx)
	if err != nil {
		return err
	}
	if height < demoHeight {
		if _, err := d.Bitcoin.Generate(ctx, int(demoHeight-height)); err != nil {
			return err
		}
	}
	if _, err := d.Wallet.Pay(ctx, d.Bitcoin, Payment{To: []*wire.TxOut{wire.NewTxOut(1_234_567, d.quickstart)}}); err != nil {
		return err
	}
	_, err = d.Bitcoin.Generate(ctx, 1)
	return err
}

func (d *Demo) stepBitcoin(ctx context.Context) error {
	value := int64(10_000 + 1_000*(d.round%90))
	to := []*wire.TxOut{
		wire.NewTxOut(value, d.strangers[d.round%len(d.strangers)]),
		wire.NewTxOut(2*value, d.strangers[(d.round+4)%len(d.strangers)]),
	}
	if d.round%quickstartRounds == 0 {
		to = append(to, wire.NewTxOut(3*value, d.quickstart))
	}
	if _, err := d.Wallet.Pay(ctx, d.Bitcoin, Payment{To: to, Replaceable: d.round%2 == 0}); err != nil {
		return fmt.Errorf("pay on bitcoin: %w", err)
	}
	if d.round%blockRounds != 0 {
		return nil
	}
	if _, err := d.Bitcoin.Generate(ctx, 1); err != nil {
		return fmt.Errorf("mine on bitcoin: %w", err)
	}
	return nil
}

// prepareEthereum deploys the token by the last account's first transaction: its
// address follows from that, and the accounts users play with come first.
func (d *Demo) prepareEthereum(ctx context.Context) error {
	owner, err := d.owner()
	if err != nil {
		return err
	}
	expected := strings.ToLower(crypto.CreateAddress(common.HexToAddress(owner), 0).Hex())
	var code string
	if err := d.Ethereum.Call(ctx, "eth_getCode", &code, expected, "latest"); err != nil {
		return err
	}
	if code != "0x" {
		d.Token = expected
		return nil
	}
	d.Token, err = d.Ethereum.DeployToken(ctx, Token{From: owner, Symbol: "DEMO", Decimals: 6, Supply: big.NewInt(1e15)})
	return err
}

func (d *Demo) owner() (string, error) {
	if len(d.Ethereum.Accounts) == 0 {
		return "", errors.New("the node has no unlocked account")
	}
	return d.Ethereum.Accounts[len(d.Ethereum.Accounts)-1], nil
}

func (d *Demo) stepEthereum(ctx context.Context) error {
	owner, err := d.owner()
	if err != nil {
		return err
	}
	accounts := d.Ethereum.Accounts
	to := accounts[d.round%len(accounts)]
	value := big.NewInt(int64(d.round%90+10) * 1e12)
	if _, err := d.Ethereum.Send(ctx, Transaction{From: owner, To: to, Value: value}); err != nil {
		return fmt.Errorf("pay on ethereum: %w", err)
	}
	tokens := big.NewInt(int64(d.round%90+10) * 1e4)
	if _, err := d.Ethereum.Send(ctx, Transaction{From: owner, To: d.Token, Data: TransferData(to, tokens)}); err != nil {
		return fmt.Errorf("transfer on ethereum: %w", err)
	}
	return nil
}
