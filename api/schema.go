package api

import (
	"path"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// plainRooms are the rooms whose types keep their own names in the document.
// Those of other surfaces stand behind the surface's name: two surfaces may both
// have a message, an account or a page.
var plainRooms = map[string]bool{"api": true, "accounts": true, "problem": true}

// schemaName names a type in the document.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	room := path.Base(t.PkgPath())
	if t.Name() == "" || t.PkgPath() == "" || !strings.Contains(t.PkgPath(), "/api") || plainRooms[room] {
		return name
	}
	surface := strings.ToUpper(room[:1]) + room[1:]
	return surface + strings.TrimPrefix(name, surface)
}
