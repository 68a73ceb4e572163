package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"tallyd/chains/localnode"
	"tallyd/config"
)

// benchAccounts is how many accounts are asked for, each of its own user.
const benchAccounts = 500

// BenchmarkBalance asks a whole daemon over HTTP for one account's balance, on
// connections that stay open, as many clients as TALLYD_BENCH_CLIENTS says (32),
// each its next question as soon as it has an answer. The clients share the
// processors with the daemon and Postgres. Every answer has to be a balance.
func BenchmarkBalance(b *testing.B) {
	b.Run("bitcoin", func(b *testing.B) {
		node, miner := localnode.TestBitcoind(b)
		_, err := node.Generate(b.Context(), 110)
		require.NoError(b, err)
		s := newStack(b, map[string]config.Chain{"btc": bitcoinChain(node)})
		var payment localnode.Payment
		var wallets []string
		for n := range benchAccounts {
			wallet, err := localnode.NewWallet(fmt.Sprint("bench ", n), node.Params)
			require.NoError(b, err)
			wallets = append(wallets, wallet.Address(localnode.P2WPKH))
			payment.To = append(payment.To, wire.NewTxOut(int64(10_000+n), wallet.Script(localnode.P2WPKH)))
		}
		payment.Fee = 1_000_000
		_, err = miner.Pay(b.Context(), node, payment)
		require.NoError(b, err)
		_, err = node.Generate(b.Context(), 1)
		require.NoError(b, err)
		benchmarkBalance(b, s, "btc", wallets)
	})
	b.Run("evm", func(b *testing.B) {
		node := localnode.TestAnvil(b)
		token, err := node.DeployToken(b.Context(), localnode.Token{Symbol: "TST", Decimals: 6, Supply: big.NewInt(1e15)})
		require.NoError(b, err)
		s := newStack(b, map[string]config.Chain{"eth": ethereumChain(b, node, token)})
		var wallets []string
		for n := range benchAccounts {
			wallets = append(wallets, fmt.Sprintf("0x%040x", 0xbeef0000+n))
		}
		benchmarkBalance(b, s, "eth", wallets)
	})
}

func benchmarkBalance(b *testing.B, s *stack, chain string, wallets []string) {
	b.Helper()
	s.cfg.Database.MaxConns = 20 // the default
	s.log = io.Discard           // written, as in production
	s.start()
	accounts := make([]account, 0, len(wallets))
	for _, wallet := range wallets {
		accounts = append(accounts, s.connect(chain, wallet))
	}
	requests := make([][]byte, 0, len(wallets))
	for _, a := range accounts {
		s.eventually("a balance is there", func() bool { return a.balance().level })
		requests = append(requests, fmt.Appendf(nil, "GET /v1/onchain/%s/account/%s/balance HTTP/1.1\r\nHost: tallyd\r\nAuthorization: Bearer %s\r\n\r\n", chain, a.id, a.token))
	}
	beside(b, s, chain)
	clients := 32
	if text := os.Getenv("TALLYD_BENCH_CLIENTS"); text != "" {
		var err error
		clients, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	address := strings.TrimPrefix(s.url, "http://")
	took := make([][]time.Duration, clients)
	var next atomic.Int64
	var group errgroup.Group
	self, servers := usedBy(b, s)
	b.ResetTimer()
	for c := range clients {
		group.Go(func() (err error) {
			took[c], err = askAll(b, address, requests, &next)
			return err
		})
	}
	require.NoError(b, group.Wait())
	b.StopTimer()
	selfAfter, serversAfter := usedBy(b, s)
	all := slices.Concat(took...)
	slices.Sort(all)
	require.Len(b, all, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1e3, "p99-ms")
	b.ReportMetric(float64(all[len(all)-1].Microseconds())/1e3, "max-ms")
	b.ReportMetric(float64((selfAfter-self).Microseconds())/float64(b.N), "cpu-self-µs")
	var postgres time.Duration
	for id, used := range serversAfter {
		postgres += used - servers[id]
	}
	b.ReportMetric(float64(postgres.Microseconds())/float64(b.N), "cpu-postgres-µs")
}

// beside fills the ledger with others, so that it is as large as ledgers are, and
// lets Postgres look at it, as it does by itself within minutes.
func beside(b *testing.B, s *stack, chain string) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), s.cfg.Database.URL.Reveal())
	require.NoError(b, err)
	defer conn.Close(b.Context())
	for _, sql := range []string{
		`INSERT INTO users (id, tenant, environment, name) SELECT gen_random_uuid(), 'default', 'test', 'other ' || n FROM generate_series(1, 50000) AS n`,
		`INSERT INTO scripts (chain, script, address, watch_version, handover, history, history_from)
			SELECT '` + chain + `', sha256(n::text::bytea), 'other ' || n, 1, 0, 'complete', 0 FROM generate_series(1, 100000) AS n`,
		`INSERT INTO accounts (id, tenant, environment, user_id, chain, kind, wallet, wallet_digest, name, description, synced_at)
			SELECT gen_random_uuid(), 'default', 'test', u.id, '` + chain + `', 'address', s.address, s.digest, '', '', now()
			FROM (SELECT address, digest, row_number() OVER (ORDER BY id) AS n FROM scripts WHERE address LIKE 'other %') AS s
			JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM users WHERE name LIKE 'other %') AS u ON u.n = (s.n + 1) / 2`,
		`INSERT INTO account_scripts (account_id, script_id, tenant, environment, branch, index)
			SELECT a.id, s.id, 'default', 'test', 0, 0 FROM accounts AS a JOIN scripts AS s ON s.address = a.wallet AND s.address LIKE 'other %'`,
		`INSERT INTO sums (script_id, asset_id, amount) SELECT s.id, x.id, s.id FROM scripts AS s JOIN assets AS x ON x.chain = s.chain WHERE s.address LIKE 'other %'`,
		`ANALYZE`,
	} {
		_, err := conn.Exec(b.Context(), sql)
		require.NoError(b, err, sql)
	}
}

