package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/config"
	"tallyd/store/secret"
)

func TestKeysCreate(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	s.start()
	api := fmt.Sprintf("api: {key_pepper: %q}", testPepper)
	path := settingsFile(t, api, databasePart(s.cfg.Database.URL.Reveal()))
	create := func(args ...string) string {
		out, err := tallyd(t, append([]string{"keys", "create", "app", "-c", path}, args...)...)
		require.NoError(t, err)
		key, found := strings.CutSuffix(out, "\n")
		require.True(t, found)
		require.NotContains(t, key, "\n", "the key and nothing else is printed")
		return key
	}
	status := func(method, path, key string) int {
		var body any
		if method == http.MethodPost {
			body = map[string]string{"name": "somebody"}
		}
		status, _ := s.call(method, path, "X-API-Key", key, body)
		return status
	}

	all := create("--environment", "test")
	require.True(t, strings.HasPrefix(all, "tly_test_"), all)
	require.Equal(t, http.StatusCreated, status("POST", "/v1/users", all), "a running daemon takes it at once")
	require.Equal(t, http.StatusOK, status("GET", "/v1/events", all))

	reader := create("--scope", "users:read", "--scope", "chains:read", "--expires", "1h")
	require.True(t, strings.HasPrefix(reader, "tly_live_"), reader)
	require.Equal(t, http.StatusOK, status("GET", "/v1/users", reader))
	require.Equal(t, http.StatusForbidden, status("POST", "/v1/users", reader))
	require.Equal(t, http.StatusForbidden, status("GET", "/v1/events", reader))
	_, users := s.call("GET", "/v1/users", "X-API-Key", reader, nil)
	require.NotContains(t, fmt.Sprint(users), "somebody", "live sees nothing of test")

	_, err := tallyd(t, "keys", "create", "app", "-c", path, "--tenant", "nobody")
	require.ErrorContains(t, err, "no tenant \"nobody\"")

	brief := create("--expires", "1ms")
	s.eventually("the key expires", func() bool { return status("GET", "/v1/users", brief) == http.StatusUnauthorized })
}

// Keys are listed, rotated and ended by the operator, and a running daemon hears of
// it.
func TestKeysLife(t *testing.T) {
	t.Parallel()
	keyset := newKeyset()
	s := newStack(t, nil)
	s.cfg.Secrets.Keyset = config.NewSecret(keyset)
	s.start()
	path := settingsFile(t, fmt.Sprintf("api: {key_pepper: %q}", testPepper), fmt.Sprintf("secrets: {keyset: '%s'}", keyset),
		databasePart(s.cfg.Database.URL.Reveal()))
	run := func(args ...string) string {
		t.Helper()
		out, err := tallyd(t, append(args, "-c", path)...)
		require.NoError(t, err, out)
		return strings.TrimSuffix(out, "\n")
	}
	opens := func(key string) int {
		status, _ := s.call("GET", "/v1/users", "X-API-Key", key, nil)
		return status
	}
	first := run("keys", "create", "app", "--environment", "test", "--owner", "team", "--expires", "1h", "--per-minute", "77")
	id := strings.Split(first, "_")[2]
	row := func(args ...string) string {
		for line := range strings.Lines(run(append([]string{"keys", "list", "--environment", "test"}, args...)...)) {
			if strings.HasPrefix(line, id) {
				return line
			}
		}
		return ""
	}
	require.Regexp(t, `^`+id+` +app +team +bearer +\*:\* +good +20\d\d-\S+ \S+Z +- +cli\n?$`, row())
	require.NotEmpty(t, row("--owner", "team"))
	require.Empty(t, row("--owner", "other"))
	require.Empty(t, row("--environment", "live"))

	second := run("keys", "rotate", id, "--overlap", "1h")
	require.Equal(t, first[:len("tly_test_")+len(id)], second[:len("tly_test_")+len(id)])
	require.Equal(t, http.StatusOK, opens(first))
	require.Equal(t, http.StatusOK, opens(second))
	require.Contains(t, row(), "rotating")
	_, err := tallyd(t, "keys", "rotate", id, "-c", path)
	require.ErrorContains(t, err, "wait, or end it with --overlap 0")
	third := run("keys", "rotate", id, "--overlap", "0")
	s.eventually("the earlier ones end", func() bool {
		return opens(first) == http.StatusUnauthorized && opens(second) == http.StatusUnauthorized
	})
	require.Equal(t, http.StatusOK, opens(third))

	require.Empty(t, run("keys", "revoke", id))
	s.eventually("the key is revoked", func() bool { return opens(third) == http.StatusUnauthorized })
	require.Contains(t, row(), "revoked")
	require.Empty(t, run("keys", "revoke", id), "once more is no error")
	_, err = tallyd(t, "keys", "rotate", id, "-c", path)
	require.EqualError(t, err, "the key is revoked or expired")
	_, err = tallyd(t, "keys", "revoke", "nobody", "-c", path)
	require.ErrorContains(t, err, `no key "nobody" in the database`)

	// Of a signed key two lines are printed.
	signed := strings.Split(run("keys", "create", "payouts", "--kind", "signed", "--environment", "test", "--address", "127.0.0.1"), "\n")
	require.Len(t, signed, 2)
	require.True(t, strings.HasPrefix(signed[1], signed[0]+"_"))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/users", nil)
	require.NoError(t, err)
	access.Sign(request, signed[0], signed[1], nil, time.Now())
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	// All of it stands in the audit log.
	_, log := s.call("GET", "/v1/audit?caller=cli", "X-API-Key", testMaster, nil)
	_, test := s.call("GET", "/v1/audit?caller=cli", "X-API-Key", run("keys", "create", "auditor", "--environment", "test"), nil)
	require.Empty(t, log["entries"])
	var lines []string
	for _, e := range test["entries"].([]any) {
		e := e.(map[string]any)
		require.Nil(t, e["address"])
		lines = append(lines, fmt.Sprint(e["route"], " ", e["status"], " ", e["code"]))
	}
	require.Equal(t, []string{
		"tallyd keys create 200 ",
		"tallyd keys create 200 ",
		"tallyd keys rotate 409 key_ended",
		"tallyd keys revoke 200 ",
		"tallyd keys revoke 200 ",
		"tallyd keys rotate 200 ",
		"tallyd keys rotate 409 key_rotating",
		"tallyd keys rotate 200 ",
		"tallyd keys create 200 ",
	}, lines)
}

