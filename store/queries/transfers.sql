-- name: Supersede :many
-- Supersede ends alive transfers whose leg now shows another script, asset or
-- amount: a leg that differs is another transfer. A pending observation never
-- ends a confirmed one. OFFSET 0 as in TransferEvents.
UPDATE transfers AS t
SET
    status = CASE WHEN t.status = 'confirmed' THEN 'orphaned' ELSE 'replaced' END,
    version = t.version + 1,
    block = NULL,
    height = NULL,
    at = t.first_seen,
    changed_at = now()
FROM (
    SELECT e.id
    FROM (
        SELECT
            unnest(@txs::bytea[]) AS tx,
            unnest(@sources::text[]) AS source,
            unnest(@sides::text[]) AS side,
            unnest(@script_ids::bigint[]) AS script_id,
            unnest(@asset_ids::bigint[]) AS asset_id,
            unnest(@amounts::numeric[]) AS amount
    ) AS n
    CROSS JOIN LATERAL (
        SELECT o.id
        FROM transfers AS o
        WHERE o.chain = @chain
        AND o.tx = n.tx
        AND o.source = n.source
        AND o.side = n.side
        AND o.status IN ('pending', 'confirmed')
        AND (o.script_id, o.asset_id, o.amount) IS DISTINCT FROM (n.script_id, n.asset_id, n.amount)
        OFFSET 0
    ) AS e
) AS d
WHERE t.id = d.id
RETURNING t.id, t.script_id, t.asset_id, t.side, t.amount, t.status;

-- name: PutTransfers :many
-- PutTransfers writes legs as they are seen now: new rows, or rows of the same
-- leg that come alive or are confirmed. A confirmed row is left alone. It
-- returns those that changed. Legs of one transaction share the time at which
-- the first of them was seen.
INSERT INTO transfers AS t (
    chain, tx, source, side, script_id, asset_id, amount, status, block, height, tx_index,
    coinbase, peer, vout, spent_tx, spent_vout, first_seen, at
)
SELECT
    @chain,
    n.tx,
    n.source,
    n.side,
    n.script_id,
    n.asset_id,
    n.amount,
    @status::text,
    n.block,
    n.height,
    n.tx_index,
    n.coinbase,
    n.peer,
    n.vout,
    n.spent_tx,
    n.spent_vout,
    coalesce(f.first_seen, now()),
    coalesce(CASE WHEN n.block IS NOT NULL THEN n.block_time END, f.first_seen, now())
FROM (
    SELECT
        unnest(@txs::bytea[]) AS tx,
        unnest(@sources::text[]) AS source,
        unnest(@sides::text[]) AS side,
        unnest(@script_ids::bigint[]) AS script_id,
        unnest(@asset_ids::bigint[]) AS asset_id,
        unnest(@amounts::numeric[]) AS amount,
        unnest(@blocks::bytea[]) AS block,
        NULLIF(unnest(@heights::bigint[]), -1) AS height,
        unnest(@block_times::timestamptz[]) AS block_time,
        unnest(@tx_indexes::bigint[]) AS tx_index,
        unnest(@coinbases::boolean[]) AS coinbase,
        unnest(@peers::bytea[]) AS peer,
        NULLIF(unnest(@vouts::bigint[]), -1) AS vout,
        unnest(@spent_txs::bytea[]) AS spent_tx,
        NULLIF(unnest(@spent_vouts::bigint[]), -1) AS spent_vout,
        generate_subscripts(@txs::bytea[], 1) AS n
) AS n
LEFT JOIN LATERAL (
    SELECT min(e.first_seen) AS first_seen
    FROM transfers AS e
    WHERE e.chain = @chain
    AND e.tx = n.tx
) AS f ON true
ORDER BY n.n
ON CONFLICT (chain, tx, source, side, script_id, asset_id, amount) DO UPDATE
SET
    status = EXCLUDED.status,
    version = t.version + 1,
    block = EXCLUDED.block,
    height = EXCLUDED.height,
    tx_index = EXCLUDED.tx_index,
    at = CASE WHEN EXCLUDED.block IS NULL THEN t.first_seen ELSE EXCLUDED.at END,
    replaced_by = NULL,
    changed_at = now()
WHERE t.status <> 'confirmed'
AND t.status <> EXCLUDED.status
RETURNING t.id, t.tx, t.script_id, t.asset_id, t.side, t.amount, t.vout;

-- name: Funding :many
-- Funding returns what alive transfers say of outputs.
SELECT
    t.tx,
    t.vout::bigint AS vout,
    t.script_id,
    t.asset_id,
    t.amount
