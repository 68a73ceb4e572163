-- name: PoolTransfers :many
-- PoolTransfers returns, in the order given, those of transfers that go to or from
-- an address of custody: of most blocks none. OFFSET 0 as in TransferEvents.
SELECT t.id
FROM (
    SELECT
        unnest(@ids::bigint[]) AS id,
        generate_subscripts(@ids::bigint[], 1) AS n
) AS n
CROSS JOIN LATERAL (
    SELECT
        o.id,
        o.script_id
    FROM transfers AS o
    WHERE o.id = n.id
    OFFSET 0
) AS t
WHERE EXISTS (
    SELECT
    FROM addresses AS a
    WHERE a.script_id = t.script_id
)
ORDER BY n.n;

-- name: DepositFacts :many
-- DepositFacts returns what transfers are to wallets: incoming ones of the asset
-- of a wallet to an address of its vault. Of an outgoing one it returns the
-- incoming ones of its transaction, since money that comes from the tenant's own
-- pool is no deposit: on the bitcoin family what is in a transaction that spends
-- from the pool, on EVM chains what one of its addresses sent. The pool is that of
-- the moment at which a deposit was first seen: an address added later makes nothing
-- of it. OFFSET 0 as in TransferEvents.
SELECT
    e.transfer_id::bigint AS transfer_id,
    e.wallet_id::uuid AS wallet_id,
    e.tenant::text AS tenant,
    e.environment::text AS environment,
    e.script_id::bigint AS script_id,
    e.script::bytea AS script,
    e.asset_id::bigint AS asset_id,
    e.caip19::text AS caip19,
    e.listed::boolean AS listed,
    e.tx::bytea AS tx,
    e.source::text AS source,
    e.amount::numeric AS amount,
    e.status::text AS status,
    e.height::bigint AS height,
    e.coinbase::boolean AS coinbase,
    e.internal::boolean AS internal,
    e.deposit_id,
    e.state::text AS state,
    coalesce(e.received, 0)::numeric AS received,
    coalesce(e.version, 0)::bigint AS version,
    e.journal_id
FROM (
    SELECT
        unnest(@ids::bigint[]) AS id,
        generate_subscripts(@ids::bigint[], 1) AS n
) AS n
CROSS JOIN LATERAL (
    SELECT
        t.id AS transfer_id,
        w.id AS wallet_id,
        w.tenant,
        w.environment,
        t.script_id,
        s.script,
        t.asset_id,
        x.caip19,
        x.listed,
        t.tx,
        t.source,
        t.amount,
        t.status,
        coalesce(t.height, -1) AS height,
        t.coinbase,
        CASE WHEN c.family = 'evm' THEN EXISTS (
            SELECT
            FROM scripts AS p
            JOIN addresses AS b ON b.script_id = p.id
            WHERE p.chain = t.chain
            AND p.digest = sha256(t.peer)
            AND b.tenant = a.tenant
            AND b.environment = a.environment
            AND b.created_at <= coalesce(d.created_at, 'infinity')
        ) ELSE EXISTS (
            SELECT
            FROM transfers AS o
            JOIN addresses AS b ON b.script_id = o.script_id
            WHERE o.chain = t.chain
            AND o.tx = t.tx
            AND o.side = 'out'
            AND b.tenant = a.tenant
            AND b.environment = a.environment
            AND b.created_at <= coalesce(d.created_at, 'infinity')
        ) END AS internal,
        d.id AS deposit_id,
        coalesce(d.state, '') AS state,
        d.received,
        d.version,
        d.journal_id
    FROM (
        SELECT i.id
        FROM transfers AS i
        WHERE i.id = n.id
        AND i.side = 'in'
        UNION ALL
        SELECT i.id
        FROM transfers AS o
        JOIN transfers AS i ON i.chain = o.chain AND i.tx = o.tx AND i.side = 'in'
        WHERE o.id = n.id
        AND o.side = 'out'
    ) AS k
    JOIN transfers AS t ON t.id = k.id AND t.amount > 0
    JOIN addresses AS a ON a.script_id = t.script_id AND a.purpose = 'deposit' AND a.vault_id IS NOT NULL
    JOIN wallets AS w ON w.vault_id = a.vault_id AND w.asset_id = t.asset_id
    JOIN scripts AS s ON s.id = t.script_id
    JOIN assets AS x ON x.id = t.asset_id
    JOIN cursors AS c ON c.chain = t.chain
    LEFT JOIN deposits AS d ON d.wallet_id = w.id AND d.transfer_id = t.id
    OFFSET 0
) AS e
ORDER BY n.n, e.transfer_id, e.wallet_id;

