package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// The model: a node with branches and a mempool, a follower and a search that
// know only what the store told them, and a naive replay that knows everything.

type mtx struct {
	id       int
	coinbase bool
	inputs   []chains.Outpoint
	outputs  []mout
}

type mout struct{ to, amount int }

func (tx mtx) hash() chains.Hash { return hash('t', tx.id) }

type mblock struct {
	ref chains.BlockRef
	txs []mtx
}

const (
	modelScripts  = 5 // 0..4 may be watched; higher ones never are
	modelForeign  = 9
	modelFollowed = 3 // the first block followed; those below are the past
)

type model struct {
	t     *rapid.T
	b     *bench
	fault *fault

	// the node
	branch  []mblock
	mempool []mtx
	number  int

	// the follower
	table  *chains.WatchTable
	loaded int64

	accounts map[uuid.UUID][]int
	first    map[uuid.UUID]bool // connected before anything happened
}

func (m *model) next() int { m.number++; return m.number }

func (m *model) tip() chains.BlockRef { return m.branch[len(m.branch)-1].ref }

// unspent returns the outputs that are there for a new transaction.
func (m *model) unspent(txs []mtx) map[chains.Outpoint]mout {
	set := map[chains.Outpoint]mout{}
	for _, tx := range txs {
		for _, in := range tx.inputs {
			delete(set, in)
		}
		for i, out := range tx.outputs {
			set[chains.Outpoint{Tx: tx.hash(), Vout: uint32(i)}] = out
		}
	}
	return set
}

func (m *model) mined() []mtx {
	var txs []mtx
	for _, b := range m.branch {
		txs = append(txs, b.txs...)
	}
	return txs
}

func (m *model) outputs(total int) []mout {
	n := rapid.IntRange(1, 2).Draw(m.t, "outputs")
	outs := make([]mout, n)
	for i := range outs {
		outs[i] = mout{rapid.IntRange(0, modelForeign).Draw(m.t, "to"), total / n}
	}
	return outs
}

// newTx returns a transaction that spends one or two of a set of outputs.
func (m *model) newTx(set map[chains.Outpoint]mout) (mtx, bool) {
	keys := make([]chains.Outpoint, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b chains.Outpoint) int {
		return slices.Compare(append(a.Tx[:], byte(a.Vout)), append(b.Tx[:], byte(b.Vout)))
	})
	if len(keys) == 0 {
		return mtx{}, false
	}
	tx, total := mtx{id: m.next()}, 0
	for range rapid.IntRange(1, min(2, len(keys))).Draw(m.t, "inputs") {
		i := rapid.IntRange(0, len(keys)-1).Draw(m.t, "input")
		tx.inputs = append(tx.inputs, keys[i])
		total += set[keys[i]].amount
		keys = slices.Delete(keys, i, i+1)
	}
	tx.outputs = m.outputs(total)
	return tx, true
}

// resettle keeps of transactions those the node's mempool can hold, in order.
func (m *model) resettle(candidates []mtx) {
	mined := m.mined()
	there := m.unspent(mined)
	known := map[int]bool{}
	for _, tx := range mined {
		known[tx.id] = true
	}
	m.mempool = nil
	for _, tx := range candidates {
		ok := !known[tx.id] && !tx.coinbase
		for _, in := range tx.inputs {
			if _, there := there[in]; !there {
				ok = false
			}
		}
		if !ok {
			continue
		}
		known[tx.id] = true
		for _, in := range tx.inputs {
			delete(there, in)
		}
		for i, out := range tx.outputs {
			there[chains.Outpoint{Tx: tx.hash(), Vout: uint32(i)}] = out
		}
		m.mempool = append(m.mempool, tx)
	}
}

