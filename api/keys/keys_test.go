package keys_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/api/access"
)

// What a key is asked for with breaks no rule, whoever asks.
func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	for name, tt := range map[string]struct {
		body  string
		field string
	}{
		"NoName":        {body: `{"owner":"o","scopes":["*:*"]}`, field: "name"},
		"BlankName":     {body: `{"name":" ","owner":"o","scopes":["*:*"]}`, field: "name"},
		"NoOwner":       {body: `{"name":"n","scopes":["*:*"]}`, field: "owner"},
		"BlankOwner":    {body: `{"name":"n","owner":" ","scopes":["*:*"]}`, field: "owner"},
		"NoScopes":      {body: `{"name":"n","owner":"o"}`, field: "scopes"},
		"EmptyScopes":   {body: `{"name":"n","owner":"o","scopes":[]}`, field: "scopes"},
		"NoScope":       {body: body("o", "users:read users", ""), field: "scopes"},
		"NoResource":    {body: body("o", "castles:read", ""), field: "scopes"},
		"NoAction":      {body: body("o", "users:fly", ""), field: "scopes"},
		"Past":          {body: body("o", "*:*", `,"expires_at":"2024-12-31T23:59:59Z"`), field: "expires_at"},
		"NoTime":        {body: body("o", "*:*", `,"expires_at":"tomorrow"`), field: "expires_at"},
		"Kind":          {body: body("o", "*:*", `,"kind":"magic"`), field: "kind"},
		"Environment":   {body: body("o", "*:*", `,"environment":"prod"`), field: "environment"},
		"TenantForm":    {body: body("o", "*:*", `,"tenant":"A B"`), field: "tenant"},
		"NoTenant":      {body: body("o", "*:*", `,"tenant":"nobody"`), field: "tenant"},
		"HostBits":      {body: body("o", "*:*", `,"addresses":["10.0.0.1/8"]`), field: "addresses"},
		"NoAddress":     {body: body("o", "*:*", `,"addresses":["localhost"]`), field: "addresses"},
		"Budget":        {body: body("o", "*:*", `,"per_minute":-1`), field: "per_minute"},
		"UnsignedQuery": {body: body("o", "*:*", `,"unsigned_query":true`), field: "unsigned_query"},
		"MetaData":      {body: body("o", "*:*", `,"meta_data":[]`), field: "meta_data"},
	} {
		refused := d.call(master, "POST", "/api-keys", tt.body)
		require.Equal(t, http.StatusBadRequest, refused.status, "%s: %s", name, refused.raw)
		require.Equal(t, "invalid_input", refused.text(t, "code"), name)
		require.Contains(t, refused.json(t, "errors"), tt.field, name)
		for _, sent := range []string{"castles", "fly", "tomorrow", "magic", "localhost"} {
			require.NotContains(t, refused.raw, sent, "what was sent is not repeated")
		}
	}
	require.Equal(t, "[]\n", d.call(master, "GET", "/api-keys?owner=o", "").raw)
}

// A key is shown once with all that was asked for, and comes back without its text.
func TestCreate(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	const meta = `{"big":9007199254740993,"bigger":123456789012345678901234567890`
	made := d.create(master, "team", "*:*", `,"expires_at":null,"kind":"signed","addresses":["127.0.0.0/8","2001:db8::1"],"per_minute":9,"unsigned_query":true,"meta_data":`+meta+`}`)
	id := made.text(t, "api_key_id")
	require.Equal(t, "tly_test_"+id, made.text(t, "key"))
	require.True(t, strings.HasPrefix(made.text(t, "secret"), "tly_test_"+id+"_"))
	require.Contains(t, made.raw, `"meta_data":`+meta+`,"TALLYD_GENERATED_BY":"master","BLNK_GENERATED_BY":"master"}`)
	listed := d.call(master, "GET", "/v1/api-keys?owner=team", "")
	require.Contains(t, listed.raw, meta)
	require.NotContains(t, listed.raw, made.text(t, "secret"))
	for _, a := range []answer{made, listed} {
		path := []any{}
		if a.raw[0] == '[' {
			path = append(path, 0)
		}
		member := func(name string) any { return a.json(t, append(slices.Clone(path), name)...) }
		require.Nil(t, member("expires_at"))
		require.Equal(t, "signed", member("kind"))
		require.Equal(t, "test", member("environment"))
		require.Equal(t, "default", member("tenant"))
		require.Equal(t, []any{"127.0.0.0/8", "2001:db8::1/128"}, member("addresses"))
		require.EqualValues(t, "9", member("per_minute"))
		require.Equal(t, true, member("unsigned_query"))
		require.Equal(t, "master", member("created_by"))
		require.Nil(t, member("previous_valid_until"))
	}
	require.Equal(t, http.StatusOK, d.signed(made.text(t, "key"), made.text(t, "secret"), "GET", "/v1/chains", "").status)
	require.Equal(t, http.StatusUnauthorized, d.call(made.text(t, "key"), "GET", "/v1/chains", "").status)
	require.Equal(t, http.StatusUnauthorized, d.call(made.text(t, "secret"), "GET", "/v1/chains", "").status)

	// What a key makes is made by that key.
	admin := d.create(master, "team", "*:*", "")
	child := d.create(admin.text(t, "key"), "team", "chains:read", "")
	require.Equal(t, admin.text(t, "api_key_id"), child.text(t, "created_by"))
	require.Equal(t, admin.text(t, "api_key_id"), child.text(t, "meta_data", "BLNK_GENERATED_BY"))
	require.Equal(t, http.StatusOK, d.call(child.text(t, "key"), "GET", "/v1/chains", "").status)
}

