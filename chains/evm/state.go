package evm

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

const (
	// slotsPerProof and callsPerMulticall bound one answer and the gas of one
	// call: geth gives a call 50 M gas, a balanceOf takes some 30 k.
	slotsPerProof     = 64
	callsPerMulticall = 200
)

// errNoProofs says that a node has no eth_getProof.
var errNoProofs = errors.New("no proofs")

// stateReading reads balances from one node at one block: in one batch, and a
// second one for calls that failed in company.
type stateReading struct {
	*Source
	u         *rpc.Upstream
	at        chains.BlockRef
	pairs     []pair
	readings  []reading
	proven    map[int]word // by slot proofs, by position of the pair
	header    *header
	multicall bool
	requests  []rpc.Request
	handlers  []func(rpc.Response) error
}

// newStateReading plans which requests to send.
func newStateReading(s *Source, u *rpc.Upstream, at chains.BlockRef, pairs []pair) *stateReading {
	known := s.ability(u)
	r := &stateReading{
		Source: s, u: u, at: at, pairs: pairs,
		readings:  make([]reading, len(pairs)),
		proven:    map[int]word{},
		multicall: known.multicall,
	}
	r.ask(rpc.Request{Method: "eth_getBlockByHash", Params: []any{r.hash().Hex(), false}}, r.readHeader)
	// The first block of some development nodes does not commit to the
	// accounts it starts with.
	proofs := !known.noProof && (at.Height > 0 || !s.rules.network.unsigned)
	var listed, slotted []int
	for i, p := range pairs {
		token, isListed := s.tokens[p.contract]
		switch {
		case p.standard != "":
			r.askHolding(i)
		case p.native() && proofs:
			r.ask(r.proofRequest(p.holder, nil), func(a rpc.Response) error { return r.readAccount(i, a) })
		case p.native():
			r.ask(rpc.Request{Method: "eth_getBalance", Params: []any{p.holder.Hex(), atHash(r.hash())}},
				func(a rpc.Response) error { return r.readBalance(i, a) })
		case isListed && token.Slot >= 0 && proofs:
			slotted = append(slotted, i)
			r.call(i)
		case isListed:
			listed = append(listed, i)
		default:
			// A contract nobody vouches for is called alone. In company it
			// could move tokens it holds before others are asked for them.
			r.call(i)
		}
	}
	r.planCompany(listed)
	r.planSlots(slotted)
	return r
}

func (r *stateReading) hash() common.Hash { return common.Hash(r.at.Hash) }

// ask adds a request and what to do with its answer.
func (r *stateReading) ask(request rpc.Request, handle func(rpc.Response) error) {
	r.requests = append(r.requests, request)
	r.handlers = append(r.handlers, handle)
}

// call asks for balanceOf of pair i alone.
func (r *stateReading) call(i int) {
	r.ask(ethCall(r.pairs[i].contract, balanceOf(r.pairs[i].holder), atHash(r.hash())),
		func(a rpc.Response) error { return r.readCall(i, a) })
}

// askHolding asks whether the holder of pair i has its NFT, and how many.
func (r *stateReading) askHolding(i int) {
	p := r.pairs[i]
	data := ownerOf(p.token)
	if p.standard == chains.ERC1155 {
		data = balanceOfToken(p.holder, p.token)
	}
	r.ask(ethCall(p.contract, data, atHash(r.hash())), func(a rpc.Response) error { return r.readHolding(i, a) })
}

// planCompany asks for balanceOf of listed tokens, many in one call where
// Multicall3 stands.
func (r *stateReading) planCompany(listed []int) {
	if !r.multicall || len(listed) < 2 {
		for _, i := range listed {
			r.call(i)
		}
		return
	}
	for len(listed) > 0 {
		part := listed[:min(len(listed), callsPerMulticall)]
		listed = listed[len(part):]
		calls := make([]pair, len(part))
		for k, i := range part {
			calls[k] = r.pairs[i]
		}
		r.ask(ethCall(multicall3, aggregate(calls), atHash(r.hash())),
			func(a rpc.Response) error { return r.readCompany(part, a) })
	}
}

// planSlots asks for proofs of the slots of listed tokens, contract by contract.
func (r *stateReading) planSlots(slotted []int) {
	byContract := map[common.Address][]int{}
	for _, i := range slotted {
		contract := r.pairs[i].contract
		byContract[contract] = append(byContract[contract], i)
	}
	for contract, members := range byContract {
		for len(members) > 0 {
			part := members[:min(len(members), slotsPerProof)]
			members = members[len(part):]
			slots := make([]common.Hash, len(part))
			for k, i := range part {
				slots[k] = balanceSlot(r.pairs[i].holder, r.tokens[contract].Slot)
			}
			r.ask(r.proofRequest(contract, slots), func(a rpc.Response) error { return r.readSlots(contract, part, slots, a) })
		}
	}
}

func (r *stateReading) proofRequest(account common.Address, slots []common.Hash) rpc.Request {
	keys := make([]string, len(slots))
	for i := range slots {
		keys[i] = slots[i].Hex()
	}
	return rpc.Request{Method: "eth_getProof", Params: []any{account.Hex(), keys, atHash(r.hash())}}
}

