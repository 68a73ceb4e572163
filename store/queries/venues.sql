-- name: CreateVenueAccount :execrows
-- CreateVenueAccount adds an account at a venue, or changes nothing if the user
-- has the login connected already.
INSERT INTO accounts (
    id,
    tenant,
    environment,
    user_id,
    chain,
    venue,
    kind,
    wallet,
    wallet_digest,
    name,
    description,
    created_by,
    meta_data
)
VALUES (
    @id,
    @tenant,
    @environment,
    @user_id,
    '',
    @venue,
    'venue',
    @wallet,
    @wallet_digest,
    @name,
    @description,
    @created_by,
    @meta_data
)
ON CONFLICT (user_id, chain, wallet_digest) WHERE deleted_at IS NULL DO NOTHING;

-- name: CreateStream :exec
-- CreateStream makes the row that fences a venue account.
INSERT INTO streams (account_id) VALUES (@account_id);

-- name: TakeStream :one
-- TakeStream takes or keeps the lease of a stream by the database's clock, and
-- returns no row while another owner holds it.
UPDATE streams AS s
SET
    epoch = CASE WHEN s.owner = @owner::uuid THEN s.epoch ELSE s.epoch + 1 END,
    owner = @owner::uuid,
    lease_until = clock_timestamp() + make_interval(secs => @seconds::float8)
FROM accounts AS a
WHERE s.account_id = @account_id
AND a.id = s.account_id
AND a.deleted_at IS NULL
AND (s.owner = @owner::uuid OR s.owner IS NULL OR s.lease_until < clock_timestamp())
RETURNING s.epoch, s.cursor, s.synced_at, a.venue;

-- name: DropStream :exec
-- DropStream gives the lease of a stream up that is still held.
UPDATE streams
SET
    owner = NULL,
    lease_until = '-infinity'
WHERE account_id = @account_id
AND owner = @owner::uuid
AND epoch = @epoch;

-- name: MoveStream :execrows
-- MoveStream moves the cursor of a stream, and changes no row if the lease is
-- lost or the account gone. The check is the write.
UPDATE streams AS s
SET
    cursor = @cursor,
    synced_at = @synced_at::timestamptz
FROM accounts AS a
WHERE s.account_id = @account_id
AND s.owner = @owner::uuid
AND s.epoch = @epoch
AND a.id = s.account_id
AND a.deleted_at IS NULL;

-- name: DropHoldings :exec
-- DropHoldings forgets what an account no longer holds.
DELETE FROM holdings AS h
WHERE h.account_id = @account_id
AND NOT EXISTS (
    SELECT
    FROM (
        SELECT
            unnest(@wallets::text[]) AS wallet,
            unnest(@codes::text[]) AS code
    ) AS n
    WHERE n.wallet = h.wallet
    AND n.code = h.code
);

-- name: PutHoldings :exec
-- PutHoldings writes what an account holds.
INSERT INTO holdings AS h (account_id, tenant, environment, wallet, code, amount, decimals, updated_at)
SELECT
    a.id,
    a.tenant,
    a.environment,
    n.wallet,
    n.code,
    n.amount,
    n.decimals,
    @updated_at::timestamptz
FROM (
    SELECT
        unnest(@wallets::text[]) AS wallet,
        unnest(@codes::text[]) AS code,
        unnest(@amounts::numeric[]) AS amount,
        unnest(@decimals::integer[]) AS decimals
) AS n
JOIN accounts AS a ON a.id = @account_id
ON CONFLICT (account_id, wallet, code) DO UPDATE
SET
    amount = EXCLUDED.amount,
    decimals = EXCLUDED.decimals,
    updated_at = EXCLUDED.updated_at;

-- name: MarkVenueSynced :execrows
-- MarkVenueSynced marks an account that was read for the first time.
UPDATE accounts
SET
    synced_at = now(),
    version = version + 1
WHERE id = @id
AND synced_at IS NULL;

-- name: VenueSyncedEvent :exec
-- VenueSyncedEvent writes the event of that.
INSERT INTO events (tenant, environment, type, chain, account_id, resource_id, resource_version, data)
SELECT
    a.tenant,
    a.environment,
    'account.synced',
    '',
    a.id,
    a.id::text,
    a.version,
    jsonb_build_object('venue', a.venue)
FROM accounts AS a
WHERE a.id = @id;

-- name: Holdings :many
-- Holdings returns what a venue account of a realm holds.
SELECT
    h.wallet,
    h.code,
    h.amount,
    h.decimals
FROM holdings AS h
JOIN accounts AS a ON a.id = h.account_id
WHERE a.id = @id
AND a.tenant = @tenant
AND a.environment = @environment
AND a.deleted_at IS NULL
ORDER BY h.wallet, h.code;

-- name: StreamSynced :one
-- StreamSynced returns when a venue account of a realm was last read.
SELECT s.synced_at
FROM streams AS s
JOIN accounts AS a ON a.id = s.account_id
WHERE a.id = @id
AND a.tenant = @tenant
AND a.environment = @environment
AND a.deleted_at IS NULL;
