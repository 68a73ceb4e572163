// Signer is an example of what stands outside tallyd: it holds the keys, shows
// their public halves for registration, and signs what tallyd built. It trusts
// nothing but its own eyes: before it signs it prints what the transaction pays.
//
// The seed lies in a file, in hex, so that the example stays short. Real keys
// belong into an HSM or behind several signers; the exchange with tallyd is the
// same.
//
//	signer new seed.hex                   makes a seed
//	signer key btc --seed seed.hex        prints what PUT /v1/custody/keys/btc takes
//	signer treasury --seed seed.hex       prints an address that may pay on EVM chains
//	signer sign --seed seed.hex < draft   signs the answer of GET …/signing
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
)

const usage = "usage: signer new FILE | signer key btc|eth --seed FILE | signer treasury --seed FILE | signer sign --seed FILE < draft.json"

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "signer:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out, log io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == "new":
		return newSeed(args[1])
	case len(args) == 4 && args[0] == "key" && args[2] == "--seed":
		master, err := readSeed(args[3])
		if err != nil {
			return err
		}
		text, err := publicKey(master, args[1])
		if err != nil {
			return err
		}
		fmt.Fprintln(out, text)
		return nil
	case len(args) == 3 && args[0] == "treasury" && args[1] == "--seed":
		master, err := readSeed(args[2])
		if err != nil {
			return err
		}
		text, err := treasury(master)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, text)
		return nil
	case len(args) == 3 && args[0] == "sign" && args[1] == "--seed":
		master, err := readSeed(args[2])
		if err != nil {
			return err
		}
		return sign(master, in, out, log)
	}
	return errors.New(usage)
}

// newSeed writes a seed of 32 bytes, and never over another.
func newSeed(path string) error {
	seed := make([]byte, 32)
	_, _ = rand.Read(seed) // it never fails
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make a seed: %w", err)
	}
	if _, err := fmt.Fprintln(file, hex.EncodeToString(seed)); err != nil {
		return fmt.Errorf("write the seed: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write the seed: %w", err)
	}
	return nil
}

// readSeed returns the master key of a seed (BIP 32). Its version bytes are those
// of test networks; they say nothing about the keys below.
func readSeed(path string) (*hdkeychain.ExtendedKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the seed: %w", err)
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != 32 {
		return nil, fmt.Errorf("%s does not hold 32 bytes in hex", path)
	}
	master, err := hdkeychain.NewMaster(seed, &chaincfg.RegressionNetParams)
	if err != nil {
		return nil, fmt.Errorf("derive the master key: %w", err)
	}
	return master, nil
}

// draft is what tallyd asks to be signed.
type draft struct {
	Format  string   `json:"format"`
	Payload string   `json:"payload"`
	Paths   []string `json:"paths"`
}

// sign reads a draft and prints what POST …/signing takes.
func sign(master *hdkeychain.ExtendedKey, in io.Reader, out, log io.Writer) error {
	var d draft
	if err := json.NewDecoder(in).Decode(&d); err != nil {
		return fmt.Errorf("read the draft: %w", err)
	}
	var signed string
	var err error
	switch d.Format {
	case "psbt":
		signed, err = signPSBT(master, d.Payload, log)
	case "eip1559":
		signed, err = signEIP1559(master, d, log)
	default:
		err = fmt.Errorf("format %q is not known here", d.Format)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(map[string]string{"signed": signed}) //nolint:wrapcheck // it says what it was doing
}
