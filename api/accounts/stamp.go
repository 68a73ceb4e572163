package accounts

import (
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// stamp is a time as Blockmate writes it: microseconds and +00:00, never Z.
type stamp time.Time

// MarshalJSON writes the time in UTC.
func (s stamp) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(s).UTC().Format(`"2006-01-02T15:04:05.000000+00:00"`)), nil
}

// Schema describes the time for the OpenAPI document.
func (stamp) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{"2022-07-21T09:21:37.384496+00:00"}}
}

// nullable returns nil for a time that is not known.
func nullable(t *time.Time) *stamp {
	if t == nil || t.IsZero() {
		return nil
	}
	s := stamp(*t)
	return &s
}
