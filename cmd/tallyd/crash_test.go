package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
	"tallyd/store"
)

// mortalVariable makes this test program the daemon that its value describes.
const mortalVariable = "TALLYD_TEST_MORTAL"

// TestMain runs the tests, or the daemon a test has started this program for.
func TestMain(m *testing.M) {
	text, child := os.LookupEnv(mortalVariable)
	if !child {
		os.Exit(m.Run())
	}
	if err := liveAndDie(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// mortality is what a daemon that is to die is told.
type mortality struct {
	Database, Node, User, Password string // without a node no chain is followed
	Keyset                         string // that seals signing secrets
	Start                          uint64 // first height followed
	Failpoint                      string // "" lives on
	Armed                          bool   // from the first moment on
	Hold                           bool   // nothing is numbered before it is armed
}

// liveAndDie is the daemon in its own process. It prints its URL when it is
// ready, takes a line of its input as the order to die at the failpoint's hit of
// that number from then on, which it repeats once it obeys, and the end of its
// input as the order to stop.
func liveAndDie(text string) error {
	var m mortality
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return fmt.Errorf("read %s: %w", mortalVariable, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var left atomic.Int64 // hits of the failpoint until the end; 0 while not armed
	if m.Armed {
		left.Store(1)
	}
	go func() {
		defer stop()
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if hits, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil {
				left.Store(hits)
				fmt.Println(hits)
			}
		}
	}()
	failpoint := func(name string) error {
		if m.Hold && left.Load() == 0 && strings.HasPrefix(name, "number.") {
			return errors.New("held by the test")
		}
		if name == m.Failpoint && left.Load() > 0 && left.Add(-1) == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing is done after the last moment
		}
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	log := zerolog.Nop()
	if os.Getenv("TALLYD_TEST_LOG") != "" {
		log = zerolog.New(os.Stderr).With().Timestamp().Str("dies_at", m.Failpoint).Logger()
	}
	return run(ctx, m.config(), listener, log, failpoint, func(*daemon) {
		fmt.Println("http://" + listener.Addr().String())
	})
}

func (m mortality) config() config.Config {
	cfg := config.Config{Chains: map[string]config.Chain{}, Venues: config.DefaultVenues()}
	if m.Node != "" {
		chain := bitcoinChain(&localnode.Bitcoin{URL: m.Node, User: m.User, Password: m.Password})
		chain.StartHeight, chain.GapLimit = config.StartAt(m.Start), 3
		cfg.Chains["btc"] = chain
	}
	cfg.Secrets.Keyset, cfg.Webhooks = config.NewSecret(m.Keyset), loopback()
	cfg.Database = config.Database{URL: config.NewURL(m.Database), Pooler: "session", MaxConns: 5}
	cfg.API = config.API{
		MasterKey: config.NewSecret(testMaster), KeyPepper: config.NewSecret(testPepper),
		JWTSeed: config.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 32))), BodyLimit: 64 << 10,
	}
	return cfg
}

// mortal is a daemon in a process of its own, which dies at one commit boundary
// and is started again to live.
type mortal struct {
	*stack
	mortality
	verb     string
	hits     int64 // of the failpoint, once armed, until it dies
	died     int
	command  *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Reader
	errors   *bytes.Buffer
	accounts []account
}

// begin starts the process.
func (m *mortal) begin() {
	m.t.Helper()
	settings, err := json.Marshal(m.mortality)
	require.NoError(m.t, err)
	program, err := os.Executable()
	require.NoError(m.t, err)
	// It ends when its input does: also when this test is killed.
	m.command = exec.CommandContext(context.WithoutCancel(m.t.Context()), program)
	m.command.Env = append(os.Environ(), mortalVariable+"="+string(settings))
	m.errors = new(bytes.Buffer)
	m.command.Stderr = m.errors
	if os.Getenv("TALLYD_TEST_LOG") != "" {
		m.command.Stderr = os.Stderr
	}
	m.in, err = m.command.StdinPipe()
	require.NoError(m.t, err)
	out, err := m.command.StdoutPipe()
	require.NoError(m.t, err)
	require.NoError(m.t, m.command.Start())
	m.out = bufio.NewReader(out)
}

