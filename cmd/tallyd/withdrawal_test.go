package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/store"
)

// signerProgram builds the example of a signer once: what signs here has no line in
// common with what is tested.
var signerProgram = sync.OnceValues(func() (string, error) {
	// Beside the test program, which goes away with it.
	own, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(own), "signer")
	build := exec.Command("go", "build", "-o", path, "./examples/signer")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the signer: %w: %s", err, out)
	}
	return path, nil
})

// signer is somebody outside with a seed.
type signer struct {
	t             testing.TB
	program, seed string
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	program, err := signerProgram()
	require.NoError(t, err)
	s := &signer{t: t, program: program, seed: filepath.Join(t.TempDir(), "seed.hex")}
	s.run("", "new", s.seed)
	return s
}

func (s *signer) run(in string, args ...string) string {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), s.program, args...)
	command.Stdin = strings.NewReader(in)
	var fault bytes.Buffer
	command.Stderr = &fault
	out, err := command.Output()
	require.NoError(s.t, err, fault.String())
	return strings.TrimSpace(string(out))
}

// key is what is registered of a chain's keys.
func (s *signer) key(chain string) string { return s.run("", "key", chain, "--seed", s.seed) }

// treasury is the address that pays on EVM chains.
func (s *signer) treasury() string { return s.run("", "treasury", "--seed", s.seed) }

// sign signs the answer of GET …/signing and returns what POST … takes.
func (s *signer) sign(signing map[string]any) map[string]any {
	s.t.Helper()
	text, err := json.Marshal(signing)
	require.NoError(s.t, err)
	var signed map[string]any
	require.NoError(s.t, json.Unmarshal([]byte(s.run(string(text), "sign", "--seed", s.seed)), &signed))
	return signed
}

// teller is a custody backend that pays.
type teller struct {
	t      testing.TB
	url    func() string
	signer *signer
}

// try makes one request.
func (b *teller) try(method, path, key string, body any) (int, map[string]any, error) {
	b.t.Helper()
	var raw bytes.Buffer
	if body != nil {
		require.NoError(b.t, json.NewEncoder(&raw).Encode(body))
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, b.url()+path, &raw)
	require.NoError(b.t, err)
	request.Header.Set("X-API-Key", testMaster)
	if method == http.MethodPost {
		request.Header.Set("Idempotency-Key", key)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer := map[string]any{}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return response.StatusCode, answer, err
	}
	requireDocumented(b.t, method, path, response.StatusCode, answer)
	return response.StatusCode, answer, nil
}

// do makes a request that somebody answers.
func (b *teller) do(method, path string, body any) (int, map[string]any) {
	b.t.Helper()
	status, answer, err := b.try(method, path, uuid.NewString(), body)
	require.NoError(b.t, err)
	return status, answer
}

// must makes a request that is carried out.
func (b *teller) must(method, path string, body any) map[string]any {
	b.t.Helper()
	status, answer := b.do(method, path, body)
	require.Less(b.t, status, 300, "%s %s: %v", method, path, answer)
	return answer
}

// open opens a wallet in a vault of its own.
func (b *teller) open(asset string) map[string]any {
	b.t.Helper()
	vault := b.must("POST", "/vaults", map[string]any{"name": b.t.Name()})
	return b.must("POST", "/vaults/"+vault["id"].(string)+"/wallets", map[string]any{"assetId": asset})
}

// holds returns available and locked of a wallet.
func (b *teller) holds(wallet map[string]any) string {
	b.t.Helper()
	balance := b.must("GET", "/wallets/"+wallet["id"].(string)+"/balance", nil)
	return balance["available"].(string) + " " + balance["locked"].(string)
}

func (b *teller) awaitHolds(wallet map[string]any, want string) {
	b.t.Helper()
	until(b.t, "the wallet holds "+want, func() bool { return b.holds(wallet) == want })
}

// order is what POST /transactions/withdraw takes.
func order(wallet map[string]any, to, amount string) map[string]any {
	return map[string]any{"sourceWalletId": wallet["id"], "destinationAddress": to, "amount": amount}
}

func (b *teller) withdraw(wallet map[string]any, to, amount string) string {
	b.t.Helper()
	return b.must("POST", "/transactions/withdraw", order(wallet, to, amount))["id"].(string)
}

// get returns a withdrawal.
func (b *teller) get(id string) map[string]any {
	b.t.Helper()
	return b.must("GET", "/transactions/"+id+"/withdrawal", nil)
}

// await waits until a withdrawal has a status, and a reason if one is given.
func (b *teller) await(id, status string, reason ...string) map[string]any {
	b.t.Helper()
	var w map[string]any
	until(b.t, fmt.Sprint("the withdrawal is ", status, reason), func() bool {
		w = b.get(id)
		return w["status"] == status && (len(reason) == 0 || w["reason"] == reason[0])
	})
	return w
}

// signing returns what is to be signed, once there is something.
func (b *teller) signing(id string) map[string]any {
	b.t.Helper()
	var signing map[string]any
	until(b.t, "there is something to sign", func() bool {
		var status int
		status, signing = b.do("GET", "/transactions/"+id+"/signing", nil)
		return status == http.StatusOK
	})
	return signing
}

// sign signs what waits and hands it in.
func (b *teller) sign(id string) map[string]any {
	b.t.Helper()
	signing := b.signing(id)
	b.must("POST", "/transactions/"+id+"/signing", b.signer.sign(signing))
	return signing
}

// addsUp asks a ledger whether it does.
func addsUp(t testing.TB, s *store.Store, what string) {
	t.Helper()
	faults, err := s.LedgerFaults(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, faults, what)
	faults, err = s.WithdrawalFaults(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, faults, what)
}