// run sends the requests, and those that answers to them give rise to. The
// header comes first among the answers, so that the others can be held to it.
func (r *stateReading) run(ctx context.Context) error {
	for len(r.requests) > 0 {
		requests, handlers := r.requests, r.handlers
		r.requests, r.handlers = nil, nil
		answers, err := r.u.Batch(ctx, requests)
		if err != nil {
			return fmt.Errorf("ask for the state: %w", err)
		}
		for i, handle := range handlers {
			if err := handle(answers[i]); err != nil {
				return fmt.Errorf("%s: %w", requests[i].Method, err)
			}
		}
	}
	for i, proven := range r.proven {
		if !r.readings[i].known {
			continue
		}
		if said := r.readings[i].amount; said != proven {
			return unverified("proof", "slot %d of %s holds %s for %s, balanceOf says %s; is the token's slot setting right?",
				r.tokens[r.pairs[i].contract].Slot, r.pairs[i].contract, proven.amount(), r.pairs[i].holder, said.amount())
		}
		r.readings[i].proven = true
	}
	return nil
}

func (r *stateReading) readHeader(a rpc.Response) (err error) {
	if a.Err != nil {
		return absent(a.Err)
	}
	if r.header, err = headerWith(a.Result, r.hash()); err != nil {
		return err
	}
	if r.header.number != r.at.Height {
		return fmt.Errorf("block %s has height %d, not %d: %w", r.at.Hash, r.header.number, r.at.Height, chains.ErrNotFound)
	}
	return nil
}

// proof reads the answer to eth_getProof.
func (r *stateReading) proof(a rpc.Response) (accountProof, error) {
	switch {
	case a.Err != nil && isMissingMethod(a.Err):
		return accountProof{}, errNoProofs
	case a.Err != nil:
		return accountProof{}, absent(a.Err)
	case isNull(a.Result):
		return accountProof{}, chains.ErrNotFound
	}
	return decodeProof(a.Result)
}

func (r *stateReading) readAccount(i int, a rpc.Response) error {
	p, err := r.proof(a)
	if err != nil {
		return err
	}
	balance, _, err := proveAccount(r.header.state, r.pairs[i].holder, p.account)
	if err != nil {
		return err
	}
	r.readings[i] = reading{amount: balance, known: true, proven: true}
	return nil
}

func (r *stateReading) readSlots(contract common.Address, members []int, slots []common.Hash, a rpc.Response) error {
	p, err := r.proof(a)
	if err != nil {
		return err
	}
	if len(p.slots) != len(slots) {
		return unverified("proof", "asked for %d slots, got %d", len(slots), len(p.slots))
	}
	_, storage, err := proveAccount(r.header.state, contract, p.account)
	if err != nil {
		return err
	}
	for k, i := range members {
		if r.proven[i], err = proveSlot(storage, slots[k], p.slots[k]); err != nil {
			return err
		}
	}
	return nil
}

func (r *stateReading) readBalance(i int, a rpc.Response) error {
	if a.Err != nil {
		return absent(a.Err)
	}
	if isNull(a.Result) {
		return chains.ErrNotFound
	}
	s := &scanner{text: a.Result}
	r.readings[i] = reading{amount: s.word(), known: true}
	if s.err != nil {
		return unverified("structure", "%w", s.err)
	}
	return nil
}

func (r *stateReading) readCall(i int, a rpc.Response) error {
	text, err := r.returned(a)
	if err != nil {
		return r.fail(i, err)
	}
	amount, ok := returnedWord(text)
	r.readings[i] = reading{amount: amount, known: ok}
	if outOfTime(a.Err) {
		r.readings[i].left = "out of time"
	}
	return nil
}

// readHolding reads who owns an NFT, or how many of it there are. A contract that
// fails names nobody; of one that ran out of the node's time nothing is known.
func (r *stateReading) readHolding(i int, a rpc.Response) error {
	text, err := r.returned(a)
	if err != nil {
		return r.fail(i, err)
	}
	answer, ok := returnedWord(text)
	switch {
	case !ok && outOfTime(a.Err):
		r.readings[i] = reading{left: "out of time"}
	case !ok:
		r.readings[i] = reading{known: true}
	case r.pairs[i].standard == chains.ERC1155:
		r.readings[i] = reading{amount: answer, known: true}
	default:
		topic := common.Hash(answer)
		owner, isAddress := topicAddress(&topic)
		r.readings[i].known = true
		if isAddress && owner == r.pairs[i].holder {
			r.readings[i].amount = wordFromUint64(1)
		}
	}
	return nil
}

// fail returns what a call that a node could not make means for the reading. If
// it is of a stranger's contract, that is left, and nothing beside it: the contract
// may be why. What says that the node is busy, or lacks the method or the state,
// is of the node.
func (r *stateReading) fail(i int, err error) error {
	if r.vouched(r.pairs[i]) || rpc.Code(err) == 0 || rpc.Busy(err) || isMissingMethod(err) || errors.Is(err, chains.ErrNotFound) {
		return err
	}
	r.readings[i] = reading{left: err.Error()}
	return nil
}

// readCompany reads many balances at once. Those that are missing are asked for
// alone: one greedy token may have left no gas for the others.
func (r *stateReading) readCompany(members []int, a rpc.Response) error {
	text, err := r.returned(a)
	if err != nil {
		return err
	}
	results, ok := aggregated(text, len(members))
	for k, i := range members {
		if ok {
			if amount, found := returnedWord(results[k]); found {
				r.readings[i] = reading{amount: amount, known: true}
				continue
			}
		}
		r.call(i)
	}
	return nil
}

// returned reads the answer to eth_call: nothing for a call that failed by its
// contract's own doing.
func (r *stateReading) returned(a rpc.Response) ([]byte, error) {
	if a.Err != nil {
		return nil, callError(a.Err)
	}
	text, ok := returnedBytes(a.Result)
	if !ok {
		return nil, unverified("structure", "eth_call returned no bytes")
	}
	return text, nil
}
