package venue

import (
	"encoding/json"
	"strings"
)

// Hollow reports whether a document tells of nothing held: its lists are empty
// and its numbers are 0. It is for wallets whose answers no reference describes: an
// empty one can be told, and any other is reported as one that was not read.
func Hollow(doc json.RawMessage) bool {
	if len(doc) == 0 {
		return true
	}
	var value any
	if err := Decode(doc, &value); err != nil {
		return false
	}
	return isHollow(value)
}

func isHollow(value any) bool {
	switch v := value.(type) {
	case nil, bool:
		return true
	case json.Number:
		return strings.Trim(v.String(), "-0.") == ""
	case string:
		d, err := ParseDecimal(v)
		return err != nil || d.Sign() == 0
	case []any:
		return len(v) == 0
	case map[string]any:
		for _, member := range v {
			if !isHollow(member) {
				return false
			}
		}
	}
	return true
}
