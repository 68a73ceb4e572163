package main

import (
	"encoding/json"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"tallyd/indexer"
)

// asDocumented holds the data of events against what the document says of them.
func asDocumented(t testing.TB, events []indexer.Event) {
	t.Helper()
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	forms := map[string][]*huma.Schema{}
	for _, kind := range eventTypes() {
		forms[kind.Name] = append(forms[kind.Name], registry.Schema(kind.Data, true, kind.Name+"Data"))
	}
	for _, e := range events {
		require.NotEmpty(t, forms[e.Type], "%s is not in the document", e.Type)
		var data any
		require.NoError(t, json.Unmarshal(e.Data, &data))
		var faults []error
		for _, form := range forms[e.Type] {
			result := &huma.ValidateResult{}
			huma.Validate(registry, form, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, data, result)
			if len(result.Errors) == 0 {
				faults = nil
				break
			}
			faults = append(faults, result.Errors...)
		}
		require.Empty(t, faults, "%s: %s", e.Type, e.Data)
	}
}