FROM (
    SELECT DISTINCT
        unnest(@txs::bytea[]) AS tx,
        unnest(@vouts::bigint[]) AS vout
) AS n
JOIN transfers AS t ON t.chain = @chain AND t.tx = n.tx AND t.vout = n.vout
WHERE t.status IN ('pending', 'confirmed');

-- name: Replace :many
-- Replace ends the unconfirmed transactions whose inputs others now spend, and
-- their known descendants, and returns what changed.
WITH RECURSIVE spent AS (
    SELECT DISTINCT
        unnest(@spenders::bytea[]) AS spender,
        unnest(@txs::bytea[]) AS tx,
        unnest(@vouts::bigint[]) AS vout
),

lost (tx, spender) AS (
    SELECT
        i.tx,
        s.spender
    FROM spent AS s
    CROSS JOIN LATERAL (
        SELECT inputs.tx
        FROM inputs
        WHERE inputs.chain = @chain
        AND inputs.spent_tx = s.tx
        AND inputs.spent_vout = s.vout
        UNION
        SELECT t.tx
        FROM transfers AS t
        WHERE t.chain = @chain
        AND t.spent_tx = s.tx
        AND t.spent_vout = s.vout
    ) AS i
    WHERE i.tx <> ALL(@spenders::bytea[])
    AND NOT EXISTS (
        SELECT
        FROM transfers AS c
        WHERE c.chain = @chain
        AND c.tx = i.tx
        AND c.status = 'confirmed'
    )
    UNION
    SELECT
        i.tx,
        l.spender
    FROM lost AS l
    CROSS JOIN LATERAL (
        SELECT inputs.tx
        FROM inputs
        WHERE inputs.chain = @chain
        AND inputs.spent_tx = l.tx
        UNION
        SELECT t.tx
        FROM transfers AS t
        WHERE t.chain = @chain
        AND t.spent_tx = l.tx
    ) AS i
    WHERE i.tx <> ALL(@spenders::bytea[])
    AND NOT EXISTS (
        SELECT
        FROM transfers AS c
        WHERE c.chain = @chain
        AND c.tx = i.tx
        AND c.status = 'confirmed'
    )
)

UPDATE transfers AS t
SET
    status = 'replaced',
    version = t.version + 1,
    replaced_by = l.spender,
    changed_at = now()
FROM (
    SELECT
        lost.tx,
        decode(min(encode(lost.spender, 'hex')), 'hex') AS spender
    FROM lost
    GROUP BY lost.tx
) AS l
WHERE t.chain = @chain
AND t.tx = l.tx
AND t.status IN ('pending', 'orphaned', 'dropped')
RETURNING t.id;

-- name: SettledTxs :many
-- SettledTxs returns those of transactions that a block has settled: they are
-- confirmed, or a confirmed one spends an input of theirs.
SELECT n.tx::bytea AS tx
FROM (
    SELECT
        unnest(@txs::bytea[]) AS tx,
        unnest(@spent_txs::bytea[]) AS spent_tx,
        unnest(@spent_vouts::bigint[]) AS spent_vout
) AS n
WHERE EXISTS (
    SELECT
    FROM transfers AS t
    WHERE t.chain = @chain
    AND t.tx = n.tx
    AND t.status = 'confirmed'
)
OR EXISTS (
    SELECT
    FROM transfers AS t
    WHERE t.chain = @chain
    AND t.spent_tx = n.spent_tx
    AND t.spent_vout = n.spent_vout
    AND t.tx <> n.tx
    AND t.status = 'confirmed'
);

-- name: DropTxs :many
-- DropTxs marks pending transfers of transactions that left the mempool.
UPDATE transfers AS t
SET
    status = 'dropped',
    version = t.version + 1,
    changed_at = now()
WHERE t.chain = @chain
AND t.tx = ANY(@txs::bytea[])
AND t.status = 'pending'
RETURNING t.id;

-- name: ReviveTxs :many
-- ReviveTxs makes transfers pending again whose transactions came back to the
-- mempool: of each leg the newest row, unless one is alive. A transaction that
-- a block has settled does not come back.
UPDATE transfers AS t
SET
    status = 'pending',
    version = t.version + 1,
    replaced_by = NULL,
    changed_at = now()