// await reads where the process serves.
func (m *mortal) await() {
	m.t.Helper()
	line, err := m.out.ReadString('\n')
	require.NoError(m.t, err, "%s: %s", m.Failpoint, m.errors)
	m.url = strings.TrimSpace(line)
}

// arm makes the failpoint deadly: when it returns, the process knows.
func (m *mortal) arm() {
	m.t.Helper()
	_, err := fmt.Fprintln(m.in, m.hits)
	require.NoError(m.t, err)
	line, err := m.out.ReadString('\n')
	if errors.Is(err, io.EOF) {
		return // it died of it before it could say so
	}
	require.NoError(m.t, err, "%s: %s", m.Failpoint, m.errors)
	require.Equal(m.t, fmt.Sprintln(m.hits), line)
}

// dead waits until the process has died where it should, and starts another.
func (m *mortal) dead() {
	m.t.Helper()
	timer := time.AfterFunc(patience, func() { _ = m.command.Process.Signal(syscall.SIGTERM) })
	err := m.command.Wait()
	timer.Stop()
	var exit *exec.ExitError
	require.ErrorAs(m.t, err, &exit, "%s", m.Failpoint)
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(m.t, ok)
	require.Equal(m.t, syscall.SIGKILL, status.Signal(), "%s was not reached: %s", m.Failpoint, m.errors)
	m.died++
	m.Failpoint, m.Armed, m.Hold = "", false, false
	m.begin()
	m.await()
}

// end stops the process in good order.
func (m *mortal) end() {
	m.t.Helper()
	require.NoError(m.t, m.in.Close())
	require.NoError(m.t, m.command.Wait(), "%s", m.errors)
}

// ask is one request that may find the daemon dying: then it says so.
func (m *mortal) ask(method, path, header, value string, body any) (status int, answer map[string]any, dying bool) {
	m.t.Helper()
	var raw bytes.Buffer
	if body != nil {
		require.NoError(m.t, json.NewEncoder(&raw).Encode(body))
	}
	request, err := http.NewRequestWithContext(m.t.Context(), method, m.url+path, &raw)
	require.NoError(m.t, err)
	request.Header.Set(header, value)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, true
	}
	defer response.Body.Close()
	if json.NewDecoder(response.Body).Decode(&answer) != nil {
		return 0, nil, true
	}
	return response.StatusCode, answer, false
}

// attach connects a wallet, however often the daemon dies of it.
func (m *mortal) attach(token, wallet string) {
	m.t.Helper()
	header := "Bearer " + token
	var status int
	var answer map[string]any
	until(m.t, "the chain is open", func() (open bool) {
		var dying bool
		status, answer, dying = m.ask("POST", "/v1/onchain/btc/connect", "Authorization", header, map[string]string{"wallet": wallet})
		if dying {
			m.dead()
		}
		return !dying && status != http.StatusServiceUnavailable
	})
	if status == http.StatusOK {
		m.accounts = append(m.accounts, account{s: m.stack, id: answer["id"].(string), chain: "btc", token: token})
		return
	}
	// Whether it was committed is not known to one whose answer was lost.
	require.Equal(m.t, "wallet_connected", answer["code"], answer)
	status, list := m.call("GET", "/v1/aggregate/accounts", "Authorization", header, nil)
	require.Equal(m.t, http.StatusOK, status, list)
	listed := list["list"].([]any)
	last := listed[len(listed)-1].(map[string]any)
	require.Equal(m.t, wallet, last["wallet"])
	m.accounts = append(m.accounts, account{s: m.stack, id: last["id"].(string), chain: "btc", token: token})
}

// until waits until done is true, in the test's own goroutine: done may fail it.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			require.Fail(t, "not in time: "+what)
		}
	}
}

