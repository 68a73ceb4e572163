-- name: PutSnapshots :many
-- PutSnapshots keeps balances as they were read, and returns the scripts that
-- have one that is new.
INSERT INTO snapshots AS s (chain, script_id, asset_id, height, hash, parent, block_time, amount, proof, opening)
SELECT
    @chain,
    unnest(@script_ids::bigint[]),
    unnest(@asset_ids::bigint[]),
    unnest(@heights::bigint[]),
    unnest(@hashes::bytea[]),
    unnest(@parents::bytea[]),
    unnest(@block_times::timestamptz[]),
    unnest(@amounts::numeric[]),
    unnest(@proofs::text[]),
    @opening::boolean
ON CONFLICT (script_id, asset_id, height, hash) DO UPDATE
SET
    amount = EXCLUDED.amount,
    proof = EXCLUDED.proof,
    opening = s.opening OR EXCLUDED.opening
RETURNING s.script_id;

-- name: AddPositions :exec
-- AddPositions gives scripts a sum of every asset that was read for them.
INSERT INTO sums (script_id, asset_id, amount)
SELECT
    unnest(@script_ids::bigint[]),
    unnest(@asset_ids::bigint[]),
    0
ON CONFLICT DO NOTHING;

-- name: MarkStale :exec
-- MarkStale keeps which balances a block may have changed.
INSERT INTO stale AS s (chain, script_id, asset_id, height)
SELECT
    @chain,
    unnest(@script_ids::bigint[]),
    unnest(@asset_ids::bigint[]),
    unnest(@heights::bigint[])
ON CONFLICT (script_id, asset_id) DO UPDATE SET height = GREATEST(s.height, EXCLUDED.height);

-- name: MarkNativeStale :exec
-- MarkNativeStale asks for every native balance to be read again.
INSERT INTO stale AS s (chain, script_id, asset_id, height)
SELECT
    w.chain,
    w.id,
    a.id,
    @height::bigint
FROM scripts AS w
JOIN assets AS a ON a.chain = w.chain AND a.native
WHERE w.chain = @chain
ON CONFLICT (script_id, asset_id) DO UPDATE SET height = GREATEST(s.height, EXCLUDED.height);

-- name: MarkRevertedStale :exec
-- MarkRevertedStale asks for the balances to be read again that were read at a
-- block that left the chain: what they stood for is told by no older one.
INSERT INTO stale AS s (chain, script_id, asset_id, height)
SELECT
    n.chain,
    n.script_id,
    n.asset_id,
    GREATEST(n.height - 1, 0)
FROM snapshots AS n
WHERE n.chain = @chain
AND n.hash = @hash
ON CONFLICT (script_id, asset_id) DO UPDATE SET height = GREATEST(s.height, EXCLUDED.height);

-- name: MarkMissedStale :exec
-- MarkMissedStale asks for the balances to be read again that were read at the
-- heights of blocks on another branch, perhaps ahead of the ledger: they do not
-- count. OFFSET 0 as in ClearStale.
INSERT INTO stale AS s (chain, script_id, asset_id, height)
SELECT
    n.chain,
    n.script_id,
    n.asset_id,
    max(n.height)
FROM (
    SELECT
        unnest(@heights::bigint[]) AS height,
        unnest(@hashes::bytea[]) AS hash
) AS b
CROSS JOIN LATERAL (
    SELECT r.*
    FROM snapshots AS r
    WHERE r.chain = @chain
    AND r.height = b.height
    AND r.hash <> b.hash
    OFFSET 0
) AS n
GROUP BY n.chain, n.script_id, n.asset_id
ON CONFLICT (script_id, asset_id) DO UPDATE SET height = GREATEST(s.height, EXCLUDED.height);

-- name: ClearStale :exec
-- ClearStale forgets balances that were read at the canonical blocks given, or
-- above what made them stale. OFFSET 0 keeps the planner from walking every
-- block of the chain to find these.
DELETE FROM stale AS s
USING (
    SELECT n.script_id, n.asset_id, n.height
    FROM (SELECT DISTINCT unnest(@hashes::bytea[]) AS hash) AS h
    CROSS JOIN LATERAL (
        SELECT b.hash
        FROM blocks AS b
        WHERE b.chain = @chain
        AND b.hash = h.hash
        AND b.canonical
        OFFSET 0
    ) AS b
    CROSS JOIN LATERAL (
        SELECT r.script_id, r.asset_id, r.height
        FROM snapshots AS r
        WHERE r.chain = @chain
        AND r.hash = b.hash
        OFFSET 0
    ) AS n
    OFFSET 0
) AS n
WHERE s.script_id = n.script_id
AND s.asset_id = n.asset_id
AND s.height <= n.height;

-- name: DropStale :exec
-- DropStale forgets every stale balance of a chain that begins again.
DELETE FROM stale WHERE chain = @chain;

-- name: DropUnreached :exec
-- DropUnreached forgets balances read at blocks the chain never reached.
DELETE FROM snapshots AS n
WHERE n.chain = @chain
AND NOT EXISTS (
    SELECT
    FROM blocks AS b
    WHERE b.chain = n.chain
    AND b.hash = n.hash
);

-- name: Unread :many
-- Unread returns those of balances that were never read.
SELECT
    n.script_id::bigint AS script_id,
    n.asset_id::bigint AS asset_id,
    n.height::bigint AS height
FROM (
    SELECT
        unnest(@script_ids::bigint[]) AS script_id,
        unnest(@asset_ids::bigint[]) AS asset_id,
        unnest(@heights::bigint[]) AS height
) AS n
WHERE NOT EXISTS (
    SELECT
    FROM snapshots AS s
    WHERE s.script_id = n.script_id
    AND s.asset_id = n.asset_id
);

-- name: PostponeStale :exec
-- PostponeStale puts stale balances behind those that were tried less often.
UPDATE stale AS s
SET tried = s.tried + 1
FROM (
    SELECT DISTINCT
        unnest(@script_ids::bigint[]) AS script_id,
        unnest(@asset_ids::bigint[]) AS asset_id
) AS n
WHERE s.script_id = n.script_id
AND s.asset_id = n.asset_id;

-- name: StaleBalances :many
-- StaleBalances returns balances to read again, the longest stale first of those
-- that were tried least.
SELECT
    w.script,
    a.caip19
FROM (
    SELECT o.script_id, o.asset_id, o.tried, o.height
    FROM stale AS o
    WHERE o.chain = @chain
    ORDER BY o.tried, o.height
    LIMIT @rows
) AS s
JOIN scripts AS w ON w.id = s.script_id
JOIN assets AS a ON a.id = s.asset_id
ORDER BY s.tried, s.height, s.script_id, s.asset_id;
