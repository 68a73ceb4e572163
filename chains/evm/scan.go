package evm

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// errJSON says that an answer is not the JSON it should be.
var errJSON = errors.New("malformed JSON")

// scanner reads one JSON text from front to back without building a tree. Blocks
// and receipts are nearly all hexadecimal strings, which it hands out as they
// stand, so that each is decoded once, into its place.
//
// The first fault is kept in err and ends every loop; what was read up to then
// must not be used. It is lenient about commas: what matters of an answer is
// verified by its hash.
type scanner struct {
	text []byte
	at   int
	err  error
	pool []byte // room for byte strings that outlive the text
}

// fail records the first fault.
func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %w", s.at, fmt.Errorf(format, args...))
	}
}

// peek returns the next byte that is not white space, or 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r', ',':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// open steps into an object or array. It reports false for null and on a fault.
func (s *scanner) open(bracket byte) bool {
	if s.err != nil || s.null() {
		return false
	}
	if s.peek() != bracket {
		s.fail("%w: want %q", errJSON, bracket)
		return false
	}
	s.at++
	return true
}

// more reports whether the object or array now open has another element. At its
// end it steps out.
func (s *scanner) more(bracket byte) bool {
	if s.err != nil {
		return false
	}
	switch s.peek() {
	case 0:
		s.fail("%w: ends early", errJSON)
		return false
	case bracket:
		s.at++
		return false
	}
	return true
}

// key reads the name of a member and the colon behind it.
func (s *scanner) key() []byte {
	name := s.str()
	if s.err == nil && s.peek() != ':' {
		s.fail("%w: want ':'", errJSON)
	}
	s.at++
	return name
}

// str reads a string and returns what stands between its quotes, escapes as they
// are written. Null gives nil.
func (s *scanner) str() []byte {
	if s.err != nil || s.null() {
		return nil
	}
	if s.peek() != '"' {
		s.fail("%w: want a string", errJSON)
		return nil
	}
	start := s.at + 1
	for i := start; ; {
		end := bytes.IndexByte(s.text[min(i, len(s.text)):], '"')
		if end < 0 {
			s.fail("%w: unterminated string", errJSON)
			return nil
		}
		end += i
		slashes := 0
		for k := end - 1; k >= start && s.text[k] == '\\'; k-- {
			slashes++
		}
		if slashes%2 == 0 {
			s.at = end + 1
			return s.text[start:end]
		}
		i = end + 1
	}
}

// null steps over a null and reports whether there was one.
func (s *scanner) null() bool {
	if s.peek() == 'n' && bytes.HasPrefix(s.text[s.at:], []byte("null")) {
		s.at += 4
		return true
	}
	return false
}

// truth reads true or false; null is false.
func (s *scanner) truth() bool {
	if s.err != nil || s.null() {
		return false
	}
	s.peek()
	switch rest := s.text[s.at:]; {
	case bytes.HasPrefix(rest, []byte("true")):
		s.at += 4
		return true
	case bytes.HasPrefix(rest, []byte("false")):
		s.at += 5
	default:
		s.fail("%w: want true or false", errJSON)
	}
	return false
}

// skip steps over one value of any kind and depth.
func (s *scanner) skip() {
	for depth := 0; s.err == nil; {
		switch c := s.peek(); c {
		case 0:
			s.fail("%w: ends early", errJSON)
		case '"':
			s.str()
		case '{', '[':
			depth++
			s.at++
		case '}', ']':
			depth--
			s.at++
			if depth < 0 {
				s.fail("%w: want a value", errJSON)
			}
		case ':':
			s.at++
			if depth == 0 {
				s.fail("%w: want a value", errJSON)
			}
			continue
		default:
			for s.at < len(s.text) && strings.IndexByte(scalarEnd, s.text[s.at]) < 0 {
				s.at++
			}
		}
		if depth <= 0 {
			return
		}
	}
}

// room returns n bytes that stay valid after the text is gone.
func (s *scanner) room(n int) []byte {
	if n > cap(s.pool)-len(s.pool) {
		s.pool = make([]byte, 0, max(n, 1<<14))
	}
	start := len(s.pool)
	s.pool = s.pool[:start+n]
	return s.pool[start : start+n : start+n]
}