func TestTenantsCommand(t *testing.T) {
	t.Parallel()
	path := settingsFile(t, fmt.Sprintf("api: {key_pepper: %q}", testPepper), databasePart(migratedDatabase(t)))
	_, err := tallyd(t, "tenants", "create", "acme", "--name", "Acme Payments", "-c", path)
	require.NoError(t, err)
	_, err = tallyd(t, "tenants", "create", "acme", "-c", path)
	require.EqualError(t, err, `tenant "acme" is there already`)
	_, err = tallyd(t, "tenants", "create", "initech", "-c", path)
	require.NoError(t, err)
	for _, wrong := range [][]string{{"acme"}, {"acme", "--all", "eip155:1/slip44:60"}, {"nobody", "--all"}, {"acme", "eip155:1/slip44:60"}} {
		_, err = tallyd(t, append([]string{"tenants", "assets", "-c", path}, wrong...)...)
		require.Error(t, err, wrong)
	}
	require.ErrorContains(t, err, "no chain lists such an asset: eip155:1/slip44:60")
	_, err = tallyd(t, "tenants", "assets", "acme", "--all", "-c", path)
	require.NoError(t, err)
	out, err := tallyd(t, "tenants", "list", "-c", path)
	require.NoError(t, err)
	require.Regexp(t, `(?s)^ID +NAME +CREATED +BY +ASSETS\ndefault +default +20\S+ \S+Z +- +all\nacme +Acme Payments +20\S+ \S+Z +cli +all\ninitech +initech +20\S+ \S+Z +cli +all\n$`, out)
	_, err = tallyd(t, "keys", "create", "app", "--tenant", "acme", "-c", path)
	require.NoError(t, err)
}

// What secrets keyset prints is what the settings take, before, while and after it
// rotates.
func TestSecretsKeyset(t *testing.T) {
	t.Parallel()
	run := func(keyset string, args ...string) *secret.Keyset {
		t.Helper()
		file := filepath.Join(t.TempDir(), "keyset.json")
		require.NoError(t, os.WriteFile(file, []byte(keyset+"\n"), 0o600))
		path := settingsFile(t, fmt.Sprintf("secrets: {keyset_file: %q}", file))
		out, err := tallyd(t, append([]string{"secrets", "keyset", "-c", path}, args...)...)
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(out, "\n"), "one line, as a variable holds it")
		parsed, err := secret.Parse(out)
		require.NoError(t, err)
		return parsed
	}
	first := newKeyset()
	old, err := secret.Parse(first)
	require.NoError(t, err)
	sealed, err := old.Seal([]byte("hidden"), nil)
	require.NoError(t, err)
	for flag, seals := range map[string]bool{"--add": false, "--rotate": true} {
		next := run(first, flag)
		plain, err := next.Open(sealed, nil)
		require.NoError(t, err)
		require.Equal(t, "hidden", string(plain))
		resealed, err := next.Seal([]byte("hidden"), nil)
		require.NoError(t, err)
		_, err = old.Open(resealed, nil)
		require.Equal(t, seals, err != nil, flag)
	}
	other := run(first)
	_, err = other.Open(sealed, nil)
	require.Error(t, err, "a new one")
}
