package bitcoin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// Error codes of Bitcoin Core and its relatives. btcd uses other ones for the
// same things now and then.
const (
	codeMisc           = -1 // btcd: no such height, "Command unimplemented"
	codeNotFound       = -5
	codeBadParameter   = -8 // Core: no such height
	codeWarmingUp      = -28
	codeUnknownMethod  = -32601
	codeWrongArguments = -32602
	codeInternal       = -32603 // btcd: a block outside the main chain has no verbose header
)

// node is one upstream, with what it was found to be able to do. All its
// requests go to that upstream alone.
type node struct {
	*rpc.Upstream
	params Params
	can    abilities
	refs   *refCache
}

// best returns the hash of the best block.
func (n node) best(ctx context.Context) (chains.Hash, error) {
	return n.hash(ctx, "getbestblockhash")
}

// hashAt returns the hash at height on the node's best chain, or
// chains.ErrNotFound.
func (n node) hashAt(ctx context.Context, height uint64) (chains.Hash, error) {
	hash, err := n.hash(ctx, "getblockhash", height)
	if code := rpc.Code(err); code == codeBadParameter || code == codeMisc {
		return chains.Hash{}, fmt.Errorf("block %d: %w", height, chains.ErrNotFound)
	}
	return hash, err
}

// head returns the best block.
func (n node) head(ctx context.Context) (chains.BlockRef, error) {
	hash, err := n.best(ctx)
	if err != nil {
		return chains.BlockRef{}, err
	}
	return n.ref(ctx, hash)
}

// refAt returns the block at height on the node's best chain, or
// chains.ErrNotFound.
func (n node) refAt(ctx context.Context, height uint64) (chains.BlockRef, error) {
	hash, err := n.hashAt(ctx, height)
	if err != nil {
		return chains.BlockRef{}, err
	}
	ref, err := n.ref(ctx, hash)
	if err == nil && ref.Height != height {
		return chains.BlockRef{}, n.lie(fmt.Sprintf("block %d", height), fmt.Errorf("its height is %d", ref.Height))
	}
	return ref, err
}

func (n node) hash(ctx context.Context, method string, params ...any) (chains.Hash, error) {
	var text string
	if err := n.CallInto(ctx, &text, method, params...); err != nil {
		return chains.Hash{}, err
	}
	hash, err := chains.ParseHash(text)
	if err != nil {
		return chains.Hash{}, fmt.Errorf("%s: %w", method, err)
	}
	return hash, nil
}

// headerDocument is what of a verbose header its 80 bytes do not say.
type headerDocument struct {
	Height *uint64 `json:"height"`
}

// ref returns the block with a hash, by a header whose hash and proof of work
// were checked. The height is the node's word.
func (n node) ref(ctx context.Context, hash chains.Hash) (chains.BlockRef, error) {
	if ref, ok := n.refs.get(hash); ok {
		return ref, nil
	}
	answers, err := n.Batch(ctx, []rpc.Request{
		{Method: "getblockheader", Params: []any{hash.String(), false}},
		{Method: "getblockheader", Params: []any{hash.String(), true}},
	})
	if err != nil {
		return chains.BlockRef{}, err
	}
	header, err := n.header(hash, answers[0])
	if err != nil {
		return chains.BlockRef{}, err
	}
	height, err := n.height(ctx, header, answers[1])
	if err != nil {
		return chains.BlockRef{}, err
	}
	ref := header.Ref(height)
	n.refs.put(ref)
	return ref, nil
}

// header checks a raw header against the hash it was asked by.
func (n node) header(hash chains.Hash, answer rpc.Response) (Header, error) {
	if rpc.Code(answer.Err) == codeNotFound {
		return Header{}, fmt.Errorf("block %s: %w", hash, chains.ErrNotFound)
	}
	raw, err := hexResult(answer)
	if err != nil {
		return Header{}, fmt.Errorf("header %s of %s: %w", hash, n.Name(), err)
	}
	header, err := VerifyHeader(n.params, raw)
	if err == nil && header.Hash != hash {
		err = fmt.Errorf("the answer is header %s", header.Hash)
	}
	if err != nil {
		return Header{}, n.lie(fmt.Sprintf("header %s", hash), err)
	}
	return header, nil
}

