-- name: Tip :one
-- Tip returns the tip of a chain, or no row before its first block.
SELECT b.hash, b.height, b.parent, b.time, b.work
FROM cursors AS c
JOIN blocks AS b ON b.chain = c.chain AND b.hash = c.hash
WHERE c.chain = @chain;

-- name: BlockAt :one
-- BlockAt returns the canonical block at a height.
SELECT hash, height, parent, time, work
FROM blocks
WHERE chain = @chain
AND height = @height
AND canonical;

-- name: PutBlocks :exec
-- PutBlocks adds blocks as canonical ones. A block that left the chain earlier
-- is canonical again.
INSERT INTO blocks (chain, hash, height, parent, time, work, canonical)
SELECT
    @chain,
    unnest(@hashes::bytea[]),
    unnest(@heights::bigint[]),
    unnest(@parents::bytea[]),
    unnest(@times::timestamptz[]),
    unnest(@works::numeric[]),
    true
ON CONFLICT (chain, hash) DO UPDATE SET canonical = true;

-- name: UnmarkBlock :one
-- UnmarkBlock takes a block off the canonical chain and returns its parent.
UPDATE blocks
SET canonical = false
WHERE chain = @chain
AND hash = @hash
RETURNING parent;

-- name: UnmarkBlocks :exec
-- UnmarkBlocks takes every block off the canonical chain.
UPDATE blocks
SET canonical = false
WHERE chain = @chain
AND canonical;

-- name: CanonicalHeight :one
-- CanonicalHeight returns the height of a canonical block.
SELECT height
FROM blocks
WHERE chain = @chain
AND hash = @hash
AND canonical;

-- name: Canonical :many
-- Canonical returns the canonical blocks at heights.
SELECT height, hash, parent
FROM blocks
WHERE chain = @chain
AND height = ANY(@heights::bigint[])
AND canonical;
