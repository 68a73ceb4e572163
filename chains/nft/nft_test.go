package nft_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains"
	"tallyd/chains/guard"
	"tallyd/chains/nft"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const limit = 64 << 10

// house is a server of a stranger's, and readers that may and may not go there.
type house struct {
	t      *testing.T
	url    string
	reader *nft.Reader // lets loopback through
	strict *nft.Reader // the rules of the world
	asked  chan string
}

func newHouse(t *testing.T, timeout time.Duration) *house {
	t.Helper()
	h := &house{t: t, asked: make(chan string, 100)}
	server := httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(server.Close)
	h.url = server.URL
	h.reader = h.read(timeout, guard.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	h.strict = h.read(timeout, guard.Rules{})
	return h
}

// read returns a reader with a gateway of the operator's on loopback, whatever its
// rules are.
func (h *house) read(timeout time.Duration, rules guard.Rules) *nft.Reader {
	h.t.Helper()
	client := guard.New(rules).Client(guard.ClientOptions{Body: 1 << 40})
	own := guard.New(guard.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).Client(guard.ClientOptions{Body: 1 << 40})
	h.t.Cleanup(client.CloseIdleConnections)
	h.t.Cleanup(own.CloseIdleConnections)
	gateway, err := url.Parse(h.url + "/gate/?token=own")
	require.NoError(h.t, err)
	return nft.NewReader(nft.Config{
		Client: client, Refused: guard.ErrRefused, Gateway: gateway, GatewayClient: own,
		Timeout: timeout, MaxBytes: limit, AllowHTTP: true, Agent: "tests",
	})
}

const content = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"

func (h *house) serve(w http.ResponseWriter, r *http.Request) {
	h.asked <- r.URL.Path
	if strings.HasPrefix(r.URL.Path, "/gate/") && r.URL.Query().Get("token") != "own" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	send := func(kind, body string) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write([]byte(body))
	}
	switch r.URL.Path {
	case "/good", "/gate/ipfs/" + content + "/a b/1.json":
		send("application/json; charset=utf-8", `{"name":"Good"}`)
	case "/plain":
		send("text/plain", `{"name":"Plain"}`)
	case "/html":
		send("text/html", `<script>alert(1)</script>`)
	case "/html-as-json":
		send("application/json", `<html></html>`)
	case "/picture":
		send("image/png", "\x89PNG")
	case "/array":
		send("application/json", `[{"name":"A"}]`)
	case "/half":
		w.Header().Set("Content-Length", "100")
		send("application/json", `{"name":"Ha`)
	case "/gone":
		w.WriteHeader(http.StatusGone)
	case "/busy":
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(http.StatusTooManyRequests)
	case "/hop":
		http.Redirect(w, r, "/good", http.StatusFound)
	case "/loop":
		http.Redirect(w, r, "/loop", http.StatusFound)
	case "/inside":
		http.Redirect(w, r, "http://10.0.0.1/latest/meta-data", http.StatusFound)
	case "/metadata":
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusTemporaryRedirect)
	case "/file":
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	case "/data":
		w.Header().Set("Location", "data:application/json,{}")
		w.WriteHeader(http.StatusFound)
	case "/nowhere":
		w.WriteHeader(http.StatusFound)
	case "/huge":
		w.Header().Set("Content-Type", "application/json")
		for range 10 << 4 { // 10 MiB, and the reader leaves long before
			if _, err := w.Write([]byte(strings.Repeat(" ", 64<<10))); err != nil {
				return
			}
		}
	case "/drip":
		w.Header().Set("Content-Type", "application/json")
		for {
			if _, err := w.Write([]byte(" ")); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	case "/silent":
		<-r.Context().Done()
	default:
		http.NotFound(w, r)
	}
}

