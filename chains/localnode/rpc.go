package localnode

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// RPCError is a node's refusal of a call.
type RPCError struct {
	Code    int
	Message string
}

// Error is the node's message with its code.
func (e *RPCError) Error() string { return fmt.Sprintf("%s (code %d)", e.Message, e.Code) }

// client speaks JSON-RPC over HTTP to one node of ours. It neither retries nor
// limits: for reading chains in earnest there is package rpc.
type client struct {
	url      string
	user     string
	password string
	http     *http.Client
	ids      atomic.Int64
}

// callTime bounds one call: long enough for a node to mine thousands of blocks, and
// an end where it hangs.
const callTime = 5 * time.Minute

func newClient(url, user, password string) *client {
	return &client{url: url, user: user, password: password, http: &http.Client{
		Timeout: callTime,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     30 * time.Second,
		},
	}}
}

// Call asks the node and decodes its answer into result, which may be nil. A
// refusal by the node is an *RPCError.
func (c *client) Call(ctx context.Context, method string, result any, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.ids.Add(1), "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.user != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	defer resp.Body.Close()

	// Old nodes answer a refusal with status 500 and the same document.
	var answer struct {
		Result json.RawMessage
		Error  *RPCError
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return fmt.Errorf("call %s: status %s: %w", method, resp.Status, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("call %s: %w", method, answer.Error)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	return nil
}

func (c *client) close() { c.http.CloseIdleConnections() }
