-- name: CreateKey :one
-- CreateKey adds a key to a realm.
INSERT INTO keys (id, tenant, environment, owner, name, hash, scopes, expires_at)
VALUES (@id, @tenant, @environment, @owner, @name, @hash, @scopes, @expires_at)
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
    revoked_at
FROM keys WHERE id = @id;

-- name: Keys :many
-- Keys returns the keys of a realm, oldest first.
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
    revoked_at
FROM keys
WHERE tenant = @tenant
AND environment = @environment
ORDER BY created_at, id;

-- name: RevokeKey :execrows
-- RevokeKey ends a key. One that was ended earlier keeps its time.
UPDATE keys
SET revoked_at = coalesce(revoked_at, now())
WHERE id = @id
AND tenant = @tenant
AND environment = @environment;

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