// extend mines a block on top of the node's branch: some of the mempool, some
// transactions nobody saw, which may conflict with the mempool.
func (m *model) extend() {
	txs := []mtx{{id: m.next(), coinbase: true, outputs: m.outputs(1000)}}
	base := m.mined()
	for _, tx := range m.mempool {
		set := m.unspent(append(slices.Clone(base), txs...))
		fits := true
		for _, in := range tx.inputs {
			if _, there := set[in]; !there {
				fits = false
			}
		}
		if fits && rapid.Bool().Draw(m.t, "mine") {
			txs = append(txs, tx)
		}
	}
	for range rapid.IntRange(0, 2).Draw(m.t, "unseen") {
		if tx, ok := m.newTx(m.unspent(append(slices.Clone(base), txs...))); ok {
			txs = append(txs, tx)
		}
	}
	parent := chains.BlockRef{Height: ^uint64(0)}
	if len(m.branch) > 0 {
		parent = m.tip()
	}
	ref := block(parent, m.next())
	m.branch = append(m.branch, mblock{ref, txs})
	m.resettle(m.mempool)
}

// see matches transactions as an adapter does: an output found is watched at
// once, so that the same block can spend it.
func see(table *chains.WatchTable, native chains.AssetID, txs []mtx) chains.Match {
	var match chains.Match
	for n, tx := range txs {
		for i, in := range tx.inputs {
			if table.HasOutpoint(in) {
				match.Spends = append(match.Spends, chains.Spend{Tx: tx.hash(), TxIndex: uint32(n), Vin: uint32(i), Spent: in})
			}
		}
		for i, out := range tx.outputs {
			if !table.HasScript(script(out.to)) {
				continue
			}
			match.Transfers = append(match.Transfers, chains.Transfer{
				Tx: tx.hash(), TxIndex: uint32(n), Source: chains.SourceVout(uint32(i)), Side: chains.In, Asset: native,
				Amount: chains.NewAmount(int64(out.amount)), Script: script(out.to), Coinbase: tx.coinbase,
			})
			table.AddOutpoint(chains.Outpoint{Tx: tx.hash(), Vout: uint32(i)})
		}
	}
	return match
}

func (m *model) load() {
	version, err := m.b.LoadWatch(m.ctx(), m.b.chain.Slug, m.loaded, m.table)
	require.NoError(m.t, err)
	m.loaded = version
}

func (m *model) ctx() context.Context { return context.Background() }

// crash forgets everything that is not durable.
func (m *model) crash() {
	m.table, m.loaded = chains.NewWatchTable(0, 0), -1
	m.load()
	cursor, err := m.b.Acquire(m.ctx(), m.b.chain.Slug, m.b.lease.Owner, leaseTime)
	require.NoError(m.t, err)
	m.b.lease = cursor.Lease
}

// done handles the outcome of a verb: after a fault the process begins again.
func (m *model) done(applied indexer.Applied, err error) bool {
	switch {
	case errors.Is(err, errFault):
		m.crash()
		return false
	case errors.Is(err, indexer.ErrWatchMoved):
		m.load()
		return false
	}
	require.NoError(m.t, err)
	for _, o := range applied.Watch {
		m.table.AddOutpoint(o)
	}
	return true
}

func (m *model) at(height uint64) (mblock, bool) {
	if height < uint64(len(m.branch)) {
		return m.branch[height], true
	}
	return mblock{}, false
}

// follow makes the ledger level with the node, then looks at the mempool.
func (m *model) follow() {
	for {
		tip, err := m.b.Tip(m.ctx(), m.b.chain.Slug)
		require.NoError(m.t, err)
		ours, there := m.at(tip.Height)
		switch {
		case tip.Hash.IsZero() && len(m.branch) <= modelFollowed:
			return
		case tip.Hash.IsZero():
			m.append(m.branch[modelFollowed:modelFollowed+1], chains.Hash{})
		case !there || ours.ref.Hash != tip.Hash:
			m.done(m.b.Revert(m.ctx(), m.b.lease, tip))
		case tip.Hash == m.tip().Hash:
			if m.look() {
				return
			}
		default:
			last := rapid.Uint64Range(tip.Height+1, min(tip.Height+4, m.tip().Height)).Draw(m.t, "last")
			m.append(m.branch[tip.Height+1:last+1], tip.Hash)
		}
	}
}

