package guard_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains/guard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheck(t *testing.T) {
	t.Parallel()
	g := guard.New(guard.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/16"), netip.MustParsePrefix("fd00:1::/32")}, Ports: []uint16{443, 8443}})
	for _, test := range []struct {
		name    string
		address string // what is dialled
		allowed bool
	}{
		{name: "Public", address: "1.1.1.1:443", allowed: true},
		{name: "PublicSix", address: "[2606:4700::1111]:8443", allowed: true},
		{name: "PublicMapped", address: "[::ffff:1.1.1.1]:443", allowed: true},
		{name: "OtherPort", address: "1.1.1.1:22"},
		{name: "PlainPort", address: "1.1.1.1:80"},
		{name: "Loopback", address: "127.0.0.1:443"},
		{name: "LoopbackNet", address: "127.255.255.254:443"},
		{name: "LoopbackSix", address: "[::1]:443"},
		{name: "LoopbackMapped", address: "[::ffff:127.0.0.1]:443"},
		{name: "Compatible", address: "[::127.0.0.1]:443"},
		{name: "Unspecified", address: "0.0.0.0:443"},
		{name: "UnspecifiedSix", address: "[::]:443"},
		{name: "Private", address: "192.168.0.1:443"},
		{name: "PrivateTen", address: "10.2.0.1:443"},
		{name: "CarrierNAT", address: "100.64.0.1:443"},
		{name: "Metadata", address: "169.254.169.254:443"},
		{name: "MetadataMapped", address: "[::ffff:169.254.169.254]:443"},
		{name: "MetadataSix", address: "[fd00:ec2::254]:443"},
		{name: "NAT64Metadata", address: "[64:ff9b::a9fe:a9fe]:443"},
		{name: "NAT64Local", address: "[64:ff9b:1::a00:1]:443"},
		{name: "SixToFour", address: "[2002:7f00:1::1]:443"},
		{name: "Teredo", address: "[2001:0:4136:e378::1]:443"},
		{name: "LinkLocal", address: "[fe80::1%eth0]:443"},
		{name: "Multicast", address: "224.0.0.1:443"},
		{name: "Broadcast", address: "255.255.255.255:443"},
		{name: "AllowListed", address: "10.1.255.9:9000", allowed: true},
		{name: "AllowListedMapped", address: "[::ffff:10.1.255.9]:9000", allowed: true},
		{name: "AllowListedSix", address: "[fd00:1::9]:9000", allowed: true},
		{name: "BesideTheList", address: "[fd00:2::9]:9000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := g.Check(netip.MustParseAddrPort(test.address))
			if test.allowed {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, guard.ErrRefused)
		})
	}
}

func TestControlRefusesWhatIsNoAddress(t *testing.T) {
	t.Parallel()
	g := guard.New(guard.Rules{})
	require.ErrorIs(t, g.Control("tcp4", "example.com:443", nil), guard.ErrRefused)
	require.ErrorIs(t, g.Control("udp4", "1.1.1.1:443", nil), guard.ErrRefused)
	require.NoError(t, g.Control("tcp4", "1.1.1.1:443", nil))
}

// receiver is a server at loopback that counts who reaches it.
func receiver(t *testing.T, handler http.HandlerFunc) (at *url.URL, reached *atomic.Int64) {
	t.Helper()
	reached = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	return at, reached
}

func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} }

// get makes one request and returns status and body.
func get(t *testing.T, client *http.Client, address string) (int, string, error) {
	t.Helper()
	t.Cleanup(client.CloseIdleConnections)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func TestLiteralAddresses(t *testing.T) {
	t.Parallel()
	at, reached := receiver(t, func(http.ResponseWriter, *http.Request) {})
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "0.0.0.0"} {
		client := guard.New(guard.Rules{Ports: []uint16{port(t, at)}}).Client(guard.ClientOptions{})
		_, _, err := get(t, client, "http://"+host+":"+at.Port())
		require.ErrorIs(t, err, guard.ErrRefused, host)
	}
	require.Zero(t, reached.Load())
}

func port(t *testing.T, at *url.URL) uint16 {
	t.Helper()
	address, err := netip.ParseAddrPort(at.Host)
	require.NoError(t, err)
	return address.Port()
}

