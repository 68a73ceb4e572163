// Package migrations embeds the numbered SQL files that make the schema. They
// go forward only and are applied by store.Migrate.
package migrations

import "embed"

// Files holds the SQL files, in goose's format.
//
//go:embed *.sql
var Files embed.FS