// append appends blocks in one transaction, as a follower does that catches up.
func (m *model) append(blocks []mblock, parent chains.Hash) {
	steps := make([]indexer.Step, 0, len(blocks))
	for _, b := range blocks {
		steps = append(steps, indexer.Step{
			Lease: m.b.lease, Parent: parent, WatchVersion: m.loaded, Block: b.ref, Match: see(m.table, m.b.chain.Native.ID, b.txs),
		})
		parent = b.ref.Hash
	}
	m.done(m.b.Apply(m.ctx(), steps...))
}

func (m *model) look() bool {
	m.load()
	amendment := indexer.Amendment{Lease: m.b.lease}
	present := map[chains.Hash]bool{}
	for _, tx := range m.mempool {
		present[tx.hash()] = true
		match := see(m.table, m.b.chain.Native.ID, []mtx{tx})
		if match.Empty() {
			continue
		}
		unconfirmed := chains.UnconfirmedTx{Tx: tx.hash(), Match: match}
		for i, in := range tx.inputs {
			unconfirmed.Inputs = append(unconfirmed.Inputs, chains.Spend{Tx: tx.hash(), Vin: uint32(i), Spent: in})
		}
		amendment.Pending = append(amendment.Pending, unconfirmed)
	}
	pending, gone, err := m.b.OpenTxs(m.ctx(), m.b.chain.Slug)
	require.NoError(m.t, err)
	for _, tx := range pending {
		if !present[tx] {
			amendment.Dropped = append(amendment.Dropped, tx)
		}
	}
	for _, tx := range gone {
		if present[tx] {
			amendment.Revived = append(amendment.Revived, tx)
		}
	}
	return m.done(m.b.Amend(m.ctx(), amendment))
}

// search runs one backfill over some scripts, with the mempool looked at after.
func (m *model) search() {
	searched, err := m.b.SearchScripts(m.ctx(), m.b.chain.Slug, rapid.IntRange(1, 3).Draw(m.t, "batch"))
	require.NoError(m.t, err)
	if len(searched) == 0 {
		return
	}
	table := chains.NewWatchTable(0, 0)
	filling := indexer.Filling{Chain: m.b.chain.Slug, Progress: true, Method: chains.MethodRaw}
	next, last, started := uint64(1<<40), int64(-1), true
	for _, s := range searched {
		table.AddScript(s.Script)
		filling.Scripts = append(filling.Scripts, s.ID)
		next, last, started = min(next, s.Next), max(last, min(s.Handover, int64(m.tip().Height))), started && s.Started
	}
	if !started {
		next = 0
	}
	known, err := m.b.Outpoints(m.ctx(), filling.Scripts)
	require.NoError(m.t, err)
	for _, o := range known {
		table.AddOutpoint(o)
	}
	walk := func(from, to int64) (blocks []indexer.FilledBlock) {
		for h := from; h <= to; h++ {
			if match := see(table, m.b.chain.Native.ID, m.branch[h].txs); !match.Empty() {
				blocks = append(blocks, indexer.FilledBlock{Ref: m.branch[h].ref, Match: match})
			}
		}
		return blocks
	}
	for int64(next) <= last {
		to := min(int64(next)+rapid.Int64Range(0, 4).Draw(m.t, "chunk"), last)
		part := filling
		part.Blocks, part.From, part.Next = walk(int64(next), to), next, uint64(to+1)
		if !m.done(indexer.Applied{}, m.b.Fill(m.ctx(), part)) || rapid.IntRange(0, 4).Draw(m.t, "killed") == 0 {
			return // a later search goes on
		}
		next = uint64(to + 1)
	}
	tip := m.tip()
	through := max(last, modelFollowed, int64(tip.Height)-rapid.Int64Range(0, 2).Draw(m.t, "behind"))
	filling.Blocks, filling.Next, filling.Complete = walk(last+1, through), uint64(last+1), true
	filling.Through = m.branch[through].ref
	filling.Tail = func(_ context.Context, from, to chains.BlockRef) ([]indexer.FilledBlock, error) {
		return walk(int64(from.Height)+1, int64(to.Height)), nil
	}
	m.done(indexer.Applied{}, m.b.Fill(m.ctx(), filling))
}

