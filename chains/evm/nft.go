package evm

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

var _ chains.NFTReader = (*Source)(nil)

// maxURI bounds what a contract may say of where metadata is, in bytes: it may be
// all of the metadata itself.
const maxURI = 512 << 10

// NFT implements chains.NFTReader.
func (s *Source) NFT(ctx context.Context, id chains.AssetID) (chains.NFTClaim, error) {
	p, ok := s.rules.nftOf(id)
	if !ok {
		return chains.NFTClaim{}, fmt.Errorf("read NFT %s: not an NFT of %s", id, s.chain.ID)
	}
	var claim chains.NFTClaim
	err := s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) (err error) {
		claim, err = nftFrom(ctx, u, p)
		return err
	})
	if err != nil {
		return chains.NFTClaim{}, fmt.Errorf("read NFT %s: %w", id, err)
	}
	return claim, nil
}

func nftFrom(ctx context.Context, u *rpc.Upstream, p pair) (chains.NFTClaim, error) {
	selector := selectorTokenURI
	if p.standard == chains.ERC1155 {
		selector = selectorURI
	}
	answers, err := u.Batch(ctx, []rpc.Request{
		ethCall(p.contract, append([]byte(selector), p.token[:]...), "latest"),
		ethCall(p.contract, []byte(selectorName), "latest"),
		ethCall(p.contract, []byte(selectorSymbol), "latest"),
	})
	if err != nil {
		return chains.NFTClaim{}, fmt.Errorf("call the contract: %w", err)
	}
	texts := make([][]byte, len(answers))
	for i, answer := range answers {
		if answer.Err != nil {
			if err := callError(answer.Err); err != nil {
				return chains.NFTClaim{}, fmt.Errorf("call the contract: %w", err)
			}
			continue
		}
		var ok bool
		if texts[i], ok = returnedBytes(answer.Result); !ok {
			return chains.NFTClaim{}, unverified("structure", "a call returned no bytes")
		}
	}
	return chains.NFTClaim{URI: uriOf(texts[0], p), Name: tokenText(texts[1]), Symbol: tokenText(texts[2])}, nil
}

// uriOf reads a returned URI. In those of ERC-1155, {id} stands for the id of the
// token: 64 digits of lower-case hexadecimal. One that is too long or no text is
// none.
func uriOf(returned []byte, p pair) string {
	text, ok := bytesAt(returned, 0)
	if !ok || len(text) > maxURI || !utf8.Valid(text) {
		return ""
	}
	uri := string(text)
	if p.standard == chains.ERC1155 && !strings.HasPrefix(uri, "data:") {
		// Each occurrence is as long as what it is replaced by is bounded: the
		// whole stays within sixteen times the bound.
		uri = strings.ReplaceAll(uri, "{id}", hex.EncodeToString(p.token[:]))
	}
	return uri
}