-- name: UnclaimedTransfers :many
-- UnclaimedTransfers returns incoming transfers that stand and that none of some
-- wallets has as a deposit yet, oldest first: of what each holds, to any address of
-- its vault or to one.
SELECT t.id
FROM wallets AS w
JOIN addresses AS a ON a.vault_id = w.vault_id AND a.chain = w.chain
JOIN transfers AS t ON t.script_id = a.script_id AND t.asset_id = w.asset_id
WHERE w.id = ANY(@wallets::uuid[])
AND a.purpose = 'deposit'
AND (sqlc.narg('address_id')::uuid IS NULL OR a.id = sqlc.narg('address_id')::uuid)
AND t.side = 'in'
AND t.status IN ('pending', 'confirmed')
AND NOT EXISTS (
    SELECT
    FROM deposits AS d
    WHERE d.wallet_id = w.id
    AND d.transfer_id = t.id
)
ORDER BY t.at, t.id;

-- name: PutTransactions :exec
-- PutTransactions adds transactions.
INSERT INTO transactions (id, tenant, environment, kind, status, source_wallet, destination_wallet, asset_id, amount)
SELECT
    unnest(@ids::uuid[]),
    unnest(@tenants::text[]),
    unnest(@environments::text[]),
    'Deposit',
    'Confirming',
    NULL,
    unnest(@wallets::uuid[]),
    unnest(@assets::bigint[]),
    unnest(@amounts::numeric[]);

-- name: PutDeposits :exec
-- PutDeposits adds deposits as they were first seen. Their time is that of the
-- statement, and not of a transaction that waited for the chain's row: it tells
-- which addresses were there before.
INSERT INTO deposits (id, tenant, environment, chain, wallet_id, transfer_id, script_id, asset_id, amount, state, height, basis, due, mature, received, created_at)
SELECT
    unnest(@ids::uuid[]),
    unnest(@tenants::text[]),
    unnest(@environments::text[]),
    @chain,
    unnest(@wallets::uuid[]),
    unnest(@transfers::bigint[]),
    unnest(@scripts::bigint[]),
    unnest(@assets::bigint[]),
    unnest(@amounts::numeric[]),
    unnest(@states::text[]),
    NULLIF(unnest(@heights::bigint[]), -1),
    unnest(@bases::text[]),
    NULLIF(unnest(@dues::bigint[]), -1),
    NULLIF(unnest(@matures::bigint[]), 0),
    NULLIF(unnest(@received::numeric[]), -1),
    statement_timestamp();

-- name: MoveDeposits :exec
-- MoveDeposits gives deposits another state, and forgets what went with the old
-- one.
UPDATE deposits AS d
SET
    state = n.state,
    reason = n.reason,
    height = NULLIF(n.height, -1),
    basis = n.basis,
    due = NULLIF(n.due, -1),
    mature = NULLIF(n.mature, 0),
    received = NULLIF(n.received, -1),
    proven_height = NULL,
    leans_on = CASE WHEN n.reason = 'nothing_arrived' THEN d.leans_on END,
    journal_id = NULL,
    version = d.version + 1,
    changed_at = now()