func (m *model) armed() string {
	verb := rapid.SampledFrom([]string{"apply", "revert", "amend", "fill"}).Draw(m.t, "verb")
	return verb + rapid.SampledFrom([]string{store.BeforeBegin, store.BeforeCommit, store.AfterCommit}).Draw(m.t, "boundary")
}

func TestModel(t *testing.T) {
	t.Parallel()
	var f fault
	s := openStore(t, store.Options{Failpoint: f.fail})
	rapid.Check(t, func(rt *rapid.T) {
		f.arm("")
		m := &model{t: rt, b: newBench(t, s, chains.FamilyBitcoin), fault: &f, accounts: map[uuid.UUID][]int{}, first: map[uuid.UUID]bool{}}
		for range modelFollowed + 1 {
			m.extend()
		}
		m.connect(true, 0)
		m.connect(true, 0, 1)
		m.crash()
		actions := map[string]func(*rapid.T){
			"mine":    func(rt *rapid.T) { m.t = rt; m.extend() },
			"reorg":   func(rt *rapid.T) { m.t = rt; m.reorg() },
			"pay":     func(rt *rapid.T) { m.t = rt; m.pay() },
			"replace": func(rt *rapid.T) { m.t = rt; m.replace() },
			"drop":    func(rt *rapid.T) { m.t = rt; m.drop() },
			"search":  func(rt *rapid.T) { m.t = rt; m.follow(); m.search() },
			"connect": func(rt *rapid.T) {
				m.t = rt
				m.connect(false, rapid.SliceOfNDistinct(rapid.IntRange(0, modelScripts-1), 1, 2, rapid.ID).Draw(rt, "scripts")...)
			},
			"crash": func(rt *rapid.T) { m.t = rt; m.crash() },
			"fault": func(rt *rapid.T) { m.t = rt; f.arm(m.armed()) },
			"":      func(rt *rapid.T) { m.t = rt; m.follow(); m.check() },
		}
		rt.Repeat(actions)
	})
}

func (m *model) connect(first bool, scripts ...int) {
	all := make([][]byte, len(scripts))
	for i, n := range scripts {
		all[i] = script(n)
	}
	id := uuid.New()
	watched := make([]indexer.WatchedScript, len(all))
	for i, s := range all {
		watched[i] = indexer.WatchedScript{Script: s, Index: uint32(i)}
	}
	require.NoError(m.t, m.b.CreateAccount(m.ctx(), indexer.Account{
		ID: id, Realm: m.b.realm, UserID: m.b.user, Chain: m.b.chain.Slug, Kind: indexer.KindDescriptor, Wallet: id.String(),
	}, watched))
	m.accounts[id], m.first[id] = scripts, first
}

// reorg takes blocks off the node's branch, now and then below the first one
// followed, and mines others.
func (m *model) reorg() {
	depth := rapid.IntRange(1, len(m.branch)).Draw(m.t, "depth")
	var back []mtx
	for range depth {
		last := len(m.branch) - 1
		back = append(slices.Clone(m.branch[last].txs), back...)
		m.branch = m.branch[:last]
	}
	if rapid.Bool().Draw(m.t, "first come") {
		back = append(back, m.mempool...)
	} else {
		back = append(slices.Clone(m.mempool), back...)
	}
	m.resettle(back)
	for len(m.branch) <= modelFollowed || rapid.Bool().Draw(m.t, "longer") {
		m.extend()
	}
}

func (m *model) pay() {
	if tx, ok := m.newTx(m.unspent(append(m.mined(), m.mempool...))); ok {
		m.mempool = append(m.mempool, tx)
	}
}

