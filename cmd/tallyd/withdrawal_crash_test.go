package main

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/store"
	"tallyd/store/secret"
)

// payDeaths are the transactions of withdrawals at whose boundaries daemons die
// here.
func payDeaths() []string {
	return []string{"withdraw", "take_turn", "put_draft", "accept", "settle_withdrawal", "bump", "cancel", "decline"}
}

// payer is a daemon that pays and dies of it, and its custody backend.
type payer struct {
	*mortal
	*teller

	friend  *localnode.Wallet
	wallet  map[string]any
	started string // the withdrawal that is followed to its end
}

// TestWithdrawalCrashes lets daemons die by SIGKILL at every commit boundary of a
// withdrawal's road, and others carry on: whoever is to be paid is paid once.
func TestWithdrawalCrashes(t *testing.T) {
	t.Parallel()
	for name, boundary := range map[string]string{ //nolint:paralleltest // eight daemons are load enough
		"BeforeBegin": store.BeforeBegin, "BeforeCommit": store.BeforeCommit, "AfterCommit": store.AfterCommit,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, boundary)
			h.paid()
			h.replaced()
			h.completed()
			h.cancelled()
			h.declined()
			h.examined()
		})
	}
}

// house is a node and the daemons that pay on it.
type house struct {
	t     *testing.T
	world *bitcoinWorld
	all   []*payer
}

func newHouse(t *testing.T, boundary string) *house {
	t.Helper()
	node, miner := localnode.TestBitcoind(t)
	h := &house{t: t, world: &bitcoinWorld{stack: &stack{t: t}, node: node, miner: miner}}
	h.world.generate(130)
	for _, verb := range payDeaths() {
		keyset, err := secret.New()
		require.NoError(t, err)
		p := &payer{mortal: &mortal{stack: &stack{t: t}, verb: verb, hits: 1, mortality: mortality{
			Database: migratedDatabase(t), Node: node.URL, User: node.User, Password: node.Password, Keyset: keyset, Failpoint: verb + boundary,
		}}}
		p.teller = &teller{t: t, url: func() string { return p.mortal.url }, signer: newSigner(t)}
		p.friend, err = localnode.NewWallet("friend of "+verb+boundary, node.Params)
		require.NoError(t, err)
		p.begin()
		t.Cleanup(func() { _ = p.in.Close() })
		p.mortal.await()
		h.all = append(h.all, p)
	}
	for _, p := range h.all {
		p.prepare()
		for range 2 {
			h.world.send(miner, localnode.Payment{}, h.world.scriptOf(p.wallet["depositAddress"].(string)), 100_000_000)
		}
	}
	h.world.generate(3)
	for _, p := range h.all {
		p.awaitHolds(p.wallet, "2 0")
	}
	return h
}

// prepare does everything that a withdrawal needs.
func (p *payer) prepare() {
	t := p.t
	t.Helper()
	until(t, "the chain is open", func() bool {
		status, _ := p.do("PUT", "/v1/custody/keys/btc", map[string]any{"key": p.signer.key("btc")})
		return status == http.StatusOK
	})
	p.must("POST", "/address-book", map[string]any{"network": "btc", "address": p.friend.Address(localnode.P2WPKH)})
	assets := p.must("GET", "/assets", nil)["assets"].([]any)
	p.wallet = p.open(assets[0].(map[string]any)["id"].(string))
}

// insist calls until somebody answers, with one Idempotency-Key.
func (p *payer) insist(path string, body any) map[string]any {
	t := p.t
	t.Helper()
	key := uuid.NewString()
	var answer map[string]any
	until(t, path+" is answered", func() bool {
		status, got, err := p.try("POST", path, key, body)
		if err != nil {
			p.dead()
			return false
		}
		answer = got
		require.True(t, status < 300 || status == http.StatusServiceUnavailable, "%s: %d %v", path, status, got)
		return status < 300
	})
	return answer
}

// doom makes those daemons die that are to die of one of verbs, while each of all
// does something.
func (h *house) doom(act func(p *payer), verbs ...string) {
	h.t.Helper()
	for _, p := range h.all {
		if slices.Contains(verbs, p.verb) {
			p.arm()
		}
		act(p)
	}
	for _, p := range h.all {
		if slices.Contains(verbs, p.verb) && p.died == 0 {
			p.dead()
		}
	}
}

func (p *payer) orders(amount string) string {
	p.t.Helper()
	return p.insist("/transactions/withdraw", order(p.wallet, p.friend.Address(localnode.P2WPKH), amount))["id"].(string)
}

// signs signs what waits, however often the daemon dies of being told.
func (p *payer) signs(id string) {
	p.t.Helper()
	p.insist("/transactions/"+id+"/signing", p.signer.sign(p.signing(id)))
}

func (h *house) paid() {
	h.t.Helper()
	h.doom(func(p *payer) { p.started = p.orders("0.5") }, "withdraw", "take_turn", "put_draft")
	h.doom(func(p *payer) { p.signs(p.started) }, "accept", "settle_withdrawal")
	for _, p := range h.all {
		p.teller.await(p.started, "Confirming")
	}
}

func (h *house) replaced() {
	h.t.Helper()
	h.doom(func(p *payer) { p.insist("/transactions/"+p.started+"/bump", nil) }, "bump")
	for _, p := range h.all {
		p.teller.await(p.started, "Confirming", "replacement_unsigned")
		p.signs(p.started)
	}
}

func (h *house) completed() {
	h.t.Helper()
	for _, p := range h.all {
		until(h.t, "the node has the replacement", func() bool {
			ids, err := h.world.node.Mempool(h.t.Context())
			require.NoError(h.t, err)
			return slices.Contains(ids, p.get(p.started)["txHash"].(string))
		})
	}
	h.world.generate(3)
	for _, p := range h.all {
		p.teller.await(p.started, "Completed")
		require.Equal(h.t, "1.5 0", p.holds(p.wallet))
	}
}

func (h *house) cancelled() {
	h.t.Helper()
	ids := map[*payer]string{}
	for _, p := range h.all {
		ids[p] = p.orders("0.25")
		p.signing(ids[p])
	}
	h.doom(func(p *payer) { p.insist("/transactions/"+ids[p]+"/cancel", nil) }, "cancel")
	for _, p := range h.all {
		p.teller.await(ids[p], "Cancelled")
		require.Equal(h.t, "1.5 0", p.holds(p.wallet))
	}
}

// declined orders what the pool has no coins for: the fee is missing.
func (h *house) declined() {
	h.t.Helper()
	ids := map[*payer]string{}
	h.doom(func(p *payer) { ids[p] = p.orders("1.5") }, "decline")
	for _, p := range h.all {
		p.teller.await(ids[p], "Submitted", "pool_low")
	}
}

// examined stops the daemons and looks into their ledgers, and at the chain.
func (h *house) examined() {
	h.t.Helper()
	for _, p := range h.all {
		require.Equal(h.t, 1, p.died, "deaths at %s", p.verb)
		p.end()
		require.Equal(h.t, int64(50_000_000), oracle(h.t.Context(), h.t, h.world.node, p.friend.Script(localnode.P2WPKH))[0], "died of %s", p.verb)
		s, err := store.Open(h.t.Context(), store.Options{URL: p.Database, Log: zerolog.Nop()})
		require.NoError(h.t, err)
		addsUp(h.t, s, "died of "+p.verb)
		s.Close()
	}
}
