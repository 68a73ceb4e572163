package problem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// errAmbiguous says that two readers could take the same body for different
// things.
var errAmbiguous = errors.New("ambiguous JSON")

// StrictJSON is huma's JSON format, which also refuses an object that names a
// member twice, since readers differ in which one counts, and a NUL within a
// text, which Postgres cannot hold.
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
			return fmt.Errorf("NUL within a text: %w", errAmbiguous)
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if top := len(stack) - 1; top >= 0 && stack[top].names != nil {
			if name, ok := token.(string); ok && !stack[top].value {
				if _, twice := stack[top].names[name]; twice {
					return fmt.Errorf("member named twice: %w", errAmbiguous)
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