// replace puts a transaction into the mempool that conflicts with one there.
func (m *model) replace() {
	if len(m.mempool) == 0 {
		return
	}
	old := m.mempool[rapid.IntRange(0, len(m.mempool)-1).Draw(m.t, "old")]
	tx := mtx{id: m.next(), inputs: old.inputs[:1], outputs: m.outputs(100)}
	others := slices.DeleteFunc(slices.Clone(m.mempool), func(o mtx) bool { return o.id == old.id })
	m.resettle(append([]mtx{tx}, others...))
	if !slices.ContainsFunc(m.mempool, func(o mtx) bool { return o.id == tx.id }) {
		m.resettle(append(others, old)) // it spends what is not there yet
	}
}

func (m *model) drop() {
	if len(m.mempool) == 0 {
		return
	}
	gone := m.mempool[rapid.IntRange(0, len(m.mempool)-1).Draw(m.t, "gone")]
	m.resettle(slices.DeleteFunc(slices.Clone(m.mempool), func(o mtx) bool { return o.id == gone.id }))
}

// expected is the naive replay: every alive leg of one script.
func (m *model) expected(watched int) (legs map[string]string, balance int) {
	legs = map[string]string{}
	owner := map[chains.Outpoint]mout{}
	replay := func(tx mtx, status, where string) {
		for i, in := range tx.inputs {
			if from := owner[in]; from.amount > 0 && from.to == watched {
				legs[fmt.Sprintf("%s vin:%d out", tx.hash(), i)] = fmt.Sprintf("%s %d %s", status, from.amount, where)
				if status == "confirmed" {
					balance -= from.amount
				}
			}
		}
		for i, out := range tx.outputs {
			owner[chains.Outpoint{Tx: tx.hash(), Vout: uint32(i)}] = out
			if out.to == watched {
				legs[fmt.Sprintf("%s vout:%d in", tx.hash(), i)] = fmt.Sprintf("%s %d %s", status, out.amount, where)
				if status == "confirmed" {
					balance += out.amount
				}
			}
		}
	}
	for _, b := range m.branch {
		for _, tx := range b.txs {
			replay(tx, "confirmed", b.ref.Hash.String())
		}
	}
	for _, tx := range m.mempool {
		replay(tx, "pending", "")
	}
	return legs, balance
}

// check re-derives every invariant.
func (m *model) check() {
	q := m.b.Pool()
	complete := map[int]int{}
	for n := range modelScripts {
		var id int64
		var history string
		var held bool
		rows, err := q.Query(m.ctx(), `SELECT id, history, EXISTS (SELECT FROM account_scripts WHERE script_id = scripts.id) FROM scripts WHERE chain = $1 AND script = $2`, m.b.chain.Slug, script(n))
		require.NoError(m.t, err)
		there := rows.Next()
		if there {
			require.NoError(m.t, rows.Scan(&id, &history, &held))
		}
		rows.Close()
		if !there || history != "complete" {
			continue
		}
		want, balance := m.expected(n)
		require.Equal(m.t, want, m.alive(id), "script %d", n)
		complete[n] = balance
	}
	m.checkSums()
	m.checkBalances(complete)
	m.checkEvents()
}

func (m *model) alive(scriptID int64) map[string]string {
	rows, err := m.b.Pool().Query(m.ctx(), `
SELECT encode(tx, 'hex') || ' ' || source || ' ' || side, status || ' ' || amount || ' ' || coalesce(encode(block, 'hex'), '')
FROM transfers WHERE script_id = $1 AND status IN ('pending', 'confirmed')`, scriptID)
	require.NoError(m.t, err)
	defer rows.Close()
	legs := map[string]string{}
	for rows.Next() {
		var key, value string
		require.NoError(m.t, rows.Scan(&key, &value))
		legs[key] = value
	}
	require.NoError(m.t, rows.Err())
	return legs
}