// height reads the height from a verbose header. btcd has none for a block
// outside its main chain: there the height follows from the parents.
func (n node) height(ctx context.Context, header Header, answer rpc.Response) (uint64, error) {
	if code := rpc.Code(answer.Err); code == codeInternal || code == codeMisc {
		parent, err := n.ref(ctx, header.Parent)
		if err != nil {
			return 0, fmt.Errorf("parent of %s: %w", header.Hash, err)
		}
		return parent.Height + 1, nil
	}
	if rpc.Code(answer.Err) == codeNotFound {
		return 0, fmt.Errorf("block %s: %w", header.Hash, chains.ErrNotFound)
	}
	if answer.Err != nil {
		return 0, fmt.Errorf("height of %s: %w", header.Hash, answer.Err)
	}
	var doc headerDocument
	if err := json.Unmarshal(answer.Result, &doc); err != nil || doc.Height == nil {
		return 0, n.lie(fmt.Sprintf("header %s", header.Hash), errors.New("the answer holds no height"))
	}
	genesis := header.Hash == n.params.Genesis
	if (*doc.Height == 0) != genesis {
		return 0, n.lie(fmt.Sprintf("header %s", header.Hash), fmt.Errorf("it cannot stand at height %d", *doc.Height))
	}
	if parent, ok := n.refs.get(header.Parent); ok && parent.Height+1 != *doc.Height {
		return 0, n.lie(fmt.Sprintf("header %s", header.Hash), fmt.Errorf("its parent stands at %d, it cannot at %d", parent.Height, *doc.Height))
	}
	return *doc.Height, nil
}

// lie says that an answer of this node cannot be believed. The heights believed
// so far are forgotten with it, since one of them may be what does not fit.
func (n node) lie(what string, err error) error {
	n.refs.clear()
	return fmt.Errorf("%s of %s: %w: %w", what, n.Name(), chains.ErrUnverified, err)
}

// maxBlock bounds a raw block: 4 MB on BTC, 32 MB on BCH, with room for more.
const maxBlock = 64 << 20

// rawBlock returns the bytes the node gives for a block, unverified. It takes
// the REST interface where there is one, and JSON-RPC where REST has not got the
// block.
func (n node) rawBlock(ctx context.Context, hash chains.Hash) ([]byte, error) {
	if n.can.rest {
		raw, err := n.Get(ctx, "/rest/block/"+hash.String()+".bin", maxBlock)
		if _, refused := errors.AsType[*rpc.StatusError](err); !refused {
			return raw, err
		}
	}
	result, err := n.Call(ctx, "getblock", hash.String(), 0)
	if rpc.Code(err) == codeNotFound {
		return nil, fmt.Errorf("block %s: %w", hash, chains.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	raw, err := hexResult(rpc.Response{Result: result})
	if err != nil {
		return nil, n.lie(fmt.Sprintf("block %s", hash), err)
	}
	return raw, nil
}

// hexResult decodes a result that is a string of hex digits.
func hexResult(answer rpc.Response) ([]byte, error) {
	if answer.Err != nil {
		return nil, answer.Err
	}
	result := answer.Result
	if len(result) < 2 || result[0] != '"' || result[len(result)-1] != '"' {
		return nil, errors.New("the answer is not a string of hex digits")
	}
	raw := make([]byte, hex.DecodedLen(len(result)-2))
	if _, err := hex.Decode(raw, result[1:len(result)-1]); err != nil {
		return nil, fmt.Errorf("decode the answer: %w", err)
	}
	return raw, nil
}
