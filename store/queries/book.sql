-- name: AddBookEntry :execrows
-- AddBookEntry adds an entry, or changes nothing if the address is there.
INSERT INTO address_book (id, tenant, environment, chain, address, script, label, usable_at, created_at)
VALUES (@id, @tenant, @environment, @chain, @address, @script, @label, @usable_at, @created_at)
ON CONFLICT (tenant, environment, chain, script) WHERE removed_at IS NULL DO NOTHING;

-- name: BookEntry :one
-- BookEntry returns one entry of a realm.
SELECT *
FROM address_book
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND removed_at IS NULL;

-- name: BookEntries :many
-- BookEntries returns entries of a realm, oldest first.
SELECT *
FROM address_book
WHERE tenant = @tenant
AND environment = @environment
AND removed_at IS NULL
AND (@chain::text = '' OR chain = @chain::text)
AND (sqlc.narg('after_at')::timestamptz IS NULL OR (created_at, id) > (sqlc.narg('after_at')::timestamptz, sqlc.narg('after_id')::uuid))
ORDER BY created_at, id
LIMIT @rows;

-- name: RemoveBookEntry :execrows
-- RemoveBookEntry marks an entry as removed.
UPDATE address_book
SET removed_at = now()
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND removed_at IS NULL;

-- name: BookEvent :exec
-- BookEvent writes an event of an entry.
INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
SELECT
    b.tenant,
    b.environment,
    @type::text,
    b.chain,
    b.id::text,
    @version::bigint,
    jsonb_build_object(
        'id', b.id,
        'chain', b.chain,
        'address', b.address,
        'label', b.label,
        'usableAt', to_char(b.usable_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    )
FROM address_book AS b
WHERE b.id = @id;

-- name: ChainEnvironment :one
-- ChainEnvironment returns the environment of a chain.
SELECT environment
FROM cursors
WHERE chain = @chain;