// usedBy returns the processor time of this process, clients and daemon, and of
// each server of the daemon's connections.
func usedBy(b *testing.B, s *stack) (self time.Duration, servers map[string]time.Duration) {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	self = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	at, err := pgx.ParseConfig(s.cfg.Database.URL.Reveal())
	require.NoError(b, err)
	servers = map[string]time.Duration{}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(b, err)
	for _, file := range files {
		title, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(title, []byte("postgres: ")) || !bytes.Contains(title, []byte(" "+at.Database+" ")) {
			continue // another one, or it has ended meanwhile
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(file), "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		for _, n := range []int{11, 12} { // utime and stime
			ticks, err := strconv.Atoi(fields[n])
			require.NoError(b, err)
			const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
			servers[filepath.Dir(file)] += time.Duration(ticks) * tick
		}
	}
	return self, servers
}

// askAll is one client. It reads no more of an answer than it needs to know that
// it is whole and right, so that it costs little beside the daemon.
func askAll(b *testing.B, address string, requests [][]byte, next *atomic.Int64) ([]time.Duration, error) {
	b.Helper()
	conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var took []time.Duration
	for {
		n := next.Add(1)
		if n > int64(b.N) {
			return took, nil
		}
		began := time.Now()
		if _, err := conn.Write(requests[n%int64(len(requests))]); err != nil {
			return nil, fmt.Errorf("ask: %w", err)
		}
		body, err := readAnswer(in)
		if err != nil {
			return nil, fmt.Errorf("read an answer: %w", err)
		}
		took = append(took, time.Since(began))
		if !bytes.Contains(body, []byte(`"status":"level"`)) || bytes.Contains(body, []byte(`"last_sync":null`)) {
			return nil, fmt.Errorf("the answer is no balance: %s", body)
		}
	}
}

// readAnswer reads an answer that says how long it is, and returns its body if its
// status is 200.
func readAnswer(in *bufio.Reader) ([]byte, error) {
	status, length := "", 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		line = strings.TrimSpace(line)
		if line == "" {
			break
		}
		if status == "" {
			status = line
		}
		if text, found := strings.CutPrefix(line, "Content-Length: "); found {
			if length, err = strconv.Atoi(text); err != nil {
				return nil, err
			}
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, err
	}
	if status != "HTTP/1.1 200 OK" {
		return nil, fmt.Errorf("%s: %s", status, body)
	}
	return body, nil
}