FROM (
    SELECT DISTINCT ON (r.tx, r.source, r.side) r.id
    FROM transfers AS r
    WHERE r.chain = @chain
    AND r.tx = ANY(@txs::bytea[])
    AND NOT r.coinbase
    AND NOT EXISTS (
        SELECT
        FROM transfers AS c
        WHERE c.chain = @chain
        AND c.tx = r.tx
        AND (c.status = 'confirmed' OR (c.source = r.source AND c.side = r.side AND c.status = 'pending'))
    )
    ORDER BY r.tx, r.source, r.side, r.id DESC
) AS n
WHERE t.id = n.id
RETURNING t.id, t.tx, t.side, t.vout;

-- name: OrphanBlock :many
-- OrphanBlock marks every transfer of a block that left the canonical chain.
UPDATE transfers AS t
SET
    status = 'orphaned',
    version = t.version + 1,
    block = NULL,
    height = NULL,
    at = t.first_seen,
    changed_at = now()
WHERE t.chain = @chain
AND t.block = @block::bytea
RETURNING t.id, t.tx, t.script_id, t.asset_id, t.side, t.amount, t.vout, t.spent_tx, t.spent_vout;

-- name: OrphanAll :many
-- OrphanAll marks every transfer of a chain none of whose blocks is left.
UPDATE transfers AS t
SET
    status = 'orphaned',
    version = t.version + 1,
    block = NULL,
    height = NULL,
    at = t.first_seen,
    changed_at = now()
WHERE t.chain = @chain
AND t.status = 'confirmed'
RETURNING t.id;

-- name: AddSums :exec
-- AddSums adds to the sums of confirmed legs.
INSERT INTO sums AS s (script_id, asset_id, amount)
SELECT
    unnest(@script_ids::bigint[]),
    unnest(@asset_ids::bigint[]),
    unnest(@amounts::numeric[])
ON CONFLICT (script_id, asset_id) DO UPDATE SET amount = s.amount + EXCLUDED.amount;

-- name: ClearSums :exec
-- ClearSums sets every sum of a chain to zero.
UPDATE sums AS s
SET amount = 0
FROM scripts AS w
WHERE w.chain = @chain
AND s.script_id = w.id;

-- name: WatchOutputs :exec
-- WatchOutputs makes outputs part of a watch version.
UPDATE transfers
SET watch_version = @watch_version
WHERE id = ANY(@ids::bigint[]);

-- name: UnspentOf :many
-- UnspentOf returns those of transfers that no confirmed one spends.
SELECT t.id
FROM transfers AS t
WHERE t.id = ANY(@ids::bigint[])
AND t.vout IS NOT NULL
AND NOT EXISTS (
    SELECT
    FROM transfers AS o
    WHERE o.chain = t.chain
    AND o.spent_tx = t.tx
    AND o.spent_vout = t.vout
    AND o.status = 'confirmed'
);

-- name: TransferEvents :execrows
-- TransferEvents writes one event for each transfer and each account that
-- watches its script; one that shows NFTs alone hears of them alone. OFFSET 0 keeps the planner from joining whole tables
-- where it knows too little of them to see that a block changes few rows.
INSERT INTO events (tenant, environment, type, chain, account_id, resource_id, resource_version, data)
SELECT
    e.tenant,
    e.environment,
    'transfer.' || e.status,
    e.chain,
    e.account_id,
    e.id::text,
    e.version,
    jsonb_build_object(
        'chain', e.chain,
        'tx', e.hex || encode(e.tx, 'hex'),
        'source', e.source,
        'side', e.side,
        'asset', e.caip19,
        'amount', e.amount::text,
        'address', e.address,
        'status', e.status,
        'block', e.hex || encode(e.block, 'hex'),
        'height', e.height,
        'coinbase', e.coinbase,
        'replaced_by', e.hex || encode(e.replaced_by, 'hex')
    )
FROM (
    SELECT
        unnest(@ids::bigint[]) AS id,
        generate_subscripts(@ids::bigint[], 1) AS n
) AS n
CROSS JOIN LATERAL (
    SELECT
        t.*,
        s.address,
        x.caip19,
        a.tenant,
        a.environment,
        a.id AS account_id,
        a.created_at,
        CASE WHEN c.family = 'evm' THEN '0x' ELSE '' END AS hex
    FROM transfers AS t
    JOIN scripts AS s ON s.id = t.script_id
    JOIN assets AS x ON x.id = t.asset_id
    JOIN cursors AS c ON c.chain = t.chain
    JOIN account_scripts AS l ON l.script_id = t.script_id
    JOIN accounts AS a ON a.id = l.account_id AND a.deleted_at IS NULL AND (a.kind <> 'nft' OR x.nft)
    WHERE t.id = n.id
    OFFSET 0
) AS e
ORDER BY n.n, e.created_at, e.account_id;
