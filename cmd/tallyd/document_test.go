package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains/venue"
	"tallyd/config"
)

// everySurface is the document of a daemon with every surface, and nothing behind it.
var everySurface = sync.OnceValues(func() ([]byte, error) {
	d := &daemon{owner: uuid.New(), log: zerolog.Nop(), asked: newVenueTraffic()}
	d.cfg.API = config.API{
		MasterKey: config.NewSecret(testMaster), KeyPepper: config.NewSecret(testPepper),
		JWTSeed: config.NewSecret(base64.StdEncoding.EncodeToString(make([]byte, 32))),
	}
	d.cfg.Chains = map[string]config.Chain{"btc": config.DefaultChain(config.FamilyBitcoin), "eth": config.DefaultChain(config.FamilyEVM)}
	d.status, d.limiter, d.replays = d.store, access.NewLocal(nil), d.store
	d.venues = venue.NewTransport(transportOptions(d.cfg.Venues))
	d.hooks = newWebhooks(d.cfg.Webhooks, d.store, d.owner, d.log)
	var err error
	if d.prices, err = newPricing(d.cfg.Prices, d.log); err != nil {
		return nil, err
	}
	if d.gate, err = d.openGate(); err != nil {
		return nil, err
	}
	router, err := d.router()
	if err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), "GET", "/openapi.json", nil))
	return w.Body.Bytes(), nil
})

// TestDocument mounts every surface of the daemon into one document, without
// anything behind it: no two may name a type or an operation alike.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := everySurface()
	require.NoError(t, err)
	var doc struct {
		Paths      map[string]map[string]struct{ OperationID string }
		Webhooks   map[string]any
		Components struct{ Schemas map[string]any }
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	for _, path := range []string{"/v1/users", "/v1/aggregate/balance", "/v1/webhooks/endpoints", "/v1/events", "/v1/chains"} {
		require.Contains(t, doc.Paths, path)
	}
	require.NotEmpty(t, doc.Webhooks)
	named := map[string]string{}
	for path, item := range doc.Paths {
		for method, op := range item {
			require.NotContains(t, named, op.OperationID, "%s %s", method, path)
			named[op.OperationID] = path
		}
	}
	for _, reference := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		name, found := strings.CutPrefix(reference[1], "#/components/schemas/")
		require.True(t, found, reference[1])
		require.Contains(t, doc.Components.Schemas, name)
	}
}