FROM (
    SELECT
        unnest(@ids::uuid[]) AS id,
        unnest(@states::text[]) AS state,
        unnest(@reasons::text[]) AS reason,
        unnest(@heights::bigint[]) AS height,
        unnest(@bases::text[]) AS basis,
        unnest(@dues::bigint[]) AS due,
        unnest(@matures::bigint[]) AS mature,
        unnest(@received::numeric[]) AS received
) AS n
WHERE d.id = n.id;

-- name: CreditDeposits :exec
-- CreditDeposits marks deposits as credited by journals.
UPDATE deposits AS d
SET
    state = 'credited',
    journal_id = n.journal_id,
    version = d.version + 1,
    changed_at = now()
FROM (
    SELECT
        unnest(@ids::uuid[]) AS id,
        unnest(@journals::bigint[]) AS journal_id
) AS n
WHERE d.id = n.id;

-- name: DueDeposits :many
-- DueDeposits returns the deposits of a chain that may be credited now, in the
-- order in which they became so, or none while the chain's credits are halted, or in dispute.
-- What the operator took off the list waits until it is back on it.
SELECT
    d.id,
    d.tenant,
    d.environment,
    d.wallet_id,
    d.asset_id,
    d.amount,
    d.received::numeric AS received,
    d.version
FROM cursors AS c
CROSS JOIN LATERAL (
    VALUES
    ('depth', c.height),
    ('safe', c.safe),
    ('final', c.final)
) AS b (basis, reached)
JOIN deposits AS d ON d.chain = c.chain AND d.basis = b.basis AND d.due + coalesce(d.leans_on - d.height, 0) <= b.reached
JOIN assets AS x ON x.id = d.asset_id AND x.listed
WHERE c.chain = @chain
AND c.halted = ''
AND c.disputed = ''
AND d.state = 'confirming'
AND d.received > 0
AND coalesce(d.mature, 0) <= c.height
ORDER BY d.height, d.created_at, d.id;

-- name: EndingDeposits :many
-- EndingDeposits returns the deposits of a chain that are due and come to nothing,
-- or none while the chain's credits are halted, or in dispute: those of which nothing arrived, and those whose block left,
-- once their script's past is searched, which may find them elsewhere.
SELECT
    d.id,
    d.wallet_id,
    d.amount,
    d.state
FROM cursors AS c
CROSS JOIN LATERAL (
    VALUES
    ('depth', c.height),
    ('safe', c.safe),
    ('final', c.final)
) AS b (basis, reached)
JOIN deposits AS d ON d.chain = c.chain AND d.basis = b.basis AND d.due + coalesce(d.leans_on - d.height, 0) <= b.reached
JOIN scripts AS s ON s.id = d.script_id
WHERE c.chain = @chain
AND c.halted = ''
AND c.disputed = ''
AND (d.state = 'orphaned' OR d.state = 'confirming' AND d.received = 0)
AND (d.state <> 'orphaned' OR s.history = 'complete')
AND coalesce(d.mature, 0) <= c.height
ORDER BY d.height, d.created_at, d.id;

-- name: DepositProofs :many
-- DepositProofs returns how much of each confirming deposit of an EVM chain the
-- balance proves, for those that were not looked at yet and can be: what the
-- balance grew by between the readings around the deposit's block, more what left
-- meanwhile, less what other deposits there were judged to be, less what came from
-- the tenant's own pool, and less what those before it claim, each transaction by
-- what it did altogether.
-- Where legs may still be found in between, nothing is returned. Nobody believes a
-- log for more than what arrived, nor for what left again in the same transaction:
-- that was given back, or is the rest of a payment of one's own. leans_on is the
-- last block that was counted with.
SELECT
    d.id,
    LEAST(
        d.amount - LEAST(d.amount, GREATEST(0, l.returned - l.ahead)),
        GREATEST(0, k.amount - coalesce(p.amount, 0) + l.gone - l.before - GREATEST(0, l.ahead - l.returned))
    )::numeric AS received,
    k.height AS proven_height,
    l.last::bigint AS leans_on
