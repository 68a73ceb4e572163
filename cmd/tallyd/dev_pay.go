package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tallyd/chains"
	"tallyd/chains/localnode"
)

func devPayCommand() *cobra.Command {
	var data, token string
	var blocks int
	cmd := &cobra.Command{
		Use:   "pay CHAIN ADDRESS AMOUNT",
		Short: "Pay to an address on a local chain of a running tallyd dev",
		Long: `Pay sends AMOUNT in whole units (0.5) to ADDRESS on the local chain btc or eth of a
tallyd dev that runs, and prints the transaction's id. --mine makes that many blocks
behind it at once; without it the payment waits for the next block.

--token pays base units of a token that the last unlocked account holds, as that of
the demo.`,
		Example: "  tallyd dev pay btc sb1q... 0.25 --mine 3\n  tallyd dev pay eth 0x... 1.5",
		Args:    takes("CHAIN", "ADDRESS", "AMOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			chain, err := devChainOf(data, args[0])
			if err != nil {
				return err
			}
			if blocks < 0 || blocks > 1000 {
				return fmt.Errorf("--mine %d is not from 0 to 1000", blocks)
			}
			decimals := map[string]int{"btc": 8, "eth": 18}[args[0]]
			if token != "" {
				decimals = 0
			}
			amount, err := chains.ParseDecimal(args[2], decimals)
			if err != nil || amount.Sign() <= 0 {
				return fmt.Errorf("AMOUNT %q is no amount above 0 with at most %d decimals", args[2], decimals)
			}
			payer := localnode.Payer{URL: chain.RPC, User: chain.User, Password: chain.Password, Seed: devSeed}
			var id string
			switch {
			case args[0] == "eth":
				id, err = payer.PayEthereum(cmd.Context(), args[1], token, amount.Big(), blocks)
			case token != "":
				return errors.New("--token is for the chain eth")
			case !amount.Big().IsInt64():
				return fmt.Errorf("AMOUNT %s is more than there is", args[2])
			default:
				id, err = payer.PayBitcoin(cmd.Context(), args[1], amount.Big().Int64(), blocks)
			}
			if err != nil {
				return fmt.Errorf("pay on %s: %w", args[0], err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), id)
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", ".tallyd", "folder of the tallyd dev that runs")
	cmd.Flags().StringVar(&token, "token", "", "address of a token to pay instead, AMOUNT in its base units")
	cmd.Flags().IntVar(&blocks, "mine", 0, "blocks to make behind the payment")
	return cmd
}

// devChainOf returns how to reach a local chain.
func devChainOf(data, slug string) (devChain, error) {
	path := filepath.Join(data, devFileName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return devChain{}, fmt.Errorf("there is no %s: is tallyd dev running, with this --data?", path)
	}
	if err != nil {
		return devChain{}, fmt.Errorf("read %s: %w", path, err)
	}
	var file devFile
	if err := json.Unmarshal(text, &file); err != nil {
		return devChain{}, fmt.Errorf("read %s: %w", path, err)
	}
	chain, ok := file.Chains[slug]
	if !ok {
		return devChain{}, fmt.Errorf("CHAIN %q is none of the local chains that run", slug)
	}
	return chain, nil
}