// A key makes keys of its own owner, tenant and environment that can do no more
// than itself, and no other.
func TestKeysMakeNoBroaderKeys(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	wide := d.create(master, "team", "api-keys:* chains:read transactions:write", "").text(t, "key")
	narrow := d.create(master, "team", "*:*", `,"addresses":["127.0.0.0/8","10.0.0.0/8"],"per_minute":100`).text(t, "key")
	const forbidden, bad = http.StatusForbidden, http.StatusBadRequest
	for name, tt := range map[string]struct {
		key, body string
		status    int
		code      string
	}{
		"Same":          {key: wide, body: body("team", "api-keys:* chains:read", ""), status: 201},
		"Part":          {key: wide, body: body("team", "api-keys:read transactions:create", ""), status: 201},
		"OtherOwner":    {key: wide, body: body("other", "chains:read", ""), status: forbidden, code: "cross_owner"},
		"OtherResource": {key: wide, body: body("team", "chains:read users:read", ""), status: forbidden, code: "scope_escalation"},
		"OtherAction":   {key: wide, body: body("team", "chains:write", ""), status: forbidden, code: "scope_escalation"},
		"AnyAction":     {key: wide, body: body("team", "chains:*", ""), status: forbidden, code: "scope_escalation"},
		"AnyResource":   {key: wide, body: body("team", "*:read", ""), status: forbidden, code: "scope_escalation"},
		"Budget":        {key: wide, body: body("team", "chains:read", `,"per_minute":1000000`), status: forbidden, code: "scope_escalation"},
		"OtherTenant":   {key: wide, body: body("team", "chains:read", `,"tenant":"acme"`), status: bad, code: "invalid_input"},
		"Live":          {key: wide, body: body("team", "chains:read", `,"environment":"live"`), status: bad, code: "invalid_input"},
		"Addresses":     {key: wide, body: body("team", "chains:read", `,"addresses":["10.0.0.0/8"]`), status: 201},
		"Within":        {key: narrow, body: body("team", "*:*", `,"addresses":["10.1.0.0/16","127.0.0.1"],"per_minute":99`), status: 201},
		"Beyond":        {key: narrow, body: body("team", "*:*", `,"addresses":["10.1.0.0/16","11.0.0.0/8"]`), status: forbidden, code: "scope_escalation"},
		"Wider":         {key: narrow, body: body("team", "*:*", `,"addresses":["0.0.0.0/0"]`), status: forbidden, code: "scope_escalation"},
		"LargerBudget":  {key: narrow, body: body("team", "*:*", `,"per_minute":101`), status: forbidden, code: "scope_escalation"},
		"DefaultBudget": {key: narrow, body: body("team", "*:*", `,"per_minute":0`), status: forbidden, code: "scope_escalation"},
	} {
		got := d.call(tt.key, "POST", "/api-keys", tt.body)
		require.Equal(t, tt.status, got.status, "%s: %s", name, got.raw)
		if tt.code != "" {
			require.Equal(t, tt.code, got.text(t, "code"), name)
		}
	}
	// What is not said is as the caller's own.
	child := d.create(narrow, "team", "*:*", `,"addresses":[]`)
	require.Equal(t, []any{"127.0.0.0/8", "10.0.0.0/8"}, child.json(t, "addresses"))
	require.EqualValues(t, "100", child.json(t, "per_minute"))
}

