-- name: CreateVault :execrows
-- CreateVault adds a vault, or changes nothing if its external id is taken.
INSERT INTO vaults (id, tenant, environment, external_id, name, metadata, user_id, created_at)
VALUES (@id, @tenant, @environment, NULLIF(@external_id::text, ''), @name, @metadata, sqlc.narg('user_id'), @created_at)
ON CONFLICT (tenant, environment, external_id) DO NOTHING;

-- name: Vault :one
-- Vault returns one vault of a realm.
SELECT *
FROM vaults
WHERE id = @id
AND tenant = @tenant
AND environment = @environment;

-- name: LockVault :one
-- LockVault is Vault for one who is going to change it, or to give it something:
-- an archived vault is given nothing.
SELECT *
FROM vaults
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
FOR NO KEY UPDATE;

-- name: Vaults :many
-- Vaults returns vaults of a realm, oldest first.
SELECT *
FROM vaults
WHERE tenant = @tenant
AND environment = @environment
AND (@external_id::text = '' OR external_id = @external_id::text)
AND (@status::text = '' OR status = @status::text)
AND (sqlc.narg('user_id')::uuid IS NULL OR user_id = sqlc.narg('user_id')::uuid)
AND (sqlc.narg('after_at')::timestamptz IS NULL OR (created_at, id) > (sqlc.narg('after_at')::timestamptz, sqlc.narg('after_id')::uuid))
ORDER BY created_at, id
LIMIT @rows;

-- name: VaultHolds :one
-- VaultHolds tells whether a vault holds anything or waits for it.
SELECT EXISTS (
    SELECT
    FROM wallets
    WHERE vault_id = @vault_id
    AND (available <> 0 OR locked <> 0 OR pending <> 0)
) AS holds;

-- name: SetVaultStatus :one
-- SetVaultStatus changes the status of a vault that is locked.
UPDATE vaults
SET
    status = @status,
    version = version + 1
WHERE id = @id
RETURNING *;

-- name: VaultEvent :exec
-- VaultEvent writes the event of a vault as it is now.
INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
SELECT
    v.tenant,
    v.environment,
    'vault.status.updated',
    '',
    v.id::text,
    v.version,
    jsonb_build_object('id', v.id, 'externalId', v.external_id, 'name', v.name, 'status', v.status)
FROM vaults AS v
WHERE v.id = @id;
