package api

import (
	"path"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// schemaName names a type in the document. The types of the first surface, and
// those of all, keep their own names. Those of the other surfaces stand behind the
// surface's: two may both have a message, an account or a page.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() == "" || !strings.Contains(t.PkgPath(), "/api/") {
		return name
	}
	switch room := path.Base(t.PkgPath()); room {
	case "accounts", "problem":
		return name
	default:
		surface := strings.ToUpper(room[:1]) + room[1:]
		return surface + strings.TrimPrefix(name, surface)
	}
}
