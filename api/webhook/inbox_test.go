package webhook_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
)

// letter is one delivery as a receiver got it.
type letter struct {
	webhook.Message

	headers http.Header
	body    []byte
}

// inbox is a receiver that keeps what it gets. Its answer decides what it says;
// nil is 200.
type inbox struct {
	url    string
	answer func(w http.ResponseWriter, l letter)

	mu      sync.Mutex
	letters []letter
	seen    map[int64]bool // events
}

func newInbox(t testing.TB, answer func(w http.ResponseWriter, l letter)) *inbox {
	t.Helper()
	i := &inbox{answer: answer, seen: map[int64]bool{}}
	i.url = receiver(t, i.take)
	return i
}

func (i *inbox) take(w http.ResponseWriter, r *http.Request) {
	l := letter{headers: r.Header}
	var err error
	if l.body, err = io.ReadAll(r.Body); err != nil || json.Unmarshal(l.body, &l.Message) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	i.letters = append(i.letters, l)
	i.seen[l.Sequence] = true
	i.mu.Unlock()
	if i.answer != nil {
		i.answer(w, l)
	}
}

// all returns what has come, in its order.
func (i *inbox) all() []letter {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.letters)
}

// distinct counts the events among what has come.
func (i *inbox) distinct() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.seen)
}

// verify has every letter verified by the libraries receivers use, and returns
// how many there were.
func (i *inbox) verify(t testing.TB, secret string) int {
	t.Helper()
	folder, named := os.LookupEnv("TALLYD_WEBHOOK_VERIFIERS")
	node, err := exec.LookPath("node")
	if !named || err != nil {
		if os.Getenv("TALLYD_REQUIRE") == "1" {
			require.Fail(t, "there is no node, or TALLYD_WEBHOOK_VERIFIERS does not name the verifiers")
		}
		t.Skip("needs node and TALLYD_WEBHOOK_VERIFIERS")
	}
	var lines strings.Builder
	letters := i.all()
	for _, l := range letters {
		headers := map[string]string{}
		for name := range l.headers {
			headers[strings.ToLower(name)] = l.headers.Get(name)
		}
		text, err := json.Marshal(map[string]any{"secret": secret, "headers": headers, "body": l.body})
		require.NoError(t, err)
		lines.Write(append(text, '\n'))
	}
	command := exec.CommandContext(t.Context(), node, filepath.Join("testdata", "verify.mjs"), folder)
	command.Stdin, command.Stderr = strings.NewReader(lines.String()), os.Stderr
	out, err := command.Output()
	require.NoError(t, err)
	verdicts := bufio.NewScanner(strings.NewReader(string(out)))
	count := 0
	for ; verdicts.Scan(); count++ {
		require.Equal(t, "ok", verdicts.Text())
	}
	require.Len(t, letters, count)
	return count
}
