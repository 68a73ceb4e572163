package access

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/problem"
)

const (
	// MaxMetaData is the size of the largest meta_data in bytes.
	MaxMetaData = 16 << 10

	// maxNesting is how many arrays and objects may stand within each other in it.
	maxNesting = 64
)

// generatedBy are the members that say who created a thing: ours, and the one that
// clients of Blnk look for. Nobody else can write them.
func generatedBy() []string { return []string{"TALLYD_GENERATED_BY", "BLNK_GENERATED_BY"} }

// MetaData is a caller's own object about what it creates. It is a text from end to
// end: no number in it is ever read.
type MetaData json.RawMessage

// UnmarshalJSON keeps the text. null is none.
func (m *MetaData) UnmarshalJSON(text []byte) error {
	*m = nil
	if string(text) != "null" {
		*m = slices.Clone(text)
	}
	return nil
}

// MarshalJSON writes the text; of none it writes an empty object.
func (m MetaData) MarshalJSON() ([]byte, error) {
	if len(m) == 0 {
		return []byte("{}"), nil
	}
	return m, nil
}

// Schema describes any object.
func (MetaData) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Description: fmt.Sprintf("Your own object, of at most %d bytes, returned as it was sent. Beside its members stand %s and %s, which name who created this",
			MaxMetaData, generatedBy()[0], generatedBy()[1]),
		Examples: []any{map[string]any{"custom_field": "your_value"}},
	}
}

// Check returns a problem of a field if the object is too large, too deep, or no
// UTF-8.
func (m MetaData) Check(field string) error {
	switch {
	case len(m) > MaxMetaData:
		return problem.Invalid(field, "expected at most "+strconv.Itoa(MaxMetaData)+" bytes")
	case !utf8.Valid(m):
		return problem.Invalid(field, "expected UTF-8")
	}
	if _, depth := membersOf(m); depth > maxNesting {
		return problem.Invalid(field, "nested too deeply")
	}
	return nil
}

// Created is the part of an answer that says who created a thing and what they
// wrote about it. Answers embed it.
type Created struct {
	CreatedBy string   `json:"created_by" doc:"Id of the API key; master; cli for the operator's command line; or user: and the id of the user" example:"AbCdEf123456"`
	MetaData  MetaData `json:"meta_data"`
}

// CreatedBy returns that part as it was kept.
func CreatedBy(by string, meta json.RawMessage) Created {
	return Created{CreatedBy: by, MetaData: MetaData(meta)}
}

// Stamp returns meta_data as it is kept: the caller's members as they were written,
// and those that name the caller. It returns a problem if the object is too large,
// too deep, or no UTF-8.
func (p Principal) Stamp(m MetaData) (json.RawMessage, error) {
	if err := m.Check("meta_data"); err != nil {
		return nil, err
	}
	members, _ := membersOf(m)
	by, err := json.Marshal(p.Name())
	if err != nil {
		return nil, fmt.Errorf("write the caller's name: %w", err)
	}
	text := []byte{'{'}
	for _, member := range members {
		if slices.Contains(generatedBy(), member.name()) {
			continue // forged, or taken from another thing
		}
		text = append(append(text, member.text...), ',')
	}
	for i, name := range generatedBy() {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(append(text, '"'), name...), `":`...)
		text = append(text, by...)
	}
	return append(text, '}'), nil
}

// member is one member of an object, as it is written.
type member struct {
	text []byte // name, colon and value, without space around them
	end  int    // of the name
}

// name returns the name that is meant: escapes may spell it otherwise.
func (m member) name() string {
	var name string
	// The text was parsed before.
	_ = json.Unmarshal(m.text[:m.end], &name)
	return name
}

// membersOf returns the members of an object, and how many levels it has. The text
// is a valid one; anything else has none.
func membersOf(object []byte) ([]member, int) {
	var members []member
	depth, deepest, begin, end := 0, 0, -1, 0 // begin and the end of its name are of the member that is being read
	for i := 0; i < len(object); i++ {
		switch object[i] {
		case ' ', '\t', '\r', '\n':
		case '"':
			after := skipString(object, i)
			if depth == 1 && begin < 0 {
				begin, end = i, after-i
			}
			i = after - 1
		case '{', '[':
			depth++
			deepest = max(deepest, depth)
		case '}', ']':
			depth--
			if depth == 0 && begin >= 0 {
				members = append(members, member{text: bytes.TrimRight(object[begin:i], " \t\r\n"), end: end})
			}
		case ',':
			if depth == 1 && begin >= 0 {
				members = append(members, member{text: bytes.TrimRight(object[begin:i], " \t\r\n"), end: end})
				begin = -1
			}
		}
	}
	return members, deepest
}

// skipString returns the place behind the string that begins at i.
func skipString(text []byte, i int) int {
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
