package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// What JSON may be and a body of ours may not. Callers are told these texts, and
// those of no parser.
var (
	errTwice   = errors.New("names a member twice")
	errNUL     = errors.New("has a NUL within a text")
	errNotUTF8 = errors.New("is not UTF-8")
)

// StrictJSON is huma's JSON format, which also refuses an object that names a
// member twice, since readers differ in which one counts, a NUL within a text,
// which Postgres cannot hold, and what is not UTF-8, of which something else would
// be kept than was sent.
func StrictJSON() huma.Format {
	format := huma.DefaultJSONFormat
	format.Unmarshal = func(data []byte, v any) error {
		if err := checkJSON(data); err != nil {
			return err
		}
		return json.Unmarshal(data, v)
	}
	return format
}

// checkJSON walks the tokens of a body once. What is malformed beyond what it
// looks for is left to the parser.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errNotUTF8
	}
	type level struct {
		names map[string]struct{} // nil in an array
		value bool                // the next token of an object is a value
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var stack []level
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read JSON: %w", err)
		}
		if text, ok := token.(string); ok && strings.ContainsRune(text, 0) {
			return errNUL
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if top := len(stack) - 1; top >= 0 && stack[top].names != nil {
			if name, ok := token.(string); ok && !stack[top].value {
				if _, twice := stack[top].names[name]; twice {
					return errTwice
				}
				stack[top].names[name] = struct{}{}
				stack[top].value = true
				continue
			}
			stack[top].value = false
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{names: map[string]struct{}{}})
		case json.Delim('['):
			stack = append(stack, level{})
		}
	}
}