// elsewhere are the transactions that the history here does not come to, and why.
func elsewhere() map[string]string {
	const venue = "accounts at venues have a history of their own: the poller dies at each of these in the tests of jobs"
	const custody = "the wallets of custody have a history of their own: store dies at each of these, and in its model of custody"
	return map[string]string{
		"rebase": "the node would have to lose its chain: store tests it, and the tests of dev",
		"sync":   venue, "end_turn": venue, "replace_login": venue, "resume_stream": venue,

		"delete_account": "no account is ended in this history: store tests it",

		"change_key": "no key is changed in this history: store tests it",

		"create_vault": custody, "set_vault_status": custody, "register_key": custody, "set_treasury": custody,
		"register_addresses": custody, "create_wallet": custody, "create_address": custody, "transfer": custody,
		"add_entry": custody, "remove_entry": custody, "set_policy": custody, "resume": custody,
		"withdraw": custody, "move_within": custody, "take_turn": custody, "put_draft": custody, "decline": custody, "accept": custody,
		"cancel": custody, "bump": custody, "settle_withdrawal": custody,
	}
}

// deaths are the transactions at whose boundaries daemons die here, and at which
// of their hits.
func deaths() []mortal {
	return []mortal{
		{verb: "register", hits: 1},
		{verb: "create_account", hits: 1},
		{verb: "fill", hits: 1}, // what was found
		{verb: "fill", hits: 2}, // that it is complete
		{verb: "amend", hits: 1},
		{verb: "extend", hits: 1},
		{verb: "apply", hits: 1},
		{verb: "revert", hits: 1},
		{verb: "number", hits: 1},
		{verb: "delete_user", hits: 1},
	}
}

// TestEveryFailpointIsDiedAt holds the list of commit boundaries against what dies
// here. Each of the tests takes all boundaries of its transactions.
func TestEveryFailpointIsDiedAt(t *testing.T) {
	t.Parallel()
	known, died := map[string]bool{}, map[string]bool{}
	for _, failpoint := range store.Failpoints() {
		verb, _, _ := strings.Cut(failpoint, ".")
		known[verb] = true
	}
	for _, death := range deaths() {
		died[death.verb] = true
	}
	for verb := range postDeaths() {
		died[verb] = true
	}
	for verb := range elsewhere() {
		require.False(t, died[verb], verb)
		died[verb] = true
	}
	require.Equal(t, known, died)
}

// TestCrashes lets a daemon die at every commit boundary, start again, and be
// none the worse for it. One history is followed by as many daemons as there are
// deaths, each with a database of its own. Ten daemons are load enough for a small
// machine, so the boundaries come one after another.
func TestCrashes(t *testing.T) {
	t.Parallel()
	for name, boundary := range map[string]string{ //nolint:paralleltest // see above
		"BeforeBegin": store.BeforeBegin, "BeforeCommit": store.BeforeCommit, "AfterCommit": store.AfterCommit,
	} {
		t.Run(name, func(t *testing.T) {
			w := newCemetery(t, boundary)
			w.connect()
			w.unconfirmed()
			w.mined()
			w.reorganised()
			w.numbered()
			w.deleted()
			w.examine()
		})
	}
}

// cemetery is a node and the daemons that follow it until they die, and after.
type cemetery struct {
	*bitcoinWorld // without a daemon of its own
	all           []*mortal
	descriptor    string
	scripts       [][]byte // of the descriptor, by index
}

