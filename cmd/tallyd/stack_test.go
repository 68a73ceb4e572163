package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/config"
	"tallyd/migrations"
	"tallyd/store"
	"tallyd/store/embedded"
	"tallyd/store/secret"
)

const (
	testMaster = "master key of the tests"
	testPepper = "pepper of the tests"
)

// patience is how long anything the daemon does by itself may take in a test, on
// a machine that does other things too.
const patience = 2 * time.Minute

// stack is a whole daemon in this process, on a database of its own.
type stack struct {
	t      testing.TB
	cfg    config.Config
	url    string // of the API, while it runs
	tenant string // of calls with the master key; "" for the default
	stop   func()

	daemon *daemon   // once started
	log    io.Writer // where it logs, everything; nil for nowhere
}

// newStack returns a stack that is not started yet, with test chains.
func newStack(t testing.TB, chains map[string]config.Chain) *stack {
	t.Helper()
	cfg := config.Config{Listen: "127.0.0.1:0", Chains: chains, Venues: config.DefaultVenues()}
	cfg.Database = config.Database{URL: config.NewURL(migratedDatabase(t)), Pooler: "session", MaxConns: 8}
	cfg.Redis.URL = config.NewURL(embedded.TestRedis(t))
	cfg.API = config.API{
		MasterKey: config.NewSecret(testMaster), KeyPepper: config.NewSecret(testPepper),
		JWTSeed: config.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 32))), BodyLimit: 64 << 10,
	}
	keyset, err := secret.New()
	require.NoError(t, err)
	cfg.Secrets.Keyset = config.NewSecret(keyset)
	return &stack{t: t, cfg: cfg}
}

// migratedDatabase returns the URL of a fresh database with our schema.
func migratedDatabase(t testing.TB) string {
	t.Helper()
	sum := sha256.New()
	names, err := fs.Glob(migrations.Files, "*.sql")
	require.NoError(t, err)
	for _, name := range names {
		text, err := migrations.Files.ReadFile(name)
		require.NoError(t, err)
		sum.Write(text)
	}
	return embedded.TestDatabaseFrom(t, "cmd"+hex.EncodeToString(sum.Sum(nil)), func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, store.Options{URL: url, Log: zerolog.Nop()})
		return err
	})
}

// start runs the daemon until stopped, or the test ends.
func (s *stack) start() {
	s.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(s.t, err)
	s.url = "http://" + listener.Addr().String()
	log := zerolog.Nop()
	if s.log != nil {
		log = zerolog.New(s.log).Level(zerolog.TraceLevel)
	} else if os.Getenv("TALLYD_TEST_LOG") != "" {
		log = zerolog.New(zerolog.NewTestWriter(s.t)).With().Timestamp().Logger()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	opened := make(chan *daemon, 1)
	go func() { ended <- run(ctx, s.cfg, listener, log, nil, func(d *daemon) { opened <- d }) }()
	var stopped bool
	s.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(s.t, <-ended)
		}
	}
	s.t.Cleanup(func() { s.stop() })
	select {
	case d := <-opened:
		s.daemon = d
		require.NoError(s.t, d.awaitChains(s.t.Context()))
	case err := <-ended:
		require.NoError(s.t, err)
	}
}

// call does one request and returns status and body.
func (s *stack) call(method, path, header, value string, body any) (int, map[string]any) {
	s.t.Helper()
	var raw bytes.Buffer
	if body != nil {
		require.NoError(s.t, json.NewEncoder(&raw).Encode(body))
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, &raw)
	require.NoError(s.t, err)
	request.Header.Set(header, value)
	if s.tenant != "" {
		request.Header.Set("X-Tenant", s.tenant)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer response.Body.Close()
	decoder := json.NewDecoder(response.Body)
	decoder.UseNumber()
	var answer any
	require.NoError(s.t, decoder.Decode(&answer), "%s %s: %s", method, path, response.Status)
	if _, measured := s.t.(*testing.B); !measured {
		requireDocumented(s.t, method, path, response.StatusCode, answer)
	}
	if object, ok := answer.(map[string]any); ok {
		return response.StatusCode, object
	}
	return response.StatusCode, map[string]any{"list": answer}
}

// user creates a user and returns its id and token.
func (s *stack) user() (id, token string) {
	s.t.Helper()
	status, answer := s.call("POST", "/v1/users", "X-API-Key", testMaster, map[string]string{"name": "user " + rand.Text()[:6]})
	require.Equal(s.t, 201, status, answer)
	id = answer["uuid"].(string)
	status, answer = s.call("GET", "/v1/users/"+id+"/auth", "X-API-Key", testMaster, nil)
	require.Equal(s.t, 200, status, answer)
	return id, answer["token"].(string)
}

// account is one connected wallet.
type account struct {
	s     *stack
	id    string
	chain string
	token string
}

// connect connects a wallet for a new user.
func (s *stack) connect(chain, wallet string) account {
	s.t.Helper()
	_, token := s.user()
	return s.connectFor(token, chain, wallet)
}

// connectFor connects a wallet for the user of a token.
func (s *stack) connectFor(token, chain, wallet string) account {
	s.t.Helper()
	status, answer := s.call("POST", "/v1/onchain/"+chain+"/connect", "Authorization", "Bearer "+token,
		map[string]string{"wallet": wallet, "description": "test"})
	require.Equal(s.t, 200, status, answer)
	return account{s: s, id: answer["id"].(string), chain: chain, token: token}
}

// held is what the API says an account holds.
type held struct {
	level   bool // the state is level and the first sync done
	asOf    string
	height  uint64
	amounts map[string]string // base units by asset
	pending map[string]string
	proofs  map[string]string
	at      map[string]string // hash of the block each amount is true as of, by asset
	state   map[string]any
}

// balance reads what an account holds now.
func (a account) balance() held {
	a.s.t.Helper()
	status, answer := a.s.call("GET", fmt.Sprintf("/v1/onchain/%s/account/%s/balance", a.chain, a.id), "Authorization", "Bearer "+a.token, nil)
	require.Equal(a.s.t, 200, status, answer)
	state := answer["state"].(map[string]any)
	h := held{state: state, amounts: map[string]string{}, pending: map[string]string{}, proofs: map[string]string{}, at: map[string]string{}}
	h.level = state["last_sync"] != nil && state["status"] == "level"
	if at, ok := answer["as_of"].(map[string]any); ok {
		h.asOf, _ = at["hash"].(string)
		number, err := at["height"].(json.Number).Int64()
		require.NoError(a.s.t, err)
		h.height = uint64(number)
	}
	list := func(name string, into map[string]string) {
		amounts, _ := answer[name].([]any)
		for _, one := range amounts {
			amount := one.(map[string]any)
			into[amount["currency"].(string)] = amount["base_units"].(string)
			if at, ok := amount["as_of"].(map[string]any); ok {
				h.at[amount["currency"].(string)] = at["hash"].(string)
			}
			if proof, ok := amount["proof"].(string); ok {
				h.proofs[amount["currency"].(string)] = proof
			}
		}
	}
	list("balance", h.amounts)
	list("pending", h.pending)
	return h
}

// eventually waits until done is true.
func (s *stack) eventually(what string, done func() bool) {
	s.t.Helper()
	until(s.t, what, done)
}
