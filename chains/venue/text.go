package venue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Text is a JSON string, or the digits of a JSON number, or the word of a
// boolean: venues write their codes and ids now as one and now as the other. null
// is "".
type Text string

// UnmarshalJSON reads one value by its characters.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return fmt.Errorf("read a text: %w", err)
		}
		*t = Text(s)
		return nil
	}
	if len(b) > 0 && (b[0] == '{' || b[0] == '[') {
		return errors.New("read a text: there is an object or a list")
	}
	*t = Text(bare(b))
	return nil
}

// Moment is a time that a venue wrote: as seconds, milliseconds, microseconds or
// nanoseconds since 1970, told apart by their size, or as a date. Zero, null and
// "" are no time. Before 2001 there is no venue.
type Moment struct{ time.Time }

// UnmarshalJSON reads one time.
func (m *Moment) UnmarshalJSON(b []byte) error {
	var t Text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	parsed, err := ParseMoment(string(t))
	if err != nil {
		return err
	}
	m.Time = parsed
	return nil
}

// ParseMoment reads a time as Moment does. A date without a zone is in UTC.
func ParseMoment(s string) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	if n, err := strconv.ParseInt(whole, 10, 64); err == nil && n >= 0 && isDigits(fraction) {
		return sinceEpoch(n, fraction), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("read %.40q: not a time", s)
}

// sinceEpoch returns the time n units after 1970. The unit follows from the
// size: milliseconds of 2001 are more than seconds of any year to come.
func sinceEpoch(n int64, fraction string) time.Time {
	unit := time.Second
	switch {
	case n >= 1e18:
		unit = time.Nanosecond
	case n >= 1e15:
		unit = time.Microsecond
	case n >= 1e11:
		unit = time.Millisecond
	}
	perSecond := int64(time.Second / unit)
	t := time.Unix(n/perSecond, n%perSecond*int64(unit)).UTC()
	if fraction == "" || unit == time.Nanosecond {
		return t
	}
	nanos, _ := strconv.ParseInt((fraction + "000000000")[:9], 10, 64) // digits only
	return t.Add(time.Duration(nanos) * unit / time.Second)
}

// Decode reads one JSON document. Numbers without a type of their own stay text,
// and what stands after the document is an error.
func Decode(doc []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("decode the answer: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("decode the answer: there is more after it")
	}
	return nil
}

// Millis and Seconds write a time as venues take it in parameters.
func Millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// Seconds returns the whole seconds since 1970.
func Seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// bare returns the characters of a JSON string or number, and "" for null.
func bare(b []byte) string {
	s := string(b)
	if s == "null" {
		return ""
	}
	return strings.Trim(s, `"`)
}
