-- name: CustodyKey :one
-- CustodyKey returns the key that a realm's addresses on a chain come from.
SELECT *
FROM custody_keys
WHERE tenant = @tenant
AND environment = @environment
AND chain = @chain
AND active;

-- name: HoldIndexes :one
-- HoldIndexes locks a key on all chains of a realm where it derives the same scripts,
-- and returns the lowest index that was given away on none of them: who sends to an
-- address on the wrong chain pays the same vault.
SELECT coalesce(max(k.next_index), 0)::bigint AS next_index
FROM (
    SELECT next_index
    FROM custody_keys
    WHERE tenant = @tenant
    AND environment = @environment
    AND origin = @origin
    ORDER BY id
    FOR NO KEY UPDATE
) AS k;

-- name: RetireCustodyKey :exec
-- RetireCustodyKey ends the active role of every other key than the one given.
UPDATE custody_keys
SET active = false
WHERE tenant = @tenant
AND environment = @environment
AND chain = @chain
AND active
AND origin <> @origin;

-- name: PutCustodyKey :exec
-- PutCustodyKey makes a key the active one, in the spelling given. One that was
-- there before keeps its next index, unless it is to go on higher.
INSERT INTO custody_keys AS k (id, tenant, environment, chain, key, origin, next_index, active)
VALUES (@id, @tenant, @environment, @chain, @key, @origin, @next_index, true)
ON CONFLICT (tenant, environment, chain, origin) DO UPDATE
SET
    key = EXCLUDED.key,
    active = true,
    next_index = GREATEST(k.next_index, EXCLUDED.next_index);

-- name: SetNextIndex :exec
-- SetNextIndex keeps the lowest index of a key that was never given away.
UPDATE custody_keys
SET next_index = @next_index
WHERE id = @id;

-- name: PutAddress :one
-- PutAddress adds an address of a realm and returns when it was given, or changes
-- nothing and returns no row if it is there. Its time is compared with that of
-- deposits: see PutDeposits.
INSERT INTO addresses (id, tenant, environment, chain, script_id, address, purpose, key_id, branch, index, vault_id, given_at, created_at)
VALUES (
    @id, @tenant, @environment, @chain, @script_id, @address, @purpose, sqlc.narg('key_id'), sqlc.narg('branch'), sqlc.narg('index'),
    sqlc.narg('vault_id'), CASE WHEN sqlc.narg('vault_id')::uuid IS NOT NULL THEN clock_timestamp() END, statement_timestamp()
)
ON CONFLICT (tenant, environment, script_id) DO NOTHING
RETURNING given_at;

-- name: PutFreeAddresses :many
-- PutFreeAddresses adds addresses that wait to be given, and returns those that
-- were new. Their time is as that of PutAddress.
INSERT INTO addresses (id, tenant, environment, chain, script_id, address, purpose, created_at)
SELECT
    gen_random_uuid(),
    @tenant,
    @environment,
    s.chain,
    s.id,
    s.address,
    'deposit',
    statement_timestamp()
FROM scripts AS s
WHERE s.id = ANY(@script_ids::bigint[])
ORDER BY array_position(@script_ids::bigint[], s.id)
ON CONFLICT (tenant, environment, script_id) DO NOTHING
RETURNING script_id;

-- name: NotFree :one
-- NotFree tells whether one of scripts is an address of a realm that does not wait
-- to be given.
SELECT EXISTS (
    SELECT
    FROM addresses
    WHERE tenant = @tenant
    AND environment = @environment
    AND script_id = ANY(@script_ids::bigint[])
    AND (purpose <> 'deposit' OR vault_id IS NOT NULL OR key_id IS NOT NULL)
) AS taken;

-- name: LeaseAddress :one
-- LeaseAddress gives the address that waits longest to a vault. Two that ask at
-- once get two.
UPDATE addresses AS a
SET
    vault_id = @vault_id::uuid,
    given_at = clock_timestamp()
FROM (
    SELECT f.id
    FROM addresses AS f
    WHERE f.tenant = @tenant
    AND f.environment = @environment
    AND f.chain = @chain
    AND f.purpose = 'deposit'
    AND f.vault_id IS NULL
    ORDER BY f.created_at, f.script_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
) AS n
WHERE a.id = n.id
RETURNING a.id, a.script_id, a.address, a.given_at;

-- name: VaultAddresses :many
-- VaultAddresses returns the addresses of a vault on a chain, oldest first.
SELECT *
FROM addresses
WHERE vault_id = @vault_id::uuid
AND chain = @chain
AND (sqlc.narg('after_at')::timestamptz IS NULL OR (given_at, id) > (sqlc.narg('after_at')::timestamptz, sqlc.narg('after_id')::uuid))
ORDER BY given_at, id
LIMIT @rows;

-- name: HasAddress :one
-- HasAddress tells whether a vault has an address on a chain.
SELECT EXISTS (
    SELECT
    FROM addresses
    WHERE vault_id = @vault_id::uuid
    AND chain = @chain
) AS has;

-- name: RetireTreasury :exec
-- RetireTreasury ends the role of every other treasury than the one given.
UPDATE addresses
SET retired_at = now()
WHERE tenant = @tenant
AND environment = @environment
AND chain = @chain
AND purpose = 'treasury'
AND retired_at IS NULL
AND script_id <> @script_id;

-- name: PutTreasury :execrows
-- PutTreasury makes an address the treasury, or changes nothing if the realm has
-- it in another role. Its time is as that of PutAddress.
INSERT INTO addresses AS a (id, tenant, environment, chain, script_id, address, purpose, created_at)
VALUES (@id, @tenant, @environment, @chain, @script_id, @address, 'treasury', statement_timestamp())
ON CONFLICT (tenant, environment, script_id) DO UPDATE SET retired_at = NULL
WHERE a.purpose = 'treasury';

-- name: PoolStatus :one
-- PoolStatus returns what a realm's addresses on a chain are, and how many.
SELECT
    count(*) FILTER (WHERE purpose = 'deposit' AND vault_id IS NOT NULL) AS given,
    count(*) FILTER (WHERE purpose = 'deposit' AND vault_id IS NULL) AS free,
    coalesce(max(address) FILTER (WHERE purpose = 'treasury' AND retired_at IS NULL), '')::text AS treasury
FROM addresses
WHERE tenant = @tenant
AND environment = @environment
AND chain = @chain;

-- name: SetCustody :exec
-- SetCustody tells a chain's writers that it has addresses of custody.
UPDATE cursors
SET custody = true
WHERE chain = @chain
AND NOT custody;
