package venuetest

import (
	"crypto/hmac"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"tallyd/chains/venue"
)

// MAC is an HMAC, for handlers that check signatures without the code they test.
func MAC(of func() hash.Hash, secret, text string) []byte {
	m := hmac.New(of, []byte(secret))
	_, _ = io.WriteString(m, text)
	return m.Sum(nil)
}

// Body returns the body of a request.
func Body(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	return string(body)
}

// Target returns path and query of a request, in the bytes that were sent.
func Target(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return r.URL.Path
	}
	return r.URL.Path + "?" + r.URL.RawQuery
}

// BetweenText is Between with times as a request writes them.
func (w *World) BetweenText(stream venue.Stream, from, to string) []Row {
	start, _ := venue.ParseMoment(from)
	end, _ := venue.ParseMoment(to)
	return w.Between(stream, start, end)
}

// After returns the rows that come after the one with an id; all for "".
func After(rows []Row, id string) []Row {
	for i, row := range rows {
		if row.ID == id {
			return rows[i+1:]
		}
	}
	return rows
}

// Number reads a parameter, 0 for "".
func Number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// Positive returns an amount without its sign.
func Positive(amount string) string { return strings.TrimPrefix(amount, "-") }

// Write returns each row as a venue writes it.
func Write(rows []Row, write func(Row) map[string]any) []any {
	list := []any{}
	for _, row := range rows {
		list = append(list, write(row))
	}
	return list
}
