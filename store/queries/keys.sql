-- name: CreateKey :one
-- CreateKey adds a key to a realm.
INSERT INTO keys (
    id,
    tenant,
    environment,
    owner,
    name,
    hash,
    scopes,
    created_at,
    expires_at,
    kind,
    secret,
    unsigned_query,
    addresses,
    per_minute,
    created_by,
    meta_data
)
VALUES (
    @id,
    @tenant,
    @environment,
    @owner,
    @name,
    @hash,
    @scopes,
    @created_at,
    @expires_at,
    @kind,
    @secret,
    @unsigned_query,
    @addresses,
    @per_minute,
    @created_by,
    @meta_data
)
ON CONFLICT DO NOTHING
RETURNING created_at;

-- name: KeyByID :one
-- KeyByID returns a key, also a revoked or expired one.
SELECT
    id,
    tenant,
    environment,
    owner,
    name,
    hash,
    scopes,
    created_at,
    expires_at,
    last_used_at,
    revoked_at,
    kind,
    secret,
    old_hash,
    old_secret,
    old_until,
    unsigned_query,
    addresses,
    per_minute,
    created_by,
    meta_data,
    version,
    changed_at
FROM keys WHERE id = @id;

-- name: Keys :many
-- Keys returns the keys of a realm, oldest first, of one owner unless that is
-- empty.
SELECT
    id,
    tenant,
    environment,
    owner,
    name,
    hash,
    scopes,
    created_at,
    expires_at,
    last_used_at,
    revoked_at,
    kind,
    secret,
    old_hash,
    old_secret,
    old_until,
    unsigned_query,
    addresses,
    per_minute,
    created_by,
    meta_data,
    version,
    changed_at
FROM keys
WHERE tenant = @tenant
AND environment = @environment
AND (owner = @owner OR @owner = '')
ORDER BY created_at, id;

-- name: LockKey :one
-- LockKey returns one key of a realm and keeps others from changing it.
SELECT
    id,
    tenant,
    environment,
    owner,
    name,
    hash,
    scopes,
    created_at,
    expires_at,
    last_used_at,
    revoked_at,
    kind,
    secret,
    old_hash,
    old_secret,
    old_until,
    unsigned_query,
    addresses,
    per_minute,
    created_by,
    meta_data,
    version,
    changed_at
FROM keys
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
FOR UPDATE;

-- name: ChangeKey :one
-- ChangeKey stores what can be changed of a key. The time is that of the clock and
-- not of the transaction, which may have begun long ago: see KeysChanged.
UPDATE keys
SET
    name = @name,
    hash = @hash,
    scopes = @scopes,
    expires_at = @expires_at,
    revoked_at = @revoked_at,
    secret = @secret,
    old_hash = @old_hash,
    old_secret = @old_secret,
    old_until = @old_until,
    unsigned_query = @unsigned_query,
    addresses = @addresses,
    per_minute = @per_minute,
    version = version + 1,
    changed_at = clock_timestamp()
WHERE id = @id
RETURNING version;

-- name: KeysChanged :many
-- KeysChanged returns the keys that changed within the last minute.
SELECT
    id,
    version
FROM keys
WHERE changed_at > now() - interval '1 minute';

-- name: TouchKeys :exec
-- TouchKeys keeps when keys were last used. A time only moves forward.
UPDATE keys AS k
SET last_used_at = GREATEST(k.last_used_at, n.used)
FROM (
    SELECT
        unnest(@ids::text[]) AS id,
        unnest(@used::timestamptz[]) AS used
) AS n
WHERE k.id = n.id;
