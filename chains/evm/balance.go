package evm

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// pair is one balance to be read. The zero contract stands for the native coin.
type pair struct {
	contract, holder common.Address
	standard         chains.Standard // of an NFT; "" for anything else
	token            word            // of an NFT: which one
}

func (p pair) native() bool { return p.contract == common.Address{} && p.standard == "" }

// reading is what one node said of one pair.
type reading struct {
	amount word
	known  bool // false: the contract has no such balance, unless left
	proven bool
	left   string // why nothing was learnt of it, and it is to be asked again; ""
}

// Balances implements chains.BalanceReader. Native balances, and those of tokens
// whose slot the operator knows, are proven against the state root of the block;
// a token's proof must also agree with its balanceOf, so that a wrong slot is
// found. What only a node says is asked of another, and confirmed if two say the
// same. If no two of those asked do, of the native coin or of a token that the
// operator lists, the error is chains.ErrUnverified: one of the nodes lies.
//
// A pair whose contract does not exist at that block, or fails to answer
// balanceOf, is left out: it has no balance there that anybody could name. An
// NFT whose contract names no owner is held by nobody, and has the balance 0.
// What ran out of every node's time is unread, and so is an NFT, or a token that
// is not listed, of which nodes say different things or that makes each of them
// fail.
// Everything else is in the answer, in the order of touched, once.
func (s *Source) Balances(ctx context.Context, at chains.BlockRef, touched []chains.Touch) (read []chains.Snapshot, unread []chains.Touch, err error) {
	pairs, err := s.pairs(touched)
	if err != nil || len(pairs) == 0 {
		return nil, nil, err
	}
	var readings []reading
	var first *rpc.Upstream
	err = s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) (err error) {
		first = u
		readings, err = s.read(ctx, u, at, pairs)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read %d balances at block %s: %w", len(pairs), at.Hash, err)
	}
	proofs, err := s.confirm(ctx, first, at, pairs, readings)
	if err != nil {
		return nil, nil, fmt.Errorf("read %d balances at block %s: %w", len(pairs), at.Hash, err)
	}
	read = make([]chains.Snapshot, 0, len(pairs))
	for i, r := range readings {
		script, asset := bytes.Clone(pairs[i].holder[:]), s.asset(pairs[i])
		switch {
		case r.known:
			read = append(read, chains.Snapshot{Script: script, Asset: asset, Amount: r.amount.amount(), At: at, Proof: proofs[i]})
		case r.left != "":
			s.leave(pairs[i].contract, r.left)
			unread = append(unread, chains.Touch{Script: script, Asset: asset})
		}
	}
	return read, unread, nil
}

// pairs returns what is touched, each once.
func (s *Source) pairs(touched []chains.Touch) ([]pair, error) {
	list := make([]pair, 0, len(touched))
	seen := make(map[pair]bool, len(touched))
	for _, t := range touched {
		if len(t.Script) != common.AddressLength {
			return nil, fmt.Errorf("read balances: a script of %d bytes is no address", len(t.Script))
		}
		p, isNFT := s.rules.nftOf(t.Asset)
		p.holder = common.Address(t.Script)
		if t.Asset != s.chain.Native.ID && !isNFT {
			contract, _, err := parseAddress(t.Asset.Contract())
			if err != nil || t.Asset != chains.TokenID(s.chain.ID, t.Asset.Contract()) || common.Address(contract) == (common.Address{}) {
				return nil, fmt.Errorf("read balances: %s is no asset of %s", t.Asset, s.chain.ID)
			}
			p.contract = common.Address(contract)
		}
		if !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	return list, nil
}

func (s *Source) asset(p pair) chains.AssetID {
	switch {
	case p.native():
		return s.chain.Native.ID
	case p.standard != "":
		return s.rules.nft(p.standard, p.contract, p.token)
	}
	return s.rules.token(p.contract)
}

// vouched reports whether a balance is one that no stranger's contract answers
// for: then nodes that differ are to be told apart, and not the contract.
func (s *Source) vouched(p pair) bool {
	_, listed := s.tokens[p.contract]
	return p.native() || listed && p.standard == ""
}

// confirm asks other nodes for what the first only asserted, until two say the
// same of each, and returns the level of each. It puts the value two agree on
// into readings.
func (s *Source) confirm(ctx context.Context, first *rpc.Upstream, at chains.BlockRef, pairs []pair, readings []reading) ([]chains.Proof, error) {
	proofs := make([]chains.Proof, len(pairs))
	votes := make([][]word, len(pairs))
	var open []int // pairs that need another voice
	for i, r := range readings {
		proofs[i] = chains.Asserted
		if r.proven {
			proofs[i] = chains.Proven
			continue
		}
		if r.known {
			votes[i] = []word{r.amount}
		}
		if r.known || r.left != "" {
			open = append(open, i)
		}
	}
	asked := map[*rpc.Upstream]bool{first: true}
	for len(open) > 0 && len(asked) < len(s.pool.Upstreams()) {
		others, err := s.readElsewhere(ctx, asked, at, pairs, open)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			break // nobody else can say: what the first said stands as it is
		}
		still := open[:0]
		for k, i := range open {
			if !vote(&readings[i], &proofs[i], &votes[i], others[k]) {
				still = append(still, i)
			}
		}
		open = still
	}
	for _, i := range open {
		switch {
		case len(votes[i]) < 2:
		case s.vouched(pairs[i]):
			return nil, unverified("balance", "upstreams disagree on %s of %s: %s and %s",
				s.asset(pairs[i]), pairs[i].holder, votes[i][0].amount(), votes[i][1].amount())
		default:
			// Anybody can make a contract that answers each node otherwise: it
			// must not keep the balances of others from being read.
			readings[i] = reading{left: "nodes disagree"}
		}
	}
	return proofs, nil
}

// vote adds what another node said, and reports whether that settles the
// reading.
func vote(r *reading, proof *chains.Proof, votes *[]word, other reading) bool {
	if !other.known {
		return false
	}
	if other.proven {
		*r, *proof = other, chains.Proven
		return true
	}
	for _, said := range *votes {
		if said == other.amount {
			r.amount, *proof = said, chains.Confirmed
			return true
		}
	}
	if !r.known {
		*r = other
	}
	*votes = append(*votes, other.amount)
	return false
}

// readElsewhere reads some pairs from a node that was not asked yet, and notes
// it in asked.
func (s *Source) readElsewhere(ctx context.Context, asked map[*rpc.Upstream]bool, at chains.BlockRef, pairs []pair, which []int) ([]reading, error) {
	subset := make([]pair, len(which))
	for k, i := range which {
		subset[k] = pairs[i]
	}
	var readings []reading
	err := s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) (err error) {
		if asked[u] {
			return chains.ErrUnsupported
		}
		asked[u] = true
		readings, err = s.read(ctx, u, at, subset)
		return err
	})
	return readings, err
}

// read asks one node for pairs at a block, and proves what can be proven.
func (s *Source) read(ctx context.Context, u *rpc.Upstream, at chains.BlockRef, pairs []pair) ([]reading, error) {
	r := newStateReading(s, u, at, pairs)
	err := r.run(ctx)
	if errors.Is(err, errNoProofs) {
		s.learn(u, func(a *ability) { a.noProof = true })
		s.log.Warn().Str("upstream", u.Name()).Msg("node cannot prove balances, they are asserted only")
		r = newStateReading(s, u, at, pairs)
		err = r.run(ctx)
	}
	return r.readings, err
}
