package venue

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotAllowed says that a venue may not be asked this. Nothing was sent, and
// nothing was dialled.
var ErrNotAllowed = errors.New("not among what the venue may be asked")

// Route is one question that a venue may be asked.
type Route struct {
	Method string
	Host   string // by its name in the region
	Path   string // a segment in braces stands for one id
	Cost   int    // what it takes of its budget; 0 is 1
	Budget string // by name; "" is the first

	// Body says whether a body may be sent, where one path serves more than
	// reading: nil lets every body through.
	Body func(body string) error
}

// route returns the route of a request, or ErrNotAllowed. A path is compared as
// it would be sent: what a server might read in another way is refused.
func (v Venue) route(r Request) (Route, error) {
	for _, route := range v.Routes {
		if route.Method != r.Method || route.Host != r.Host || !fits(route.Path, r.Path) {
			continue
		}
		if route.Body != nil {
			if err := route.Body(r.Body); err != nil {
				return Route{}, fmt.Errorf("%s %s of %s: %w: %w", r.Method, r.Path, v.Name, ErrNotAllowed, err)
			}
		}
		return route, nil
	}
	return Route{}, fmt.Errorf("%s %.80q of %s: %w", r.Method, r.Path, v.Name, ErrNotAllowed)
}

// fits reports whether a path is one of a pattern.
func fits(pattern, path string) bool {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i, segment := range want {
		if strings.HasPrefix(segment, "{") {
			if !isID(got[i]) {
				return false
			}
		} else if segment != got[i] {
			return false
		}
	}
	return true
}

// isID reports whether a segment of a path can be an id and nothing else.
func isID(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
