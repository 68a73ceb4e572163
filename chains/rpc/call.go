package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Request is one call of a batch.
type Request struct {
	Method string
	Params []any
}

// Response is the answer to one call of a batch: Result, or Err, which then is
// an *Error.
type Response struct {
	Result json.RawMessage
	Err    error
}

type callDocument struct {
	Version string `json:"jsonrpc"`
	ID      int    `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

type answerDocument struct {
	ID     json.RawMessage `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int             `json:"code"`
		Message json.RawMessage `json:"message"`
	} `json:"error"`
}

// Call asks for one result. An error the node reports is an *Error, whatever
// HTTP status it comes with. A result of null comes back as the bytes null.
func (u *Upstream) Call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	if err := u.enter(ctx, 1); err != nil {
		return nil, err
	}
	defer u.leave()
	return u.call(ctx, u.quick, u.timeout, method, params)
}

// CallPatient is Call for what a node works on for long (a scan, a long poll):
// it waits up to patience instead of the upstream's timeout, and takes no slot,
// so that it keeps no other call waiting.
func (u *Upstream) CallPatient(ctx context.Context, patience time.Duration, method string, params ...any) (json.RawMessage, error) {
	if err := u.spend(ctx, 1); err != nil {
		return nil, err
	}
	return u.call(ctx, u.patient, patience, method, params)
}

// CallInto is Call with the result decoded into out.
func (u *Upstream) CallInto(ctx context.Context, out any, method string, params ...any) error {
	result, err := u.Call(ctx, method, params...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(result, out); err != nil {
		return u.failed(method, fmt.Errorf("decode the result: %w", err))
	}
	return nil
}

func (u *Upstream) call(ctx context.Context, client *http.Client, timeout time.Duration, method string, params []any) (json.RawMessage, error) {
	doc, err := json.Marshal(u.document(1, Request{method, params}))
	if err != nil {
		return nil, u.failed(method, err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, body, err := u.post(ctx, client, doc)
	if err != nil {
		return nil, u.failed(method, err)
	}
	var answer answerDocument
	if err := json.Unmarshal(body, &answer); err != nil || (answer.Result == nil && answer.Error == nil) {
		return nil, u.failed(method, u.notAnAnswer(status, body, err))
	}
	response := u.response(answer)
	if response.Err != nil {
		return nil, u.failed(method, response.Err)
	}
	return response.Result, nil
}

// Batch asks for many results, at most Spec.Batch in one HTTP request, and
// returns one Response per request in their order. A node that leaves one out,
// or refuses the batch as a whole, is an error for all.
func (u *Upstream) Batch(ctx context.Context, requests []Request) ([]Response, error) {
	responses := make([]Response, 0, len(requests))
	for len(requests) > 0 {
		n := min(len(requests), u.batch)
		part, err := u.batchOnce(ctx, requests[:n])
		if err != nil {
			return nil, err
		}
		responses = append(responses, part...)
		requests = requests[n:]
	}
	return responses, nil
}

func (u *Upstream) batchOnce(ctx context.Context, requests []Request) ([]Response, error) {
	if err := u.enter(ctx, len(requests)); err != nil {
		return nil, err
	}
	defer u.leave()
	what := fmt.Sprintf("a batch of %d × %s", len(requests), requests[0].Method)
	docs := make([]callDocument, len(requests))
	for i, request := range requests {
		docs[i] = u.document(i, request)
	}
	doc, err := json.Marshal(docs)
	if err != nil {
		return nil, u.failed(what, err)
	}
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	status, body, err := u.post(ctx, u.quick, doc)
	if err != nil {
		return nil, u.failed(what, err)
	}
	responses, err := u.sorted(status, body, len(requests))
	if err != nil {
		return nil, u.failed(what, err)
	}
	return responses, nil
}

// sorted puts the answers of a batch, which may come in any order, into the
// order of their ids.
func (u *Upstream) sorted(status int, body []byte, n int) ([]Response, error) {
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		var whole answerDocument
		if err := json.Unmarshal(body, &whole); err == nil && whole.Error != nil {
			return nil, u.response(whole).Err
		}
	}
	var answers []answerDocument
	if err := json.Unmarshal(body, &answers); err != nil {
		return nil, u.notAnAnswer(status, body, err)
	}
	responses := make([]Response, n)
	seen := make([]bool, n)
	for _, answer := range answers {
		var id int
		if err := json.Unmarshal(answer.ID, &id); err != nil || id < 0 || id >= n || seen[id] {
			return nil, fmt.Errorf("the batch holds an answer with the foreign id %s", plain(string(answer.ID)))
		}
		if answer.Result == nil && answer.Error == nil {
			return nil, fmt.Errorf("answer %d of the batch holds neither result nor error", id)
		}
		seen[id] = true
		responses[id] = u.response(answer)
	}
	for id := range seen {
		if !seen[id] {
			return nil, fmt.Errorf("the batch lacks answer %d of %d", id, n)
		}
	}
	return responses, nil
}

func (u *Upstream) document(id int, request Request) callDocument {
	params := request.Params
	if params == nil {
		params = []any{}
	}
	return callDocument{Version: u.version, ID: id, Method: request.Method, Params: params}
}

func (u *Upstream) response(answer answerDocument) Response {
	if answer.Error == nil {
		return Response{Result: answer.Result}
	}
	var message string
	if err := json.Unmarshal(answer.Error.Message, &message); err != nil {
		message = string(answer.Error.Message)
	}
	return Response{Err: &Error{Code: answer.Error.Code, Message: plain(message, u.spec.Password)}}
}

// notAnAnswer says what came instead of a JSON-RPC answer.
func (u *Upstream) notAnAnswer(status int, body []byte, err error) error {
	if status != http.StatusOK {
		status := &StatusError{Status: status, Detail: plain(string(body[:min(len(body), 4096)]), u.spec.Password)}
		if status.isAnswer() {
			// To a JSON-RPC call no status is an answer.
			return errors.New(status.Error())
		}
		return status
	}
	if err == nil {
		return errors.New("the answer holds neither result nor error")
	}
	return errors.New("the answer is not JSON-RPC: " + plain(err.Error()))
}