FROM deposits AS d
JOIN transfers AS t ON t.id = d.transfer_id
JOIN scripts AS s ON s.id = d.script_id
JOIN cursors AS c ON c.chain = d.chain
CROSS JOIN LATERAL (
    SELECT
        r.amount,
        r.height
    FROM snapshots AS r
    JOIN blocks AS b ON b.chain = r.chain AND b.hash = r.hash AND b.canonical
    WHERE r.script_id = d.script_id
    AND r.asset_id = d.asset_id
    AND r.height >= d.height
    AND r.height <= c.height
    ORDER BY r.height
    LIMIT 1
) AS k
LEFT JOIN LATERAL (
    SELECT
        r.amount,
        r.height
    FROM snapshots AS r
    JOIN blocks AS b ON b.chain = r.chain AND b.hash = r.hash AND b.canonical
    WHERE r.script_id = d.script_id
    AND r.asset_id = d.asset_id
    AND r.height < d.height
    ORDER BY r.height DESC
    LIMIT 1
) AS p ON true
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(o.fee + GREATEST(0, o.gone - o.came)), 0) AS gone,
        coalesce(sum(o.judged) FILTER (WHERE o.tx <> t.tx), 0)
        + coalesce(sum(GREATEST(0, o.own - o.gone + CASE WHEN (o.height, o.tx_index, o.first) < (t.height, t.tx_index, t.id) THEN o.claimed ELSE 0 END)) FILTER (WHERE o.tx <> t.tx), 0) AS before,
        coalesce(sum(o.gone) FILTER (WHERE o.tx = t.tx), 0) AS returned,
        coalesce(sum(o.ahead) FILTER (WHERE o.tx = t.tx), 0) AS ahead,
        max(o.height) AS last
    FROM (
        SELECT
            e.tx,
            max(e.height) AS height,
            max(e.tx_index) AS tx_index,
            min(e.id) AS first,
            coalesce(sum(e.amount) FILTER (WHERE e.side = 'in'), 0) AS came,
            coalesce(sum(j.received), 0) AS judged,
            coalesce(sum(e.amount) FILTER (WHERE e.side = 'in' AND j.deposit AND j.received IS NULL), 0) AS claimed,
            coalesce(sum(e.amount) FILTER (WHERE e.side = 'in' AND j.deposit IS NOT TRUE), 0) AS own,
            coalesce(sum(e.amount) FILTER (WHERE e.side = 'in' AND e.id < t.id), 0) AS ahead,
            coalesce(sum(e.amount) FILTER (WHERE e.side = 'out' AND e.source <> 'fee'), 0) AS gone,
            coalesce(sum(e.amount) FILTER (WHERE e.side = 'out' AND e.source = 'fee'), 0) AS fee
        FROM transfers AS e
        LEFT JOIN LATERAL (
            SELECT
                x.reason <> 'internal' AS deposit,
                CASE WHEN x.reason = 'nothing_arrived' THEN 0 ELSE x.received END AS received
            FROM deposits AS x
            WHERE x.transfer_id = e.id
            AND x.wallet_id = d.wallet_id
            AND e.side = 'in'
        ) AS j ON true
        WHERE e.script_id = d.script_id
        AND e.asset_id = d.asset_id
        AND e.status = 'confirmed'
        AND e.height > coalesce(p.height, -1)
        AND e.height <= k.height
        GROUP BY e.tx
    ) AS o
) AS l
WHERE d.chain = @chain
AND d.state = 'confirming'
AND d.received IS NULL
AND (s.history = 'complete' OR p.height >= s.handover);

-- name: ProveDeposits :exec
-- ProveDeposits keeps how much of deposits is proven.
UPDATE deposits AS d
SET
    received = n.received,
    proven_height = n.height,
    leans_on = n.leans_on
