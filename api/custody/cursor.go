package custody

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/google/uuid"

	"tallyd/api/problem"
	"tallyd/indexer/custody"
)

// list is what a cursor belongs to: in another list it would be a place too, and
// what comes before it would be left out without a word.
type list byte

// Cursors are kept by those who read: a number is given to one list only, and 1 was
// that of all.
const (
	vaultList list = iota + 2
	walletList
	addressList
	transactionList
	depositList
	bookList
)

const cursorSize = 1 + 8 + len(uuid.UUID{})

// cursor returns a place in a list as an opaque text, nil for none. It says nothing
// that its reader did not see, and a forged one is only another place in the
// reader's own list.
func (l list) cursor(at *custody.Place) *string {
	if at == nil {
		return nil
	}
	raw := make([]byte, 0, cursorSize)
	raw = append(raw, byte(l))
	raw = binary.BigEndian.AppendUint64(raw, uint64(at.Time.UnixMicro())) //nolint:gosec // the same bits
	raw = append(raw, at.ID[:]...)
	text := base64.RawURLEncoding.EncodeToString(raw)
	return &text
}

// place reads what cursor wrote for the same list. It returns nil for "".
func (l list) place(text string) (*custody.Place, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // the beginning of a list is no error
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != cursorSize || raw[0] != byte(l) {
		return nil, badCursor()
	}
	at := custody.Place{Time: time.UnixMicro(int64(binary.BigEndian.Uint64(raw[1:]))).UTC()} //nolint:gosec // the same bits
	copy(at.ID[:], raw[9:])
	// Postgres knows no time before, nor one so far ahead.
	if year := at.Time.Year(); year < 1970 || year > 9999 {
		return nil, badCursor()
	}
	return &at, nil
}

func badCursor() *problem.Problem {
	return problem.New(http.StatusBadRequest, problem.InvalidCursor, "cursor is not valid").
		Field("cursor", "not a nextCursor of an earlier answer of this list")
}
