package localnode

import (
	"context"
	"fmt"
)

// Reorg replaces anvil's last blocks by as many empty ones. Their transactions
// are gone.
func (e *Ethereum) Reorg(ctx context.Context, depth int) error { return e.ReorgTo(ctx, depth) }

// ReorgTo replaces anvil's last blocks by as many that hold the transactions
// given, signed, in their order: first those of the lowest block.
func (e *Ethereum) ReorgTo(ctx context.Context, depth int, blocks ...[]string) error {
	pairs := []any{}
	for offset, raw := range blocks {
		for _, tx := range raw {
			pairs = append(pairs, []any{tx, offset})
		}
	}
	return e.Call(ctx, "anvil_reorg", nil, depth, pairs)
}

// Rollback makes anvil forget its last blocks and what was in them.
func (e *Ethereum) Rollback(ctx context.Context, depth int) error {
	return e.Call(ctx, "anvil_rollback", nil, depth)
}

// AutoMine says whether anvil mines a block for each transaction at once.
func (e *Ethereum) AutoMine(ctx context.Context, on bool) error {
	return e.Call(ctx, "evm_setAutomine", nil, on)
}

// Raw returns a transaction as it was signed.
func (e *Ethereum) Raw(ctx context.Context, hash string) (string, error) {
	var raw string
	return raw, e.Call(ctx, "eth_getRawTransactionByHash", &raw, hash)
}

// Branch is a stretch of anvil's chain that can be mined again.
type Branch []branchBlock

type branchBlock struct {
	Hash          string
	Timestamp     string
	BaseFeePerGas string
	Transactions  []string
	raw           []string
}

// Branch returns anvil's last blocks.
func (e *Ethereum) Branch(ctx context.Context, depth int) (Branch, error) {
	height, err := e.Height(ctx)
	if err != nil {
		return nil, err
	}
	branch := make(Branch, depth)
	for i := range branch {
		b := &branch[i]
		if err := e.Call(ctx, "eth_getBlockByNumber", b, fmt.Sprintf("%#x", height-uint64(depth)+1+uint64(i)), false); err != nil {
			return nil, err
		}
		for _, hash := range b.Transactions {
			raw, err := e.Raw(ctx, hash)
			if err != nil {
				return nil, err
			}
			b.raw = append(b.raw, raw)
		}
	}
	return branch, nil
}

// Replay mines the blocks of a branch again, on the block they stood on: they
// have the hashes they had.
func (e *Ethereum) Replay(ctx context.Context, branch Branch) error {
	if err := e.AutoMine(ctx, false); err != nil {
		return err
	}
	for _, b := range branch {
		for _, raw := range b.raw {
			if err := e.Call(ctx, "eth_sendRawTransaction", nil, raw); err != nil {
				return err
			}
		}
		if err := e.Call(ctx, "evm_setNextBlockTimestamp", nil, b.Timestamp); err != nil {
			return err
		}
		// After a rollback anvil has another one in mind.
		if err := e.Call(ctx, "anvil_setNextBlockBaseFeePerGas", nil, b.BaseFeePerGas); err != nil {
			return err
		}
		if err := e.Call(ctx, "evm_mine", nil); err != nil {
			return err
		}
		var mined branchBlock
		if err := e.Call(ctx, "eth_getBlockByNumber", &mined, "latest", false); err != nil {
			return err
		}
		if mined.Hash != b.Hash {
			return fmt.Errorf("replay: block %s was mined and not %s", mined.Hash, b.Hash)
		}
	}
	return e.AutoMine(ctx, true)
}
