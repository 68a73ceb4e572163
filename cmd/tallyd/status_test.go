package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	node, _ := localnode.TestBitcoind(t)
	_, err := node.Generate(t.Context(), 3)
	require.NoError(t, err)
	s := newStack(t, map[string]config.Chain{"btc": bitcoinChain(node)})
	s.start()
	const row = `(?m)^btc +test +3 +3 +0 +(level|syncing)`
	out, err := tallyd(t, "status", "--url", s.url+"/", "--key", testMaster)
	require.NoError(t, err)
	require.Regexp(t, `^CHAIN +ENVIRONMENT +HEIGHT +HEAD +LAG +STATE +REASON\n`, out)
	require.Regexp(t, row, out)

	// By the file that tallyd dev writes.
	data := t.TempDir()
	require.NoError(t, writeJSON(filepath.Join(data, devFileName), devFile{URL: s.url, MasterKey: testMaster}))
	out, err = tallyd(t, "status", "--data", data)
	require.NoError(t, err)
	require.Regexp(t, row, out)

	// By the settings.
	path := settingsFile(t, "listen: "+s.url[len("http://"):], fmt.Sprintf("api: {master_key: %q}", testMaster))
	out, err = tallyd(t, "status", "-c", path)
	require.NoError(t, err)
	require.Regexp(t, row, out)

	_, err = tallyd(t, "status", "--url", s.url, "--key", "hush")
	require.EqualError(t, err, "the daemon at "+s.url+" refuses the key: give one by --key or TALLYD_KEY")
	_, err = tallyd(t, "status", "--data", data, "--key", "hush")
	require.ErrorContains(t, err, "refuses the key")
}

func TestStatusUnknown(t *testing.T) {
	t.Parallel()
	answer := `{"chains":[{"chain":"btc","environment":"live","state":"starting","height":null,"head":null,"lag":null,"reason":"no node answers"}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }))
	t.Cleanup(server.Close)
	out, err := tallyd(t, "status", "--url", server.URL, "--key", "x")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^btc +live +- +- +- +starting +no node answers$`, out, "unknown is not zero")

	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	t.Cleanup(page.Close)
	_, err = tallyd(t, "status", "--url", page.URL, "--key", "x")
	require.ErrorContains(t, err, "what answers at "+page.URL+" is no tallyd")

	data := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(data, devFileName), []byte("{"), 0o600))
	_, err = tallyd(t, "status", "--data", data)
	require.ErrorContains(t, err, filepath.Join(data, devFileName))
}