// newCemetery starts the daemons on a chain that has paid everybody already.
func newCemetery(t *testing.T, boundary string) *cemetery {
	t.Helper()
	node, miner := localnode.TestBitcoind(t)
	ann, err := localnode.NewWallet("ann", node.Params)
	require.NoError(t, err)
	w := &cemetery{bitcoinWorld: &bitcoinWorld{stack: &stack{t: t}, node: node, miner: miner, people: []*localnode.Wallet{ann}}}
	w.generate(110)
	w.derive()
	w.pay(1_000_000, 0)
	w.payScript(700_000, 0)
	w.generate(2)
	height, err := node.Height(t.Context())
	require.NoError(t, err)
	for _, m := range deaths() {
		if !slices.Contains(store.Failpoints(), m.verb+boundary) {
			continue // nothing of ours runs there
		}
		m.stack = &stack{t: t}
		m.mortality = mortality{
			Database: migratedDatabase(t), Node: node.URL, User: node.User, Password: node.Password, Start: uint64(height),
			Failpoint: m.verb + boundary, Armed: m.verb == "register", Hold: m.verb == "number",
		}
		m.begin()
		w.all = append(w.all, &m)
		t.Cleanup(func() { _ = m.in.Close() })
	}
	for _, m := range w.all {
		if m.Armed {
			m.dead()
		} else {
			m.await()
		}
	}
	return w
}

// derive asks the node for the scripts of the descriptor.
func (w *cemetery) derive() {
	w.t.Helper()
	// The account key of BIP 84's test vectors, as a test network spells it.
	const tpub = "tpubDC5FSnBiZDMmhiuCmWAYsLwgLYrrT9rAqvTySfuCCrgsWz8wxMXUS9Tb9iVMvcRbvFcAHGkMD5Kx8koh4GquNGNTfohfk7pgjhaPCdXpoba"
	var info struct{ Descriptor string }
	require.NoError(w.t, w.node.Call(w.t.Context(), "getdescriptorinfo", &info, "wpkh("+tpub+"/0/*)"))
	w.descriptor = info.Descriptor
	var addresses []string
	require.NoError(w.t, w.node.Call(w.t.Context(), "deriveaddresses", &addresses, info.Descriptor, []int{0, 11}))
	for _, address := range addresses {
		var valid struct {
			Script string `json:"scriptPubKey"`
		}
		require.NoError(w.t, w.node.Call(w.t.Context(), "validateaddress", &valid, address))
		script, err := hex.DecodeString(valid.Script)
		require.NoError(w.t, err)
		w.scripts = append(w.scripts, script)
	}
}

// payScript pays the descriptor's script of an index.
func (w *cemetery) payScript(amount int64, index int) {
	w.t.Helper()
	_, err := w.miner.Pay(w.t.Context(), w.node, localnode.Payment{To: []*wire.TxOut{wire.NewTxOut(amount, w.scripts[index])}})
	require.NoError(w.t, err)
}

// arm makes those daemons die that are to die of a verb.
func (w *cemetery) arm(verbs ...string) {
	w.t.Helper()
	for _, m := range w.all {
		if slices.Contains(verbs, m.verb) {
			m.arm()
		}
	}
}

// bury waits for the deaths that were armed, and starts the dead again.
func (w *cemetery) bury(verbs ...string) {
	w.t.Helper()
	for _, m := range w.all {
		if slices.Contains(verbs, m.verb) && m.died == 0 {
			m.dead()
		}
	}
}

// connect connects an address and a descriptor that have been paid.
func (w *cemetery) connect() {
	w.t.Helper()
	for _, m := range w.all {
		_, token := m.user()
		if m.verb == "create_account" || m.verb == "fill" {
			m.arm()
		}
		m.attach(token, w.people[0].Address(localnode.P2WPKH))
		m.attach(token, w.descriptor)
	}
	w.bury("create_account", "fill")
	w.check("connected")
}

// unconfirmed pays what stays in the mempool, and moves the descriptor's window.
func (w *cemetery) unconfirmed() {
	w.t.Helper()
	w.arm("amend", "extend")
	w.pay(20_000, 0)
	w.payScript(30_000, 2)
	w.bury("amend", "extend")
	w.pending("paid", "20000", "30000")
}