FROM (
    SELECT
        unnest(@ids::uuid[]) AS id,
        unnest(@received::numeric[]) AS received,
        unnest(@heights::bigint[]) AS height,
        unnest(@leans_on::bigint[]) AS leans_on
) AS n
WHERE d.id = n.id;

-- name: LeaningDeposits :many
-- LeaningDeposits returns the transfers of deposits that were judged by what stood
-- in the block at a height, or above it, and that stand below.
SELECT transfer_id
FROM deposits
WHERE chain = @chain
AND leans_on >= @height::bigint
AND state IN ('credited', 'dropped')
AND (height < @height::bigint OR height IS NULL)
ORDER BY created_at, id;

-- name: UnproveDeposits :execrows
-- UnproveDeposits forgets what balances proved that were read at a block that
-- left.
UPDATE deposits
SET
    received = NULL,
    proven_height = NULL,
    leans_on = NULL
WHERE chain = @chain
AND state = 'confirming'
AND proven_height >= @height::bigint;

-- name: DepositTerms :one
-- DepositTerms returns what the deposits of a chain are measured by.
SELECT
    family,
    maturity,
    policy,
    coalesce(height, -1)::bigint AS height,
    reverted
FROM cursors
WHERE chain = @chain;

-- name: SetDue :exec
-- SetDue keeps at which tip the next deposit is due, to be credited or to be given
-- up, and whether one waits for a balance, for MoveTip and its like to tell.
UPDATE cursors AS c
SET
    due = (
        SELECT LEAST(
            (
                SELECT min(d.due + coalesce(d.leans_on - d.height, 0))
                FROM deposits AS d
                WHERE d.chain = c.chain
                AND d.basis = 'depth'
                AND d.state = 'confirming'
                AND d.received > 0
            ),
            (
                SELECT min(d.due + coalesce(d.leans_on - d.height, 0))
                FROM deposits AS d
                WHERE d.chain = c.chain
                AND d.basis = 'depth'
                AND (d.state = 'orphaned' OR d.state = 'confirming' AND d.received = 0)
            )
        )
    ),
    unproven = EXISTS (
        SELECT
        FROM deposits AS d
        WHERE d.chain = c.chain
        AND d.state = 'confirming'
        AND d.received IS NULL
    )
WHERE c.chain = @chain;

-- name: DepositEvents :execrows
-- DepositEvents writes the event of deposits that changed their state, as they are
-- now, in the order given.
INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
SELECT
    e.tenant,
    e.environment,
    'deposit.' || e.state,
    e.chain,
    e.id::text,
    e.version,
    jsonb_build_object(
        'id', e.id,
        'walletId', e.wallet_id,
        'vaultId', e.vault_id,
        'externalId', e.external_id,
        'assetId', e.caip19,
        'amount', whole_units(e.amount, e.decimals),
        'received', whole_units(e.received, e.decimals),
        'state', e.state,
        'reason', e.reason,
        'chain', e.chain,
        'address', e.address,
        'tx', e.hex || encode(e.tx, 'hex'),
        'source', e.source,
        'block', e.hex || encode(e.block, 'hex'),
        'height', e.height,
        'replacedBy', e.hex || encode(e.replaced_by, 'hex')
    )
FROM (
    SELECT
        unnest(@ids::uuid[]) AS id,
        generate_subscripts(@ids::uuid[], 1) AS n
) AS n
CROSS JOIN LATERAL (
    SELECT
        d.*,
        w.vault_id,
        v.external_id,
        x.caip19,
        x.decimals,
        s.address,
        t.tx,
        t.source,
        t.block,
        t.replaced_by,
        CASE WHEN c.family = 'evm' THEN '0x' ELSE '' END AS hex
    FROM deposits AS d
    JOIN wallets AS w ON w.id = d.wallet_id
    JOIN vaults AS v ON v.id = w.vault_id
    JOIN assets AS x ON x.id = d.asset_id
    JOIN scripts AS s ON s.id = d.script_id
    JOIN transfers AS t ON t.id = d.transfer_id
    JOIN cursors AS c ON c.chain = d.chain
    WHERE d.id = n.id
    OFFSET 0
) AS e
ORDER BY n.n;