func (m *model) count(query string) int {
	var n int
	require.NoError(m.t, m.b.Pool().QueryRow(m.ctx(), query, m.b.chain.Slug).Scan(&n))
	return n
}

func (m *model) checkSums() {
	require.Zero(m.t, m.count(`
SELECT count(*) FROM (
    SELECT w.id, coalesce(sum(CASE t.side WHEN 'in' THEN t.amount ELSE -t.amount END), 0) AS amount
    FROM scripts AS w LEFT JOIN transfers AS t ON t.script_id = w.id AND t.status = 'confirmed'
    WHERE w.chain = $1 GROUP BY w.id
) AS t LEFT JOIN sums AS s ON s.script_id = t.id WHERE t.amount <> coalesce(s.amount, 0)`), "sum of transfers is the balance")
	require.Zero(m.t, m.count(`
SELECT count(*) FROM transfers AS t LEFT JOIN blocks AS b ON b.chain = t.chain AND b.hash = t.block AND b.canonical
WHERE t.chain = $1 AND t.status = 'confirmed' AND b.hash IS NULL`), "confirmed in a canonical block")
}

func (m *model) checkBalances(complete map[int]int) {
	for id, scripts := range m.accounts {
		balance, err := m.b.AccountBalance(m.ctx(), m.b.realm, id)
		require.NoError(m.t, err)
		want, known := 0, true
		for _, n := range scripts {
			amount, ok := complete[n]
			want, known = want+amount, known && ok
		}
		if !known {
			require.NotEqual(m.t, indexer.HistoryComplete, balance.State.History.Status)
			continue
		}
		require.NotNil(m.t, balance.State.LastSync)
		require.Len(m.t, balance.Balances, 1)
		require.Equal(m.t, strconv.Itoa(want), balance.Balances[0].Amount.String())
		require.Equal(m.t, m.tip().Hash, balance.AsOf.Hash)
	}
}

// checkEvents holds the events against the rows: each account has one event for
// each version of a transfer from the first it saw, in order, numbered without a
// hole, each with another status than the one before, the last with the row's.
func (m *model) checkEvents() {
	for {
		n, err := m.b.Number(m.ctx(), m.b.lease.Owner, 100_000)
		require.NoError(m.t, err)
		if n == 0 {
			break
		}
	}
	events, err := m.b.EventsAfter(m.ctx(), m.b.realm, 0, 1_000_000)
	require.NoError(m.t, err)
	type resource struct {
		account uuid.UUID
		id      string
	}
	last, kind := map[resource]int64{}, map[resource]string{}
	for i, e := range events {
		if i > 0 {
			require.Equal(m.t, events[i-1].Seq+1, e.Seq)
		}
		if e.AccountID == nil {
			continue // of custody: checkToldCustody looks at them
		}
		r := resource{*e.AccountID, e.ResourceID}
		if before, seen := last[r]; seen {
			require.Equal(m.t, before+1, e.ResourceVersion)
			if e.Type != "account.synced" {
				require.NotEqual(m.t, kind[r], e.Type)
			}
		} else if m.first[r.account] {
			require.EqualValues(m.t, 1, e.ResourceVersion)
		}
		last[r], kind[r] = e.ResourceVersion, e.Type
	}
	rows, err := m.b.Pool().Query(m.ctx(), `
SELECT l.account_id, t.id::text, t.version, t.status FROM transfers AS t JOIN account_scripts AS l ON l.script_id = t.script_id WHERE t.chain = $1`, m.b.chain.Slug)
	require.NoError(m.t, err)
	defer rows.Close()
	for rows.Next() {
		var r resource
		var version int64
		var status string
		require.NoError(m.t, rows.Scan(&r.account, &r.id, &version, &status))
		if _, told := last[r]; !told {
			require.False(m.t, m.first[r.account], "transfer %s has no event", r.id)
			continue
		}
		require.Equal(m.t, version, last[r])
		require.Equal(m.t, "transfer."+status, kind[r])
	}
	require.NoError(m.t, rows.Err())
}
