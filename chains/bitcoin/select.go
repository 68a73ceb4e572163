package bitcoin

import (
	"bytes"
	"cmp"
	"slices"

	"tallyd/chains"
)

const (
	// maxTries bounds the search for coins that need no change.
	maxTries = 100_000

	// maxInputs is more than fit a transaction that nodes relay.
	maxInputs = maxWeight / (witnessScale * (chains.OutpointSize + 4 + 1))
)

// wanted is what coins are to be chosen for.
type wanted struct {
	asset   chains.AssetID
	amount  int64
	rate    int64
	evicted int64 // fees of the transactions that are replaced; 0 for none
	ceiling int64 // the most that may be paid where there is a choice; 0 for any
	to      []byte
	change  []byte
	params  Params
}

// chosen are the coins of one transaction, and what it does with them.
type chosen struct {
	coins  []spendable
	change int64 // 0 for none
	fee    int64 // what is paid
	due    int64 // what has to be
	vsize  int64
}

// candidate is a coin at a rate.
type candidate struct {
	spendable

	worth int64 // what is left of it after paying for its own input
}

// candidates returns the coins that are worth spending at a rate, the most
// valuable first. The order depends on nothing but the coins.
func candidates(coins []spendable, rate int64) []candidate {
	list := make([]candidate, 0, len(coins))
	for _, coin := range coins {
		var alone weigher
		alone.spend(coin)
		cost := ceilDiv((witnessScale*alone.bytes+alone.witness)*rate, witnessScale*1000)
		if worth := coin.value - cost; worth > 0 {
			list = append(list, candidate{spendable: coin, worth: worth})
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.worth, a.worth), compareOutpoints(a.Outpoint, b.Outpoint))
	})
	return list
}

// compareOutpoints orders as BIP 69 does.
func compareOutpoints(a, b chains.Outpoint) int {
	return cmp.Or(bytes.Compare(a.Tx[:], b.Tx[:]), cmp.Compare(a.Vout, b.Vout))
}

// choose returns the coins to spend: those that need no change, if a search finds
// them and no more is given away than may be, else the most valuable ones.
func (w wanted) choose(coins []spendable) (chosen, error) {
	list := candidates(coins, w.rate)
	if found, ok := w.exact(list); ok && (w.ceiling == 0 || found.fee <= w.ceiling) {
		return found, nil
	}
	return w.largest(list)
}

// need returns what coins must be worth to pay without change.
func (w wanted) need(inputs int) int64 {
	frame := weigher{inputs: inputs, segwit: true}
	frame.pay(w.to)
	// Three more, since of virtual bytes only whole ones are paid.
	return w.amount + ceilDiv((frame.weight()+3)*w.rate, witnessScale*1000)
}

// changeCost returns what it costs to make change now, and what to spend it later
// at the same rate.
func (w wanted) changeCost() (now, later int64) {
	kind := kindOf(w.change)
	if kind == kindUnknown {
		kind = kindNested // the only form that does not show
	}
	script, witness := kind.sizes(keySize)
	input := witnessScale*(chains.OutpointSize+4+1+int64(script)) + int64(witness)
	return ceilDiv(outputSize(w.change)*w.rate, 1000), ceilDiv(input*w.rate, witnessScale*1000)
}

// leastChange returns the least that is worth an output of its own: less is dust,
// or costs more to spend than it is.
func (w wanted) leastChange() int64 {
	_, later := w.changeCost()
	return max(w.params.dust(w.change), later)
}

// exact searches coins that are worth what is needed and at most the cost of
// change more, by branch and bound: every coin is in or out, the most valuable
// first, and a branch ends when it is worth too much or cannot become enough. Of
// all that it finds in maxTries steps the one that gives away least is taken.
func (w wanted) exact(list []candidate) (chosen, bool) {
	least := w.need(min(len(list), maxInputs))
	now, later := w.changeCost()
	most := least + now + later
	rest := make([]int64, len(list)+1) // what all from here on are worth
	for i := len(list) - 1; i >= 0; i-- {
		rest[i] = plus(rest[i+1], list[i].worth)
	}
	var in, best []int // positions in list, ascending
	var worth int64
	found := most + 1
	for at, tries := 0, 0; tries < maxTries; tries++ {
		switch {
		case worth >= least && worth < found:
			found, best = worth, slices.Clone(in)
		case worth < least && at < len(list) && plus(worth, rest[at]) >= least:
			// Beside an equal one that was left out, a coin is no other try.
			again := at > 0 && list[at].worth == list[at-1].worth && !slices.Contains(in[max(0, len(in)-1):], at-1)
			if next := plus(worth, list[at].worth); next < found && !again {
				in, worth = append(in, at), next
			}
			at++
			continue
		}
		// This branch is done: leave out the coin that was taken last.
		if len(in) == 0 || found == least {
			break
		}
		last := in[len(in)-1]
		in, worth = in[:len(in)-1], worth-list[last].worth
		at = last + 1
	}
	if best == nil {
		return chosen{}, false
	}
	coins := make([]spendable, len(best))
	for i, at := range best {
		coins[i] = list[at].spendable
	}
	result := w.settle(coins, false)
	return result, result.fits()
}

// largest takes the most valuable coins until they suffice. It reserves as few
// coins as can be, so that other payments find theirs.
func (w wanted) largest(list []candidate) (chosen, error) {
	picked := w.settle(nil, true)
	for _, next := range list {
		more := w.settle(append(picked.coins, next.spendable), true)
		if !more.fits() {
			break
		}
		if picked = more; picked.fee >= picked.due {
			return picked, nil
		}
	}
	return chosen{}, w.shortage(picked)
}

// settle divides what coins hold between recipient, change and fee. Change that is
// not worth an output goes to the fee, which is less than due if the coins do not
// suffice.
func (w wanted) settle(coins []spendable, mayChange bool) chosen {
	var frame weigher
	var sum int64
	for _, coin := range coins {
		frame.spend(coin)
		sum = plus(sum, coin.value)
	}
	frame.pay(w.to)
	if with := frame; mayChange {
		with.pay(w.change)
		if change := sum - w.amount - w.due(with); change >= w.leastChange() {
			return chosen{coins: coins, change: change, fee: w.due(with), due: w.due(with), vsize: with.vsize()}
		}
	}
	return chosen{coins: coins, fee: sum - w.amount, due: w.due(frame), vsize: frame.vsize()}
}

// due returns what a transaction has to pay: its rate, and if it replaces others
// all that they paid and its own relay.
func (w wanted) due(frame weigher) int64 {
	fee := frame.fee(w.rate)
	if w.evicted > 0 {
		fee = max(fee, w.evicted+frame.fee(w.params.RelayFee))
	}
	return fee
}

// shortage says what coins lack.
func (w wanted) shortage(picked chosen) error {
	return &chains.ShortageError{
		Asset: w.asset,
		Have:  chains.NewAmount(w.amount + picked.fee),
		Need:  chains.NewAmount(w.amount + picked.due),
	}
}

// fits reports whether nodes relay a transaction of that size.
func (c chosen) fits() bool { return witnessScale*c.vsize <= maxWeight }
