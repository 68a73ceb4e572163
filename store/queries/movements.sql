-- name: PutTransfer :exec
-- PutTransfer adds an internal transfer, which is complete from the beginning.
INSERT INTO transactions (id, tenant, environment, kind, status, source_wallet, destination_wallet, asset_id, amount, note)
VALUES (@id, @tenant, @environment, 'Transfer', 'Completed', @source_wallet::uuid, @destination_wallet::uuid, @asset_id, @amount, @note);

-- name: SetTransactionStatuses :many
-- SetTransactionStatuses gives transactions another status or reason, and returns
-- those for which it is another.
UPDATE transactions AS t
SET
    status = n.status,
    reason = n.reason,
    version = t.version + 1,
    updated_at = now()
FROM (
    SELECT
        unnest(@ids::uuid[]) AS id,
        unnest(@statuses::text[]) AS status,
        unnest(@reasons::text[]) AS reason
) AS n
WHERE t.id = n.id
AND (t.status, t.reason) IS DISTINCT FROM (n.status, n.reason)
RETURNING t.id;

-- name: TransactionEvents :execrows
-- TransactionEvents writes an event of transactions as they are now, in the order
-- given.
INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
SELECT
    e.tenant,
    e.environment,
    @type::text,
    e.chain,
    e.id::text,
    e.version,
    jsonb_build_object(
        'id', e.id,
        'kind', e.kind,
        'status', e.status,
        'reason', e.reason,
        'sourceWalletId', e.source_wallet,
        'destinationWalletId', e.destination_wallet,
        'assetId', e.caip19,
        'amount', whole_units(e.moved, e.decimals),
        'note', e.note,
        'createdAt', to_char(e.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    )
FROM (
    SELECT
        unnest(@ids::uuid[]) AS id,
        generate_subscripts(@ids::uuid[], 1) AS n
) AS n
CROSS JOIN LATERAL (
    SELECT
        t.*,
        x.chain,
        x.caip19,
        x.decimals,
        CASE WHEN t.status = 'Completed' THEN coalesce(d.received, t.amount) ELSE t.amount END AS moved
    FROM transactions AS t
    JOIN assets AS x ON x.id = t.asset_id
    LEFT JOIN deposits AS d ON d.id = t.id
    WHERE t.id = n.id
    OFFSET 0
) AS e
ORDER BY n.n;

-- name: TransactionRows :many
-- TransactionRows returns transactions of a realm, newest first.
SELECT
    sqlc.embed(t),
    x.chain,
    x.caip19,
    x.symbol,
    x.name AS asset_name,
    x.decimals,
    x.listed
FROM transactions AS t
JOIN assets AS x ON x.id = t.asset_id
WHERE t.tenant = @tenant
AND t.environment = @environment
AND (sqlc.narg('id')::uuid IS NULL OR t.id = sqlc.narg('id')::uuid)
AND (sqlc.narg('wallet_id')::uuid IS NULL OR t.source_wallet = sqlc.narg('wallet_id')::uuid OR t.destination_wallet = sqlc.narg('wallet_id')::uuid)
AND (sqlc.narg('vault_id')::uuid IS NULL OR EXISTS (
    SELECT
    FROM wallets AS w
    WHERE w.vault_id = sqlc.narg('vault_id')::uuid
    AND w.id IN (t.source_wallet, t.destination_wallet)
))
AND (cardinality(@kinds::text[]) = 0 OR t.kind = ANY(@kinds::text[]))
AND (cardinality(@statuses::text[]) = 0 OR t.status = ANY(@statuses::text[]))
AND (@caip19::text = '' OR x.caip19 = @caip19::text)
AND (sqlc.narg('since')::timestamptz IS NULL OR t.created_at >= sqlc.narg('since')::timestamptz)
AND (sqlc.narg('until')::timestamptz IS NULL OR t.created_at < sqlc.narg('until')::timestamptz)
AND (sqlc.narg('after_at')::timestamptz IS NULL OR (t.created_at, t.id) < (sqlc.narg('after_at')::timestamptz, sqlc.narg('after_id')::uuid))
ORDER BY t.created_at DESC, t.id DESC
LIMIT @rows;
