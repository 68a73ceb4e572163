package rpc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"tallyd/chains"
)

// maxNotification bounds one message of a subscription.
const maxNotification = 32 << 20

// pingEvery is how often a silent connection is tested; two missed answers end
// it.
const pingEvery = 15 * time.Second

// Notification is one message the node sends by itself.
type Notification struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// Subscribe opens the upstream's WebSocket, sends one call, and gives notify
// every notification until ctx ends, the connection breaks or notify returns an
// error. ready is called once, when the node has accepted the call: from then
// on nothing is missed. It returns chains.ErrUnsupported for an upstream
// without a WebSocket, and does not reconnect. Faults are the caller's to
// record: a broken subscription is no reason to avoid the upstream.
func (u *Upstream) Subscribe(ctx context.Context, request Request, ready func(), notify func(Notification) error) error {
	if u.spec.Websocket == "" {
		return fmt.Errorf("subscribe at %s: %w: no websocket configured", u.name, chains.ErrUnsupported)
	}
	conn, err := u.dial(ctx)
	if err != nil {
		return u.failed("websocket", err)
	}
	// The reader below blocks in the connection, so the end of ctx closes it.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer func() { _ = conn.Close() }()
	if err := u.converse(ctx, conn, request, ready, notify); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return u.failed("websocket", err)
	}
	return nil
}

func (u *Upstream) dial(ctx context.Context) (*websocket.Conn, error) {
	header := http.Header{}
	if u.spec.User != "" || u.spec.Password != "" {
		login := base64.StdEncoding.EncodeToString([]byte(u.spec.User + ":" + u.spec.Password))
		header.Set("Authorization", "Basic "+login)
	}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: min(u.timeout, 10*time.Second)}
	conn, res, err := dialer.DialContext(ctx, u.spec.Websocket, header)
	if err != nil {
		if res != nil {
			_ = res.Body.Close()
			return nil, &StatusError{Status: res.StatusCode}
		}
		return nil, u.cleaned(withoutURL(err))
	}
	conn.SetReadLimit(maxNotification)
	return conn, nil
}

func (u *Upstream) converse(ctx context.Context, conn *websocket.Conn, request Request, ready func(), notify func(Notification) error) error {
	if err := conn.WriteJSON(u.document(1, request)); err != nil {
		return u.cleaned(err)
	}
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(2*pingEvery + u.timeout)) }
	conn.SetPongHandler(alive)
	_ = alive("")
	done := make(chan struct{})
	pinging := make(chan struct{})
	go func() {
		defer close(pinging)
		ping(ctx, conn, done)
	}()
	defer func() { close(done); <-pinging }()
	for {
		var message struct {
			Notification
			answerDocument
		}
		if err := conn.ReadJSON(&message); err != nil {
			return u.cleaned(err)
		}
		_ = alive("")
		switch {
		case message.Error != nil:
			return u.response(message.answerDocument).Err
		case message.Method == "" && string(message.ID) == "1":
			ready()
		case message.Method != "":
			if err := notify(message.Notification); err != nil {
				return err
			}
		}
	}
}

func ping(ctx context.Context, conn *websocket.Conn, done <-chan struct{}) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-done:
			return
		case <-tick.C:
			if conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) != nil {
				return
			}
		}
	}
}