// A key cannot look at, change, rotate or end another owner's keys, nor get hold
// of one that can do more than itself.
func TestKeysTouchNoOthers(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	admin := d.create(master, "team", "api-keys:* chains:read", "").text(t, "key")
	other := d.create(master, "other", "chains:read", "").text(t, "api_key_id")
	broad := d.create(master, "team", "*:*", "").text(t, "api_key_id")
	elsewhere := d.create(master, "team", "chains:read", `,"environment":"live"`).text(t, "api_key_id")
	own := d.create(admin, "team", "chains:read", "").text(t, "api_key_id")
	const forbidden, missing = http.StatusForbidden, http.StatusNotFound
	for name, tt := range map[string]struct {
		call, body string
		status     int
		code       string
	}{
		"ListOther":         {call: "GET /api-keys?owner=other", status: forbidden, code: "cross_owner"},
		"RevokeOther":       {call: "DELETE /api-keys/" + other + "?owner=other", status: forbidden, code: "cross_owner"},
		"RevokeAsOwn":       {call: "DELETE /api-keys/" + other + "?owner=team", status: forbidden, code: "cross_owner"},
		"ChangeOther":       {call: "PATCH /api-keys/" + other, body: `{"name":"x"}`, status: forbidden, code: "cross_owner"},
		"RotateOther":       {call: "POST /api-keys/" + other + "/rotate", status: forbidden, code: "cross_owner"},
		"RotateBroad":       {call: "POST /api-keys/" + broad + "/rotate", status: forbidden, code: "scope_escalation"},
		"ChangeBroad":       {call: "PATCH /api-keys/" + broad, body: `{"name":"x"}`, status: forbidden, code: "scope_escalation"},
		"Broaden":           {call: "PATCH /api-keys/" + own, body: `{"scopes":["users:read"]}`, status: forbidden, code: "scope_escalation"},
		"Budget":            {call: "PATCH /api-keys/" + own, body: `{"per_minute":100000}`, status: forbidden, code: "scope_escalation"},
		"RevokeElsewhere":   {call: "DELETE /api-keys/" + elsewhere + "?owner=team", status: missing, code: "not_found"},
		"RotateElsewhere":   {call: "POST /api-keys/" + elsewhere + "/rotate", status: missing, code: "not_found"},
		"ChangeElsewhere":   {call: "PATCH /api-keys/" + elsewhere, body: `{"name":"x"}`, status: missing, code: "not_found"},
		"RevokeUnknown":     {call: "DELETE /api-keys/AbCdEf123456?owner=team", status: missing, code: "not_found"},
		"MakeTenants":       {call: "POST /v1/tenants", body: `{"id":"x"}`, status: forbidden, code: "insufficient_scope"},
		"ListTenants":       {call: "GET /v1/tenants", status: forbidden, code: "insufficient_scope"},
		"ReadAudit":         {call: "GET /v1/audit", status: forbidden, code: "insufficient_scope"},
		"OwnNamedOtherwise": {call: "PATCH /api-keys/" + own + "?owner=other", body: `{"name":"x"}`, status: forbidden, code: "cross_owner"},
	} {
		method, path, _ := strings.Cut(tt.call, " ")
		got := d.call(admin, method, path, tt.body)
		require.Equal(t, tt.status, got.status, "%s: %s", name, got.raw)
		require.Equal(t, tt.code, got.text(t, "code"), name)
	}
	for _, id := range []string{other, broad, elsewhere, own} {
		key, err := d.KeyByID(t.Context(), id)
		require.NoError(t, err)
		require.EqualValues(t, 1, key.Version, "nothing changed")
	}
}

