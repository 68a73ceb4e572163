package evm

import (
	"bytes"
	"context"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

const (
	maxTokenText     = 32 // characters of a symbol or name
	maxTokenDecimals = 77 // the digits a word can hold
)

// Token implements chains.TokenReader. What the operator lists wins over what
// the contract says. A symbol or name that is long, not UTF-8, or holds anything
// that cannot be seen is left out rather than shown.
func (s *Source) Token(ctx context.Context, id chains.AssetID) (chains.Asset, error) {
	address, _, err := parseAddress(id.Contract())
	if err != nil || id != chains.TokenID(s.chain.ID, id.Contract()) {
		return chains.Asset{}, fmt.Errorf("read token %s: not a token of %s", id, s.chain.ID)
	}
	asset := chains.Asset{ID: id}
	err = s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) (err error) {
		asset.Symbol, asset.Name, asset.Decimals, err = tokenFrom(ctx, u, common.Address(address))
		return err
	})
	if err != nil {
		return chains.Asset{}, fmt.Errorf("read token %s: %w", id, err)
	}
	if listed, ok := s.tokens[common.Address(address)]; ok {
		asset.Symbol, asset.Decimals, asset.Listed = listed.Symbol, listed.Decimals, true
	}
	return asset, nil
}

func tokenFrom(ctx context.Context, u *rpc.Upstream, contract common.Address) (symbol, name string, decimals int, err error) {
	answers, err := u.Batch(ctx, []rpc.Request{
		ethCall(contract, []byte(selectorSymbol), "latest"),
		ethCall(contract, []byte(selectorName), "latest"),
		ethCall(contract, []byte(selectorDecimals), "latest"),
	})
	if err != nil {
		return "", "", 0, fmt.Errorf("call the contract: %w", err)
	}
	texts := make([][]byte, len(answers))
	for i, answer := range answers {
		if answer.Err != nil {
			if err := callError(answer.Err); err != nil {
				return "", "", 0, fmt.Errorf("call the contract: %w", err)
			}
			continue
		}
		var ok bool
		if texts[i], ok = returnedBytes(answer.Result); !ok {
			return "", "", 0, unverified("structure", "a call returned no bytes")
		}
	}
	return tokenText(texts[0]), tokenText(texts[1]), tokenDecimals(texts[2]), nil
}

// tokenText reads a returned string, or a word of bytes as some old contracts
// return it. It returns "" for what should not be shown.
func tokenText(b []byte) string {
	text, ok := bytesAt(b, 0)
	if !ok && len(b) == 32 {
		text, ok = bytes.TrimRight(b, "\x00"), true
	}
	if !ok || !utf8.Valid(text) || utf8.RuneCount(text) > maxTokenText {
		return ""
	}
	for _, r := range string(text) {
		if !unicode.IsPrint(r) {
			return ""
		}
	}
	return string(bytes.TrimSpace(text))
}

// tokenDecimals reads a returned number of decimals; -1 for one that is none.
func tokenDecimals(b []byte) int {
	w, ok := returnedWord(b)
	if !ok {
		return -1
	}
	n, ok := w.uint64()
	if !ok || n > maxTokenDecimals {
		return -1
	}
	return int(n)
}
