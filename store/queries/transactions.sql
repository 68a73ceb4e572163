-- name: TransactionPage :many
-- TransactionPage returns which transactions of accounts stand on a page, newest
-- first. Rows that are gone do not count where one of the same transaction and
-- account is alive.
SELECT DISTINCT
    a.id AS account_id,
    t.at::timestamptz AS at,
    t.tx::bytea AS tx
FROM accounts AS a
JOIN account_scripts AS l ON l.account_id = a.id
CROSS JOIN LATERAL (
    SELECT DISTINCT
        r.at,
        r.tx
    FROM transfers AS r
    WHERE r.script_id = l.script_id
    AND (sqlc.narg('since')::timestamptz IS NULL OR r.at >= sqlc.narg('since')::timestamptz)
    AND (sqlc.narg('until')::timestamptz IS NULL OR r.at < sqlc.narg('until')::timestamptz)
    AND (sqlc.narg('after_at')::timestamptz IS NULL OR (r.at, r.tx) <= (sqlc.narg('after_at')::timestamptz, sqlc.narg('after_tx')::bytea))
    AND (cardinality(@statuses::text[]) = 0 OR r.status = ANY(@statuses::text[]))
    AND (
        r.status IN ('pending', 'confirmed')
        OR NOT EXISTS (
            SELECT
            FROM transfers AS v
            JOIN account_scripts AS vl ON vl.script_id = v.script_id AND vl.account_id = a.id
            WHERE v.chain = r.chain
            AND v.tx = r.tx
            AND v.status IN ('pending', 'confirmed')
        )
    )
    ORDER BY r.at DESC, r.tx DESC
    LIMIT @script_rows
) AS t
WHERE a.id = ANY(@accounts::uuid[])
AND a.tenant = @tenant
AND a.environment = @environment
AND a.deleted_at IS NULL
AND (
    sqlc.narg('after_at')::timestamptz IS NULL
    OR (t.at, t.tx, a.id) < (sqlc.narg('after_at')::timestamptz, sqlc.narg('after_tx')::bytea, sqlc.narg('after_account')::uuid)
)
ORDER BY at DESC, tx DESC, account_id DESC
LIMIT @rows;

-- name: LegsOf :many
-- LegsOf returns the legs of transactions for accounts. Of a leg that was seen in
-- several forms the one that is alive comes first, else the newest.
SELECT
    p.account_id::uuid AS account_id,
    p.n::bigint AS n,
    t.id,
    t.chain,
    t.tx,
    t.source,
    t.side,
    t.amount,
    t.status,
    t.tx_index,
    t.at,
    t.coinbase,
    t.peer,
    s.address,
    x.caip19,
    x.symbol,
    x.name,
    x.decimals,
    x.listed,
    c.family,
    coalesce(c.height, -1)::bigint AS tip,
    coalesce(b.height, -1)::bigint AS height,
    coalesce(b.hash, '')::bytea AS block,
    coalesce(b.parent, '')::bytea AS parent,
    coalesce(b.time, 'epoch')::timestamptz AS block_time,
    coalesce(b.work, 0)::numeric AS work
FROM (
    SELECT
        unnest(@accounts::uuid[]) AS account_id,
        unnest(@txs::bytea[]) AS tx,
        generate_subscripts(@txs::bytea[], 1) AS n
) AS p
JOIN accounts AS a ON a.id = p.account_id
JOIN transfers AS t ON t.chain = a.chain AND t.tx = p.tx
JOIN account_scripts AS l ON l.account_id = p.account_id AND l.script_id = t.script_id
JOIN scripts AS s ON s.id = t.script_id
JOIN assets AS x ON x.id = t.asset_id
JOIN cursors AS c ON c.chain = t.chain
LEFT JOIN blocks AS b ON b.chain = t.chain AND b.hash = t.block
ORDER BY p.n, t.status IN ('pending', 'confirmed') DESC, t.changed_at DESC, t.id;
