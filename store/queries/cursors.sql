-- name: CreateCursor :execrows
-- CreateCursor makes the cursor row of a chain, or changes nothing if it is
-- there.
INSERT INTO cursors (chain, caip2, family, environment, genesis, maturity)
VALUES (@chain, @caip2, @family, @environment, @genesis, @maturity)
ON CONFLICT DO NOTHING;

-- name: LockCursor :one
-- LockCursor locks the cursor row of a chain and returns it. Every writer that
-- is not fenced by the write itself begins with it.
SELECT
    chain,
    family,
    environment,
    genesis,
    maturity,
    height,
    hash,
    first_height,
    owner,
    epoch,
    watch_version,
    state,
    custody,
    unproven
FROM cursors
WHERE chain = @chain
FOR NO KEY UPDATE;

-- name: TakeLease :one
-- TakeLease takes or keeps a lease by the database's clock, and returns no row
-- while another owner holds it. A new owner gets a new epoch.
UPDATE cursors
SET
    epoch = CASE WHEN owner = @owner::uuid THEN epoch ELSE epoch + 1 END,
    owner = @owner::uuid,
    lease_until = clock_timestamp() + make_interval(secs => @seconds::float8)
WHERE chain = @chain
AND (owner = @owner::uuid OR owner IS NULL OR lease_until < clock_timestamp())
RETURNING epoch, genesis, watch_version, head, halted, disputed, contested;

-- name: DropLease :exec
-- DropLease gives a lease up that is still held.
UPDATE cursors
SET
    owner = NULL,
    lease_until = '-infinity'
WHERE chain = @chain
AND owner = @owner::uuid
AND epoch = @epoch;

-- name: MoveTip :one
-- MoveTip moves the tip over the blocks from first to height, and changes no row
-- if another writer moved it first, took the lease, or added scripts. The check is
-- the write.
UPDATE cursors
SET
    height = @height::bigint,
    hash = @hash::bytea,
    first_height = coalesce(first_height, @first::bigint),
    reverted = 0,
    updated_at = now()
WHERE chain = @chain
AND owner = @owner::uuid
AND epoch = @epoch
AND watch_version = @watch_version
AND hash IS NOT DISTINCT FROM sqlc.narg('parent')::bytea
AND coalesce(height + 1 = @first::bigint, true)
RETURNING
    family,
    first_height = @first::bigint AS begun,
    custody,
    (unproven OR coalesce(due <= @height::bigint, false) AND halted = '' AND disputed = '')::boolean AS settle;

-- name: HoldTip :one
-- HoldTip locks the cursor row if its tip and lease are still as given.
UPDATE cursors
SET updated_at = now()
WHERE chain = @chain
AND owner = @owner::uuid
AND epoch = @epoch
AND hash = @hash::bytea
RETURNING family, custody;

-- name: HoldLease :one
-- HoldLease locks the cursor row if the lease is still as given.
UPDATE cursors
SET updated_at = now()
WHERE chain = @chain
AND owner = @owner::uuid
AND epoch = @epoch
RETURNING family, coalesce(height, -1)::bigint AS height, state, custody, unproven;

-- name: SetTip :exec
-- SetTip sets the tip of a chain whose cursor row is locked back to a lower block.
-- Nothing above it is final any more.
UPDATE cursors
SET
    height = sqlc.narg('height')::bigint,
    hash = sqlc.narg('hash')::bytea,
    final = LEAST(final, coalesce(sqlc.narg('height')::bigint, 0)),
    safe = LEAST(safe, coalesce(sqlc.narg('height')::bigint, 0)),
    reverted = reverted + 1,
    first_height = CASE WHEN sqlc.narg('height')::bigint IS NOT NULL THEN LEAST(first_height, sqlc.narg('height')::bigint) END
WHERE chain = @chain;

-- name: ReplaceGenesis :exec
-- ReplaceGenesis makes a chain another one, with no tip and no owner.
UPDATE cursors
SET
    caip2 = @caip2,
    genesis = @genesis,
    maturity = @maturity,
    height = NULL,
    hash = NULL,
    first_height = NULL,
    owner = NULL,
    lease_until = '-infinity',
    epoch = epoch + 1,
    head = 0,
    final = 0,
    safe = 0,
    reverted = 0,
    state = 'starting',
    reason = '',
    halted = '',
    disputed = '',
    contested = 0,
    updated_at = now()
WHERE chain = @chain;

-- name: BumpWatch :one
-- BumpWatch begins a new watch version that adds scripts, and returns it.
UPDATE cursors
SET
    watch_version = watch_version + 1,
    scripts = scripts + @added::bigint
WHERE chain = @chain
RETURNING watch_version;

-- name: SetFinal :exec
-- SetFinal sets the highest final and the highest safe height, each unless it is
-- null.
UPDATE cursors
SET
    final = coalesce(sqlc.narg('final'), final),
    safe = coalesce(sqlc.narg('safe'), safe)
WHERE chain = @chain;

-- name: SetDisputed :exec
-- SetDisputed says why nothing of a chain is credited for now, '' for nothing, and
-- how high its nodes were found to differ.
UPDATE cursors
SET
    disputed = @reason,
    contested = @height
WHERE chain = @chain;

-- name: SetStatus :one
-- SetStatus writes what the owner sees, and returns the version of the state
-- for its event.
UPDATE cursors
SET
    state = @state::text,
    reason = @reason,
    head = @head,
    status_version = status_version + CASE WHEN @edge::boolean THEN 1 ELSE 0 END
WHERE chain = @chain
RETURNING status_version;

-- name: EndHalt :execrows
-- EndHalt lets the credits of a chain go on, and changes no row if they were not
-- halted.
UPDATE cursors
SET
    halted = '',
    status_version = status_version + 1
WHERE chain = @chain
AND halted <> '';

-- name: WatchVersion :one
-- WatchVersion returns the watch version of a chain.
SELECT watch_version FROM cursors WHERE chain = @chain;

-- name: ChainStatuses :many
-- ChainStatuses returns what the operator sees of every chain.
SELECT
    c.chain,
    c.caip2,
    c.family,
    c.environment,
    c.head,
    c.final,
    c.state,
    c.reason,
    c.halted,
    c.watch_version,
    c.scripts,
    c.updated_at,
    b.hash AS tip_hash,
    b.height AS tip_height,
    b.parent AS tip_parent,
    b.time AS tip_time,
    b.work AS tip_work
FROM cursors AS c
LEFT JOIN blocks AS b ON b.chain = c.chain AND b.hash = c.hash
ORDER BY c.chain;