-- name: OpenDeposits :many
-- OpenDeposits returns the deposits of a chain that are in a block and not
-- credited, and those whose block left.
SELECT
    d.id,
    d.amount,
    d.state,
    coalesce(d.height, -1)::bigint AS height,
    d.basis,
    d.due::bigint AS due,
    t.coinbase,
    x.caip19
FROM deposits AS d
JOIN transfers AS t ON t.id = d.transfer_id
JOIN assets AS x ON x.id = d.asset_id
WHERE d.chain = @chain
AND d.state IN ('confirming', 'orphaned');

-- name: SetDues :exec
-- SetDues changes when deposits are due.
UPDATE deposits AS d
SET
    basis = n.basis,
    due = n.due,
    mature = NULLIF(n.mature, 0)
FROM (
    SELECT
        unnest(@ids::uuid[]) AS id,
        unnest(@bases::text[]) AS basis,
        unnest(@dues::bigint[]) AS due,
        unnest(@matures::bigint[]) AS mature
) AS n
WHERE d.id = n.id;

-- name: SetPolicy :execrows
-- SetPolicy keeps a policy, and changes no row if it is the one that is kept.
UPDATE cursors
SET policy = @policy
WHERE chain = @chain
AND policy <> @policy;

-- name: Halt :execrows
-- Halt stops credits, unless they are stopped. The first reason stays.
UPDATE cursors
SET
    halted = @reason,
    status_version = status_version + 1
WHERE chain = @chain
AND halted = '';

-- name: DepositRows :many
-- DepositRows returns deposits of a realm, newest first.
SELECT
    sqlc.embed(d),
    w.vault_id,
    v.external_id,
    x.caip19,
    x.symbol,
    x.name AS asset_name,
    x.decimals,
    x.listed,
    s.address,
    t.tx,
    t.source,
    t.replaced_by,
    c.family,
    coalesce(c.height, 0)::bigint AS tip,
    coalesce(b.hash, '')::bytea AS block,
    coalesce(b.parent, '')::bytea AS parent,
    coalesce(b.time, 'epoch')::timestamptz AS block_time
FROM deposits AS d
JOIN wallets AS w ON w.id = d.wallet_id
JOIN vaults AS v ON v.id = w.vault_id
JOIN assets AS x ON x.id = d.asset_id
JOIN scripts AS s ON s.id = d.script_id
JOIN transfers AS t ON t.id = d.transfer_id
JOIN cursors AS c ON c.chain = d.chain
LEFT JOIN blocks AS b ON b.chain = t.chain AND b.hash = t.block
WHERE d.tenant = @tenant
AND d.environment = @environment
AND (cardinality(@ids::uuid[]) = 0 OR d.id = ANY(@ids::uuid[]))
AND (sqlc.narg('wallet_id')::uuid IS NULL OR d.wallet_id = sqlc.narg('wallet_id')::uuid)
AND (sqlc.narg('vault_id')::uuid IS NULL OR w.vault_id = sqlc.narg('vault_id')::uuid)
AND (@chain::text = '' OR d.chain = @chain::text)
AND (cardinality(@states::text[]) = 0 OR d.state = ANY(@states::text[]))
AND (sqlc.narg('since')::timestamptz IS NULL OR d.created_at >= sqlc.narg('since')::timestamptz)
AND (sqlc.narg('until')::timestamptz IS NULL OR d.created_at < sqlc.narg('until')::timestamptz)
AND (sqlc.narg('after_at')::timestamptz IS NULL OR (d.created_at, d.id) < (sqlc.narg('after_at')::timestamptz, sqlc.narg('after_id')::uuid))
ORDER BY d.created_at DESC, d.id DESC
LIMIT @rows;