func (w *cemetery) mined() {
	w.t.Helper()
	w.arm("apply")
	w.generate(1)
	w.bury("apply")
	w.check("mined")
	// A script that is watched only because the window moved.
	tx, err := w.people[0].Pay(w.t.Context(), w.node, localnode.Payment{To: []*wire.TxOut{wire.NewTxOut(5_000, w.scripts[5])}})
	require.NoError(w.t, err)
	require.NotNil(w.t, tx)
	w.generate(1)
	w.check("spent")
}

func (w *cemetery) reorganised() {
	w.t.Helper()
	w.arm("revert")
	w.replace(2, 3)
	w.bury("revert")
	w.check("reorganised")
	w.generate(1)
	w.check("mined again")
}

// numbered lets the events be numbered that were held back until now.
func (w *cemetery) numbered() {
	w.t.Helper()
	w.arm("number")
	w.bury("number")
}

// deleted deletes a user who holds nothing.
func (w *cemetery) deleted() {
	w.t.Helper()
	ben, err := localnode.NewWallet("ben", w.node.Params)
	require.NoError(w.t, err)
	for _, m := range w.all {
		if m.verb != "delete_user" {
			continue
		}
		id, token := m.user()
		m.attach(token, ben.Address(localnode.P2WPKH))
		m.accounts = m.accounts[:len(m.accounts)-1]
		m.arm()
		status, answer, dying := m.ask("DELETE", "/v1/users/"+id, "X-API-Key", testMaster, nil)
		require.True(w.t, dying, "%d %v", status, answer)
		m.dead()
		status, answer, _ = m.ask("DELETE", "/v1/users/"+id, "X-API-Key", testMaster, nil)
		require.Contains(w.t, []int{http.StatusOK, http.StatusNoContent, http.StatusNotFound}, status, answer)
		status, answer, _ = m.ask("GET", "/v1/users/"+id, "X-API-Key", testMaster, nil)
		require.Equal(w.t, http.StatusNotFound, status, answer)
	}
}

// check waits until every daemon is level with the node, and compares its
// balances with the oracle.
func (w *cemetery) check(what string) {
	w.t.Helper()
	tip, err := w.node.Tip(w.t.Context())
	require.NoError(w.t, err)
	sums := oracle(w.t.Context(), w.t, w.node, append([][]byte{w.people[0].Script(localnode.P2WPKH)}, w.scripts...)...)
	want := [2]int64{sums[0]}
	for _, sum := range sums[1:] {
		want[1] += sum
	}
	for _, m := range w.all {
		for i, a := range m.accounts {
			var got held
			until(w.t, fmt.Sprintf("%s: account %d of the one that dies of %s is level", what, i, m.verb), func() bool {
				got = a.balance()
				return got.level && got.asOf == tip.String()
			})
			require.Equal(w.t, strconv.FormatInt(want[i], 10), total(got.amounts), "%s: account %d of the one that dies of %s", what, i, m.verb)
		}
	}
}

// pending waits until every daemon sees what is unconfirmed.
func (w *cemetery) pending(what string, amounts ...string) {
	w.t.Helper()
	for _, m := range w.all {
		for i, a := range m.accounts {
			until(w.t, fmt.Sprintf("%s: account %d of the one that dies of %s has it pending", what, i, m.verb), func() bool {
				return total(a.balance().pending) == amounts[i]
			})
		}
	}
}