// Whatever scopes a key has and asks for, it gets a key exactly when it could do
// all of that itself.
func TestMintingModel(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	resources, actions := []string{"api-keys", "users", "vaults"}, []string{"read", "write", "create", "delete"}
	allowed := func(scopes []string, resource, action string) bool {
		for _, scope := range scopes {
			r, a, _ := strings.Cut(scope, ":")
			if (r == "*" || r == resource) && (a == "*" || a == action || a == "write" && action == "create") {
				return true
			}
		}
		return false
	}
	rapid.Check(t, func(rt *rapid.T) {
		scope := rapid.Custom(func(rt *rapid.T) string {
			return rapid.SampledFrom(append([]string{"*"}, resources...)).Draw(rt, "resource") + ":" +
				rapid.SampledFrom(append([]string{"*"}, actions...)).Draw(rt, "action")
		})
		own := append([]string{"api-keys:write"}, rapid.SliceOfN(scope, 0, 3).Draw(rt, "own")...)
		asked := rapid.SliceOfN(scope, 1, 3).Draw(rt, "asked")
		by := d.create(master, "team", strings.Join(own, " "), "").text(t, "key")
		got := d.call(by, "POST", "/api-keys", body("team", strings.Join(asked, " "), ""))
		// A wildcard also covers resources that only others have.
		broader := false
		for _, resource := range append([]string{"backup"}, resources...) {
			for _, action := range actions {
				broader = broader || allowed(asked, resource, action) && !allowed(own, resource, action)
			}
		}
		if broader {
			require.Equal(rt, http.StatusForbidden, got.status, "%v asks for %v", own, asked)
			return
		}
		// One scope must hold each: several that make it up together are not seen.
		if got.status == http.StatusForbidden {
			for _, scope := range asked {
				if !slices.ContainsFunc(own, func(o string) bool { return access.Covers(o, scope) }) {
					require.Contains(rt, scope, "*")
				}
			}
			return
		}
		require.Equal(rt, http.StatusCreated, got.status, got.raw)
	})
}

func TestChange(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	made := d.create(master, "team", "chains:read", `,"expires_at":"`+later+`"`)
	key, path := made.text(t, "key"), "/v1/api-keys/"+made.text(t, "api_key_id")
	changed := d.call(master, "PATCH", path, `{"name":"m","expires_at":null,"scopes":["users:read","chains:*"],"addresses":["127.0.0.0/8"],"per_minute":50}`)
	require.Equal(t, http.StatusOK, changed.status, changed.raw)
	require.Equal(t, "m", changed.text(t, "name"))
	require.Nil(t, changed.json(t, "expires_at"))
	require.Equal(t, []any{"users:read", "chains:*"}, changed.json(t, "scopes"))
	require.Equal(t, []any{"127.0.0.0/8"}, changed.json(t, "addresses"))
	require.EqualValues(t, "50", changed.json(t, "per_minute"))
	require.Equal(t, "50", d.call(key, "GET", "/v1/chains", "").header.Get("RateLimit-Limit"))

	// What is not sent stays.
	changed = d.call(master, "PATCH", path+"?owner=team", `{"expires_at":"`+later+`"}`)
	require.Equal(t, later, changed.text(t, "expires_at"))
	require.Equal(t, "m", changed.text(t, "name"))
	require.Equal(t, []any{"127.0.0.0/8"}, changed.json(t, "addresses"))
	changed = d.call(master, "PATCH", path, `{"addresses":[],"per_minute":0}`)
	require.Equal(t, []any{}, changed.json(t, "addresses"))
	require.Equal(t, http.StatusForbidden, d.call(key, "PATCH", path, `{"name":"x"}`).status)

	for field, sent := range map[string]string{
		"name": `{"name":" "}`, "expires_at": `{"expires_at":"2001-01-01T00:00:00Z"}`, "scopes": `{"scopes":["x:y"]}`,
		"addresses": `{"addresses":["x"]}`, "unsigned_query": `{"unsigned_query":true}`, "per_minute": `{"per_minute":-1}`,
	} {
		refused := d.call(master, "PATCH", path, sent)
		require.Equal(t, http.StatusBadRequest, refused.status, field)
		require.Contains(t, refused.json(t, "errors"), field)
	}
	require.Equal(t, http.StatusForbidden, d.call(master, "PATCH", path+"?owner=other", `{"name":"x"}`).status)
	require.Equal(t, http.StatusNoContent, d.call(master, "DELETE", path+"?owner=team", "").status)
	refused := d.call(master, "PATCH", path, `{"name":"x"}`)
	require.Equal(t, http.StatusConflict, refused.status)
	require.Equal(t, "key_ended", refused.text(t, "code"))
}