// TestRead reads documents from wherever a contract may say they are.
func TestRead(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 10*time.Second)
	coded := base64.StdEncoding.EncodeToString([]byte(`{"name":"In base64"}`))
	closed := "http://" + closedAddress(t)
	for name, tt := range map[string]struct {
		uri    string
		named  string // the document's name
		reason string // or why there is none
		retry  time.Duration
	}{
		"Good":           {uri: h.url + "/good", named: "Good"},
		"Plain":          {uri: " " + h.url + "/plain\n", named: "Plain"},
		"Redirected":     {uri: h.url + "/hop", named: "Good"},
		"IPFS":           {uri: "ipfs://" + content + "/a%20b/1.json", named: "Good"},
		"IPFSTwice":      {uri: "IPFS://ipfs/" + content + "/a b/1.json?x=1#y", named: "Good"},
		"Inline":         {uri: `data:application/json,{"name":"Inline"}`, named: "Inline"},
		"InlineUTF8":     {uri: `data:application/json;utf8,{"name":"100% ok"}`, named: "100% ok"},
		"InlineEscaped":  {uri: `data:application/json;charset=utf-8,%7B%22name%22%3A%22Esc%22%7D`, named: "Esc"},
		"InlineBase64":   {uri: "data:application/json;base64," + coded, named: "In base64"},
		"InlineNoKind":   {uri: `DATA:,{"name":"N"}`, named: "N"},
		"InlineUnpadded": {uri: "data:application/json;base64," + strings.TrimRight(coded, "="), named: "In base64"},

		"Nothing":         {uri: "", reason: "the contract names no metadata"},
		"NoURL":           {uri: "hello", reason: "the contract names no URL that can be read"},
		"Credentials":     {uri: "http://user:pass@" + strings.TrimPrefix(h.url, "http://") + "/good", reason: "the contract names no URL that can be read"},
		"File":            {uri: "file:///etc/passwd", reason: "the contract names no URL that can be read"},
		"Gopher":          {uri: "gopher://example.com/", reason: "metadata is not read by gopher://"},
		"Arweave":         {uri: "ar://abcdef", reason: "metadata is not read by ar://"},
		"Long":            {uri: h.url + "/" + strings.Repeat("x", 5000), reason: "the contract names a URL of more than 4096 bytes"},
		"NotFound":        {uri: h.url + "/nothing", reason: "its server answers 404"},
		"Gone":            {uri: h.url + "/gone", reason: "its server answers 410"},
		"Busy":            {uri: h.url + "/busy", reason: "its server answers 429", retry: 2 * time.Hour},
		"HTML":            {uri: h.url + "/html", reason: "its server sends text/html, not JSON"},
		"Picture":         {uri: h.url + "/picture", reason: "its server sends image/png, not JSON"},
		"HTMLAsJSON":      {uri: h.url + "/html-as-json", reason: "it is not a JSON object"},
		"Array":           {uri: h.url + "/array", reason: "it is not a JSON object"},
		"Half":            {uri: h.url + "/half", reason: "the answer of its server breaks off"},
		"Loop":            {uri: h.url + "/loop", reason: "its server redirects more than 3 times"},
		"ToPrivate":       {uri: h.url + "/inside", reason: "its server has an address that must not be asked"},
		"ToMetadata":      {uri: h.url + "/metadata", reason: "its server has an address that must not be asked"},
		"ToFile":          {uri: h.url + "/file", reason: "metadata is not read by file://"},
		"ToData":          {uri: h.url + "/data", reason: "metadata is not read by data://"},
		"ToNowhere":       {uri: h.url + "/nowhere", reason: "its server redirects to nowhere"},
		"Huge":            {uri: h.url + "/huge", reason: "it is longer than 65536 bytes"},
		"Closed":          {uri: closed, reason: "its server cannot be reached"},
		"UnknownHost":     {uri: "http://no-such-host.invalid/", reason: "the name of its server is not known"},
		"InlineHTML":      {uri: "data:text/html,<script>", reason: "the contract holds text/html, not JSON"},
		"InlineNoData":    {uri: "data:application/json", reason: "the contract holds a data: URL without data"},
		"InlineBadBase64": {uri: "data:application/json;base64,!!!!", reason: "the contract holds a data: URL that is not base64"},
		"InlineHuge":      {uri: "data:application/json," + strings.Repeat("x", limit+1), reason: "it is longer than 65536 bytes"},
		"InlineBroken":    {uri: "data:application/json,{", reason: "it is not a JSON object"},
		"InlineDeep":      {uri: "data:application/json," + strings.Repeat(`{"name":`, 12_000/2), reason: "it is not a JSON object"},
		"InlineItself":    {uri: "data:application/json,data:application/json,{}", reason: "it is not a JSON object"},
		"IPFSUp":          {uri: "ipfs://" + content + "/../../admin", reason: "the contract names no IPFS path that can be read"},
		"IPFSUpEscaped":   {uri: "ipfs://" + content + "/%2e%2e/%2e%2e/admin", reason: "the contract names no IPFS path that can be read"},
		"IPFSHost":        {uri: "ipfs://evil.example.com/x", reason: "the contract names no IPFS path that can be read"},
		"IPFSNothing":     {uri: "ipfs://", reason: "the contract names no IPFS path that can be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document, err := h.reader.Read(t.Context(), tt.uri)
			if tt.reason == "" {
				require.NoError(t, err)
				require.Equal(t, tt.named, document.Name)
				return
			}
			var missing *chains.DocumentError
			require.ErrorAs(t, err, &missing)
			require.Equal(t, tt.reason, missing.Reason)
			require.Equal(t, tt.retry, missing.Retry)
		})
	}
}