func TestAllowListedAddress(t *testing.T) {
	t.Parallel()
	at, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	client := guard.New(guard.Rules{Allow: loopback()}).Client(guard.ClientOptions{Body: 3})
	status, text, err := get(t, client, at.String())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "hel", text, "the body is bounded")
}

func TestLargeBodyIsNotRead(t *testing.T) {
	t.Parallel()
	at, _ := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		piece := strings.Repeat("x", 1<<20)
		for range 10 {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
	})
	client := guard.New(guard.Rules{Allow: loopback()}).Client(guard.ClientOptions{Body: 16 << 10})
	_, text, err := get(t, client, at.String())
	require.NoError(t, err)
	require.Len(t, text, 16<<10)
}

// A redirect is returned, not followed, wherever it leads.
func TestRedirect(t *testing.T) {
	t.Parallel()
	inner, reached := receiver(t, func(http.ResponseWriter, *http.Request) {})
	outer, _ := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inner.String(), http.StatusTemporaryRedirect)
	})
	client := guard.New(guard.Rules{Allow: loopback()}).Client(guard.ClientOptions{})
	status, _, err := get(t, client, outer.String())
	require.NoError(t, err)
	require.Equal(t, http.StatusTemporaryRedirect, status)
	require.Zero(t, reached.Load())
}

// A proxy would dial in our place, and know nothing of the rules.
func TestNoProxyFromTheEnvironment(t *testing.T) {
	proxy, reached := receiver(t, func(http.ResponseWriter, *http.Request) {})
	t.Setenv("HTTP_PROXY", proxy.String())
	t.Setenv("http_proxy", proxy.String())
	client := guard.New(guard.Rules{Allow: loopback()}).Client(guard.ClientOptions{Resolver: nowhere()})
	_, _, err := get(t, client, "http://nowhere.example/")
	require.Error(t, err)
	require.Zero(t, reached.Load())
}

func nowhere() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("there is no network")
	}}
}

func TestNamesOfPrivateAddresses(t *testing.T) {
	t.Parallel()
	at, reached := receiver(t, func(http.ResponseWriter, *http.Request) {})
	names := answer(t, func(int64) netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	client := guard.New(guard.Rules{Ports: []uint16{port(t, at)}}).Client(guard.ClientOptions{Resolver: names})
	_, _, err := get(t, client, "http://inside.example:"+at.Port())
	require.ErrorIs(t, err, guard.ErrRefused)
	require.Zero(t, reached.Load())
}

// The name is public while it is looked at and private when it is dialled. Who
// resolves first and dials a name later is deceived; the guard is not.
func TestNameThatChanges(t *testing.T) {
	t.Parallel()
	at, reached := receiver(t, func(http.ResponseWriter, *http.Request) {})
	names := answer(t, func(asked int64) netip.Addr {
		if asked == 1 {
			return netip.MustParseAddr("93.184.215.14")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	g := guard.New(guard.Rules{Ports: []uint16{port(t, at)}})

	first, err := names.LookupNetIP(t.Context(), "ip4", "turning.example")
	require.NoError(t, err)
	require.NoError(t, g.Check(netip.AddrPortFrom(first[0], port(t, at))), "the first answer is a public address")

	_, _, err = get(t, g.Client(guard.ClientOptions{Resolver: names}), "http://turning.example:"+at.Port())
	require.ErrorIs(t, err, guard.ErrRefused)
	require.Zero(t, reached.Load())
}

// answer is a resolver whose server is a function: the n-th question for an IPv4
// address, from 1, is answered with what it returns. There are no others.
func answer(t *testing.T, of func(asked int64) netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var asked int64
		for buffer := make([]byte, 512); ; {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(reply(buffer[:n], func() netip.Addr { asked++; return of(asked) }), from)
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, conn.LocalAddr().String())
	}}
}

// reply answers one question as RFC 1035 has it: with an address if it asks for
// an IPv4 address, else with nothing.
func reply(question []byte, address func() netip.Addr) []byte {
	const header, typeA = 12, 1
	end := header
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	kind := binary.BigEndian.Uint16(question[end+1:])
	end += 5
	out := append([]byte{}, question[:2]...)
	out = append(out, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	out = append(out, question[header:end]...)
	if kind == typeA {
		out[7] = 1
		four := address().As4()
		out = append(out, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, four[:]...)
	}
	return out
}