// A rotated key has two texts for a while, and nobody is locked out by rotating it
// again too soon.
func TestRotate(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	for _, kind := range []string{"bearer", "signed"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			made := d.create(master, "team", "chains:read api-keys:write", `,"kind":"`+kind+`"`)
			id := made.text(t, "api_key_id")
			opens := func(a answer) bool {
				t.Helper()
				var got answer
				if kind == "signed" {
					got = d.signed(a.text(t, "key"), a.text(t, "secret"), "GET", "/v1/chains", "")
				} else {
					got = d.call(a.text(t, "key"), "GET", "/v1/chains", "")
				}
				require.Contains(t, []int{200, 401}, got.status, got.raw)
				return got.status == 200
			}
			rotate := func(body string) answer { return d.call(master, "POST", "/api-keys/"+id+"/rotate", body) }
			second := rotate("")
			require.Equal(t, http.StatusOK, second.status, second.raw)
			require.Equal(t, id, second.text(t, "api_key_id"))
			until, err := time.Parse(time.RFC3339, second.text(t, "previous_valid_until"))
			require.NoError(t, err)
			require.WithinDuration(t, time.Now().Add(24*time.Hour), until, time.Minute)
			require.True(t, opens(made))
			require.True(t, opens(second))

			soon := rotate(`{"overlap_seconds":60}`)
			require.Equal(t, http.StatusConflict, soon.status)
			require.Equal(t, "key_rotating", soon.text(t, "code"))
			require.True(t, opens(made))
			require.True(t, opens(second))

			third := rotate(`{"overlap_seconds":0}`)
			require.Equal(t, http.StatusOK, third.status, third.raw)
			require.Nil(t, third.json(t, "previous_valid_until"))
			require.False(t, opens(made))
			require.False(t, opens(second))
			require.True(t, opens(third))

			require.Equal(t, http.StatusBadRequest, rotate(`{"overlap_seconds":-1}`).status)
			require.Equal(t, http.StatusNoContent, d.call(master, "DELETE", "/api-keys/"+id+"?owner=team", "").status)
			require.Equal(t, "key_ended", rotate("").text(t, "code"))
		})
	}
	// A key rotates itself.
	own := d.create(master, "team", "api-keys:write", "")
	next := d.call(own.text(t, "key"), "POST", "/v1/api-keys/"+own.text(t, "api_key_id")+"/rotate", `{"overlap_seconds":0}`)
	require.Equal(t, http.StatusOK, next.status, next.raw)
	require.Equal(t, http.StatusUnauthorized, d.call(own.text(t, "key"), "GET", "/v1/chains", "").status)
	require.Equal(t, http.StatusForbidden, d.call(next.text(t, "key"), "GET", "/v1/chains", "").status)
}

// Asked for again with the same Idempotency-Key, a key is made once and shown
// again.
func TestCreateOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	create := func(once, body string) answer {
		return d.call(master, "POST", "/api-keys", body, "Idempotency-Key", once)
	}
	first := create("a", body("team", "*:*", ""))
	require.Equal(t, http.StatusCreated, first.status, first.raw)
	again := create("a", body("team", "*:*", ""))
	require.Equal(t, http.StatusCreated, again.status)
	require.Equal(t, first.raw, again.raw)
	require.Equal(t, http.StatusBadRequest, create("a", body("team", "*:read", "")).status)
	require.Equal(t, http.StatusCreated, create("b", body("team", "*:*", "")).status)
	require.Len(t, d.call(master, "GET", "/api-keys?owner=team", "").json(t), 2)
	// On the other path it is another request.
	require.Equal(t, http.StatusCreated, d.call(master, "POST", "/v1/api-keys", body("team", "*:*", ""), "Idempotency-Key", "a").status)
	require.Len(t, d.call(master, "GET", "/api-keys?owner=team", "").json(t), 3)
}

// What no text can be is refused, and is no fault.
func TestTextsThatAreNone(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	for _, text := range []string{"%00", "%ff", "a%00b"} {
		for _, call := range []string{
			"GET /api-keys?owner=" + text, "GET /v1/audit?caller=" + text, "DELETE /api-keys/" + text + "?owner=o",
			"PATCH /api-keys/" + text, "POST /api-keys/" + text + "/rotate",
		} {
			method, path, _ := strings.Cut(call, " ")
			body := ""
			if method == http.MethodPatch {
				body = "{}"
			}
			got := d.call(master, method, path, body)
			require.Equal(t, http.StatusBadRequest, got.status, "%s: %s", call, got.raw)
		}
	}
	key := d.create(master, "team", "*:*", "").text(t, "api_key_id")
	require.Equal(t, http.StatusBadRequest, d.call(master, "DELETE", "/api-keys/"+key+"?owner=%00", "").status)
}