func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// TestStrangersStayOutside asks for what stands on this machine: nothing is sent,
// whatever the spelling. The operator's own gateway is asked, and what it leads to
// is guarded.
func TestStrangersStayOutside(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 10*time.Second)
	port := h.url[strings.LastIndex(h.url, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433"} {
		_, err := h.strict.Read(t.Context(), "http://"+host+port+"/good")
		var missing *chains.DocumentError
		require.ErrorAs(t, err, &missing, host)
		require.NotContains(t, missing.Reason, "127", "addresses are not told")
		require.Empty(t, h.asked, host)
	}
	document, err := h.strict.Read(t.Context(), "ipfs://"+content+"/a b/1.json")
	require.NoError(t, err)
	require.Equal(t, "Good", document.Name)
	require.Equal(t, "/gate/ipfs/"+content+"/a b/1.json", <-h.asked)

	off := nft.NewReader(nft.Config{})
	for uri, reason := range map[string]string{
		"https://example.com/1":    "reading from servers is turned off",
		"http://example.com/1":     "metadata is not read by http://",
		"ipfs://" + content + "/1": "the metadata is on IPFS, and no gateway is configured",
	} {
		_, err := off.Read(t.Context(), uri)
		require.EqualError(t, err, reason)
	}
	document, err = off.Read(t.Context(), `data:,{"name":"here"}`)
	require.NoError(t, err)
	require.Equal(t, "here", document.Name)
}

// TestSlowServers holds up a reader, which leaves in time, and ends when it is told
// to.
func TestSlowServers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 300*time.Millisecond)
	for _, path := range []string{"/drip", "/silent"} {
		began := time.Now()
		_, err := h.reader.Read(t.Context(), h.url+path)
		require.EqualError(t, err, "its server takes too long", path)
		require.Less(t, time.Since(began), 20*time.Second)
	}
	patient := newHouse(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-patient.asked
		cancel()
	}()
	_, err := patient.reader.Read(ctx, patient.url+"/silent")
	require.ErrorIs(t, err, context.Canceled, "that the daemon stops is no fault of the server")
}

// TestHostileDocuments reads what no picture frame should hold.
func TestHostileDocuments(t *testing.T) {
	t.Parallel()
	reader := nft.NewReader(nft.Config{})
	read := func(text string) chains.NFTDocument {
		t.Helper()
		document, err := reader.Read(t.Context(), "data:application/json;base64,"+base64.StdEncoding.EncodeToString([]byte(text)))
		require.NoError(t, err)
		return document
	}
	require.Equal(t, chains.NFTDocument{
		Name: "Ape #1", Description: "One\ntwo", Image: "ipfs://" + content + "/1.png", ExternalURL: "https://example.com/1",
		Attributes: []chains.NFTAttribute{{Trait: "Fur", Value: "Gold"}, {Trait: "Level", Value: "12345678901234567890.5"}, {Value: "true"}, {Trait: "Old", Value: "x"}},
	}, read(`{"name":" Ape #1 ","description":"One\ntwo\u0000","image":"ipfs://`+content+`/1.png","external_url":"https://example.com/1","attributes":[
		{"trait_type":"Fur","value":"Gold"},{"trait_type":"Level","value":12345678901234567890.5},{"value":true},{"name":"Old","value":"x"},{"value":{"a":1}},{}]}`))

	// What changes how the rest is seen goes, and so does what is no text.
	require.Equal(t, "abc", read("{\"name\":\"\\u202ea\\u0007b\\u200b\\u2066c\xff\\ud800\"}").Name)
	require.Equal(t, "👩\u200d🚀", read(`{"name":"👩‍🚀"}`).Name, "characters made of several stay whole")

	// Wrong types are left out one by one.
	require.Equal(t, chains.NFTDocument{Name: "7", Description: ""}, read(`{"name":7,"description":["x"],"image":{"a":1},"attributes":{"a":1},"external_url":null}`))

	long := read(`{"name":"` + strings.Repeat("é", 10_000) + `","description":"` + strings.Repeat("d", 100_000) + `"}`)
	require.LessOrEqual(t, len(long.Name), 512)
	require.True(t, utf8.ValidString(long.Name))
	require.Len(t, long.Description, 4096)
	many := read(`{"attributes":[` + strings.Repeat(`{"trait_type":"t","value":"v"},`, 5000) + `{}]}`)
	require.Len(t, many.Attributes, 100)

	for picture, kept := range map[string]bool{
		"https://example.com/a.png": true, "http://example.com/a.png": true, "ar://abc": true,
		"data:image/svg+xml;base64,PHN2Zz4=": true, "data:image/png;base64,AAAA": true,
		"data:image/png;base64," + strings.Repeat("A", 64<<10): false, "data:text/html,<script>": false, "data:text/html;image/png,x": false,
		"javascript:alert(1)": false, "JavaScript:alert(1)": false, "vbscript:x": false, "file:///etc/passwd": false, "//example.com/a.png": false,
		"https://user:pass@example.com/a.png": false, "https://example.com/\\\"onerror=": false, "<svg onload=alert(1)>": false, "": false,
	} {
		got := read(fmt.Sprintf(`{"image":"%s"}`, picture)).Image
		if kept {
			require.Equal(t, picture, got)
		} else {
			require.Empty(t, got, picture)
		}
	}
	require.Equal(t, "https://example.com/b", read(`{"image":"javascript:x","image_url":"https://example.com/b"}`).Image)
}