// rules are what must hold in every ledger: each counts what breaks it.
func rules() map[string]string {
	return map[string]string{
		"balances are the sums of confirmed transfers": `
			SELECT count(*) FROM (
				SELECT script_id, asset_id, sum(CASE side WHEN 'in' THEN amount ELSE -amount END) AS total
				FROM transfers WHERE status = 'confirmed' GROUP BY script_id, asset_id
			) AS t FULL JOIN sums AS s USING (script_id, asset_id)
			WHERE coalesce(t.total, 0) <> coalesce(s.amount, 0)`,
		"the tip is the last block": `
			SELECT count(*) FROM cursors AS c WHERE c.hash IS DISTINCT FROM (
				SELECT b.hash FROM blocks AS b WHERE b.chain = c.chain AND b.canonical ORDER BY b.height DESC LIMIT 1)`,
		"each block follows the one below": `
			SELECT count(*) FROM blocks AS b JOIN cursors AS c USING (chain)
			LEFT JOIN blocks AS p ON p.chain = b.chain AND p.hash = b.parent AND p.canonical AND p.height = b.height - 1
			WHERE b.canonical AND b.height > c.first_height AND p.hash IS NULL`,
		"confirmed transfers stand in canonical blocks": `
			SELECT count(*) FROM transfers AS t
			LEFT JOIN blocks AS b ON b.chain = t.chain AND b.hash = t.block AND b.canonical AND b.height = t.height
			WHERE t.status = 'confirmed' AND b.hash IS NULL`,
		"each version of each transfer has one event for each account": `
			SELECT count(*) FROM (
				SELECT l.account_id, t.id::text AS id, v FROM transfers AS t JOIN account_scripts AS l USING (script_id)
				CROSS JOIN LATERAL generate_series(1, t.version) AS v
			) AS due FULL JOIN (
				SELECT account_id, resource_id AS id, resource_version AS v, count(*) AS n
				FROM events WHERE type LIKE 'transfer.%' GROUP BY account_id, resource_id, resource_version
			) AS told USING (account_id, id, v)
			WHERE due.v IS NULL OR told.n IS DISTINCT FROM 1`,
		"the last event of a transfer tells how it is": `
			SELECT count(*) FROM transfers AS t JOIN account_scripts AS l USING (script_id)
			JOIN events AS e ON e.account_id = l.account_id AND e.resource_id = t.id::text AND e.resource_version = t.version
			WHERE e.type <> 'transfer.' || t.status OR (e.data->>'amount')::numeric <> t.amount`,
		"each version of an account has one event": `
			SELECT count(*) FROM (
				SELECT id, v FROM accounts CROSS JOIN LATERAL generate_series(1, version) AS v WHERE deleted_at IS NULL
			) AS due FULL JOIN (
				SELECT e.account_id AS id, e.resource_version AS v, count(*) AS n FROM events AS e
				JOIN accounts AS a ON a.id = e.account_id AND a.deleted_at IS NULL
				WHERE e.type LIKE 'account.%' GROUP BY 1, 2
			) AS told USING (id, v)
			WHERE due.v IS NULL OR told.n IS DISTINCT FROM 1`,
		"the numbers of events have no gap": `
			SELECT (count(*) <> coalesce(max(seq), 0) OR count(*) <> count(seq) OR count(*) <> max(s.last))::int
			FROM events CROSS JOIN sequencer AS s`,
		"numbers follow versions": `
			SELECT count(*) FROM (
				SELECT seq, lag(seq) OVER (PARTITION BY account_id, resource_id ORDER BY resource_version) AS before FROM events
			) AS e WHERE before > seq`,
	}
}

// examine stops the daemons and looks into their ledgers.
func (w *cemetery) examine() {
	w.t.Helper()
	ctx := w.t.Context()
	for _, m := range w.all {
		require.Equal(w.t, 1, m.died, "deaths at %s", m.verb)
		conn, err := pgx.Connect(ctx, m.Database)
		require.NoError(w.t, err)
		count := func(sql string) (n int) {
			require.NoError(w.t, conn.QueryRow(ctx, sql).Scan(&n), sql)
			return n
		}
		until(w.t, "all events of the one that died of "+m.verb+" are numbered", func() bool {
			return count("SELECT count(*) FROM events WHERE seq IS NULL") == 0
		})
		m.end()
		for rule, broken := range rules() {
			require.Zero(w.t, count(broken), "died of %s: %s", m.verb, rule)
		}
		require.NotZero(w.t, count("SELECT count(*) FROM events WHERE type = 'transfer.orphaned'"))
		require.NoError(w.t, conn.Close(ctx))
	}
}
