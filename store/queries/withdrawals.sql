-- name: PutWithdrawal :exec
-- PutWithdrawal adds a withdrawal with its transaction.
WITH t AS (
    INSERT INTO transactions (id, tenant, environment, kind, status, source_wallet, asset_id, amount, note)
    VALUES (@id, @tenant, @environment, @kind, 'Submitted', sqlc.narg('wallet_id'), @asset_id, @amount, @note)
    RETURNING id
)

INSERT INTO withdrawals (
    id, tenant, environment, chain, kind, wallet_id, asset_id, amount, destination, script, max_fee, sender_id, nonce, replaces
)
SELECT
    t.id,
    @tenant,
    @environment,
    @chain,
    @kind,
    sqlc.narg('wallet_id'),
    @asset_id,
    @amount,
    @destination,
    @script,
    sqlc.narg('max_fee'),
    sqlc.narg('sender_id'),
    sqlc.narg('nonce'),
    sqlc.narg('replaces')
FROM t;

-- name: LockWithdrawal :one
-- LockWithdrawal locks a withdrawal, of a realm if one is given.
SELECT *
FROM withdrawals
WHERE id = @id
AND (@tenant::text = '' OR tenant = @tenant::text AND environment = @environment::text)
FOR NO KEY UPDATE;

-- name: SaveWithdrawal :exec
-- SaveWithdrawal writes what may change of a withdrawal that is locked. Its turn
-- moves with every write.
UPDATE withdrawals
SET
    status = @status,
    reason = @reason,
    amount = @amount,
    sender_id = sqlc.narg('sender_id'),
    nonce = sqlc.narg('nonce'),
    bump = @bump,
    drafts = @drafts,
    signed = @signed,
    taken = @taken,
    mined = sqlc.narg('mined'),
    block = sqlc.narg('block'),
    height = sqlc.narg('height'),
    paid = sqlc.narg('paid'),
    fee = sqlc.narg('fee'),
    last_mined = @last_mined,
    last_signed = @last_signed,
    lost = sqlc.narg('lost'),
    basis = @basis,
    due = sqlc.narg('due'),
    short_asset = sqlc.narg('short_asset'),
    short_have = sqlc.narg('short_have'),
    short_need = sqlc.narg('short_need'),
    next_at = now() + make_interval(secs => sqlc.narg('seconds')::double precision),
    tries = @tries,
    turn = turn + 1,
    lease_until = CASE WHEN @keep::boolean THEN lease_until ELSE 'epoch' END
WHERE id = @id;

-- name: ShowWithdrawal :one
-- ShowWithdrawal gives the transaction of a withdrawal what shows of it, and
-- returns its version.
UPDATE transactions
SET
    status = @status,
    reason = @reason,
    amount = @amount,
    version = version + 1,
    updated_at = now()
WHERE id = @id
RETURNING version;

-- name: WakeDue :exec
-- WakeDue makes those be looked at that have become as deep as they should, none
-- while the chain is in dispute. Those that somebody holds are left to the next time:
-- a block that changes several locks them in another order.
WITH due AS (
    SELECT w.id
    FROM withdrawals AS w
    JOIN cursors AS c ON c.chain = w.chain
    WHERE w.chain = @chain
    AND w.due IS NOT NULL
    AND w.next_at IS NULL
    AND c.disputed = ''
    AND w.due <= CASE w.basis WHEN 'safe' THEN c.safe WHEN 'final' THEN c.final ELSE c.height END
    FOR NO KEY UPDATE OF w SKIP LOCKED
)
UPDATE withdrawals AS w
SET next_at = now()
FROM due AS d
WHERE w.id = d.id;

-- name: WakeSettling :exec
-- WakeSettling makes those be looked at that wait for some depth, which is another now.
UPDATE withdrawals
SET next_at = now()
WHERE chain = @chain
AND due IS NOT NULL
AND next_at IS NULL;

-- name: WakeChanged :exec
-- WakeChanged makes those withdrawals be looked at that have to do with transfers
-- that changed: with a draft, with a coin of one, or, while they wait for money,
-- with what an address of their realm has. Those above the tip were in a block that
-- left. What somebody found out before that is not written any more.
UPDATE withdrawals AS w
SET
    next_at = now(),
    tries = 0,
    turn = w.turn + 1,
    lease_until = 'epoch'
WHERE w.id IN (
    SELECT d.withdrawal_id
    FROM transfers AS t
    JOIN drafts AS d ON d.chain = t.chain AND d.txid = t.tx
    WHERE t.id = ANY(@ids::bigint[])
    UNION
    SELECT r.withdrawal_id
    FROM transfers AS t
    JOIN reserved_coins AS r ON r.chain = t.chain AND r.tx = t.spent_tx AND r.vout = t.spent_vout
    WHERE t.id = ANY(@ids::bigint[])
    UNION
    SELECT r.withdrawal_id
    FROM transfers AS t
    JOIN reserved_coins AS r ON r.chain = t.chain AND r.tx = t.tx AND r.vout = t.vout
    WHERE t.id = ANY(@ids::bigint[])
    UNION
    SELECT s.id
    FROM withdrawals AS s
    JOIN cursors AS c ON c.chain = s.chain
    WHERE s.chain = @chain
    AND s.height > c.height
    UNION
    SELECT s.id
    FROM withdrawals AS s
    WHERE s.chain = @chain
    AND s.next_at > now()
    AND s.status = 'Submitted'
    AND EXISTS (
        SELECT
        FROM transfers AS t
        JOIN addresses AS a ON a.script_id = t.script_id
        WHERE t.id = ANY(@ids::bigint[])
        AND a.tenant = s.tenant
        AND a.environment = s.environment
    )
)
AND (w.signed > 0 OR w.status = 'Submitted');

-- name: TakeTurn :one
-- TakeTurn keeps the withdrawal that waits longest from others. Two who ask at once
-- get two.
UPDATE withdrawals AS w
SET
    turn = w.turn + 1,
    lease_until = now() + make_interval(secs => @seconds::double precision)
FROM (
    SELECT n.id
    FROM withdrawals AS n
    WHERE n.chain = @chain
    AND n.next_at <= now()
    AND n.lease_until <= now()
    ORDER BY n.next_at
    LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
) AS n
WHERE w.id = n.id
RETURNING w.id;

-- name: WithdrawalRows :many
-- WithdrawalRows returns withdrawals with what belongs to them. The sender is the
-- one it has, else the treasury that it will have.
SELECT
    sqlc.embed(w),
    t.note,
    t.version,
    t.updated_at,
    x.caip19,
    x.symbol,
    x.name AS asset_name,
    x.decimals,
    x.listed,
    n.caip19 AS native,
    n.symbol AS native_symbol,
    n.name AS native_name,
    n.decimals AS native_decimals,
    n.id AS native_id,
    n.listed AS native_listed,
    c.family,
    c.policy,
    coalesce(c.height, 0)::bigint AS tip,
    c.safe,
    c.final,
    (c.disputed <> '')::boolean AS disputed,
    coalesce(s.id, 0)::bigint AS pays_id,
    coalesce(s.address, '')::text AS pays,
    coalesce(s.script, '')::bytea AS pays_script,
    coalesce(k.key, '')::text AS pays_key,
    coalesce(a.branch, 0)::bigint AS pays_branch,
    coalesce(a.index, 0)::bigint AS pays_index,
    coalesce((
        SELECT max(r.nonce) + 1
        FROM reserved_nonces AS r
        JOIN withdrawals AS o ON o.id = r.withdrawal_id
        WHERE r.sender_id = s.id
        AND (r.tenant = w.tenant AND r.environment = w.environment OR o.signed > 0)
    ), 0)::bigint AS next_nonce,
    coalesce(sx.caip19, '')::text AS short
FROM withdrawals AS w
JOIN transactions AS t ON t.id = w.id
JOIN assets AS x ON x.id = w.asset_id
JOIN assets AS n ON n.chain = w.chain AND n.native
JOIN cursors AS c ON c.chain = w.chain
LEFT JOIN addresses AS a ON c.family = 'evm' AND a.tenant = w.tenant AND a.environment = w.environment AND a.chain = w.chain
AND CASE WHEN w.sender_id IS NULL THEN a.purpose = 'treasury' AND a.retired_at IS NULL ELSE a.script_id = w.sender_id END
LEFT JOIN scripts AS s ON s.id = a.script_id
LEFT JOIN custody_keys AS k ON k.id = a.key_id
LEFT JOIN assets AS sx ON sx.id = w.short_asset
WHERE w.id = ANY(@ids::uuid[])
AND (@tenant::text = '' OR w.tenant = @tenant::text AND w.environment = @environment::text)
ORDER BY w.created_at DESC, w.id DESC;

-- name: DraftRows :many
-- DraftRows returns the drafts of withdrawals, and where each stands by what the
-- ledger has: in the block of its outgoing transfers, else where a node saw it, if
-- that block is canonical. moved is what it took of the asset, gas what the sender
-- paid the network.
SELECT
    d.withdrawal_id,
    d.n,
    d.draft,
    d.raw,
    d.txid,
    coalesce(t.block, b.hash, '')::bytea AS block,
    coalesce(t.height, b.height, -1)::bigint AS height,
    (t.block IS NULL AND coalesce(d.seen_failed, false))::boolean AS failed,
    (t.block IS NULL)::boolean AS untold,
    coalesce(t.moved, 0)::numeric AS moved,
    coalesce(t.gas, 0)::numeric AS gas
FROM drafts AS d
JOIN withdrawals AS w ON w.id = d.withdrawal_id
LEFT JOIN LATERAL (
    SELECT
        (array_agg(o.block))[1]::bytea AS block,
        max(o.height) AS height,
        sum(o.amount) FILTER (WHERE o.source <> 'fee' AND o.asset_id = w.asset_id) AS moved,
        sum(o.amount) FILTER (WHERE o.source = 'fee') AS gas
    FROM transfers AS o
    WHERE o.chain = d.chain
    AND o.tx = d.txid
    AND o.side = 'out'
    AND o.status = 'confirmed'
    AND (w.sender_id IS NULL OR o.script_id = w.sender_id)
    HAVING count(*) > 0
) AS t ON true
LEFT JOIN blocks AS b ON t.block IS NULL AND b.chain = d.chain AND b.hash = d.seen_block AND b.canonical
WHERE d.withdrawal_id = ANY(@ids::uuid[])
ORDER BY d.withdrawal_id, d.n;

-- name: PutDraft :exec
-- PutDraft keeps a draft.
INSERT INTO drafts (withdrawal_id, n, chain, draft)
VALUES (@withdrawal_id, @n, @chain, @draft);

-- name: SignDraft :execrows
-- SignDraft keeps what came back of a draft, and changes no row if that is the
-- transaction of another one.
UPDATE drafts AS d
SET
    raw = @raw::bytea,
    txid = @txid::bytea,
    signed_at = now()
WHERE d.withdrawal_id = @withdrawal_id
AND d.n = @n
AND NOT EXISTS (
    SELECT
    FROM drafts AS o
    WHERE o.chain = d.chain
    AND o.txid = @txid::bytea
);

-- name: AdoptDraft :exec
-- AdoptDraft keeps the id that a draft has in the chain, unless that is another
-- withdrawal's: one payment completes one.
UPDATE drafts AS d
SET txid = @txid::bytea
WHERE d.withdrawal_id = @withdrawal_id
AND d.n = @n
AND NOT EXISTS (
    SELECT
    FROM drafts AS o
    WHERE o.chain = d.chain
    AND o.txid = @txid::bytea
);

-- name: SeeDraft :exec
-- SeeDraft keeps where a node says that a draft is mined.
UPDATE drafts
SET
    seen_block = @block::bytea,
    seen_height = @height::bigint,
    seen_failed = @failed::boolean
WHERE withdrawal_id = @withdrawal_id
AND n = @n;

-- name: SpendableCoins :many
-- SpendableCoins returns coins of the addresses of a realm that are confirmed,
-- unspent and not reserved, the most valuable first. What another realm has reserved
-- counts only once that is signed: then it has the key, and not just the address.
SELECT
    t.tx,
    t.vout::bigint AS vout,
    t.amount,
    s.script,
    t.height::bigint AS height,
    t.coinbase,
    coalesce(k.key, '')::text AS key,
    coalesce(a.branch, 0)::bigint AS branch,
    coalesce(a.index, 0)::bigint AS index
FROM addresses AS a
JOIN scripts AS s ON s.id = a.script_id
JOIN transfers AS t ON t.script_id = a.script_id
LEFT JOIN custody_keys AS k ON k.id = a.key_id
WHERE a.tenant = @tenant
AND a.environment = @environment
AND a.chain = @chain
AND t.side = 'in'
AND t.status = 'confirmed'
AND t.vout IS NOT NULL
AND t.amount > 0
AND NOT EXISTS (
    SELECT
    FROM transfers AS o
    WHERE o.chain = t.chain
    AND o.spent_tx = t.tx
    AND o.spent_vout = t.vout
    AND o.status IN ('pending', 'confirmed')
)
AND NOT EXISTS (
    SELECT
    FROM reserved_coins AS r
    JOIN withdrawals AS w ON w.id = r.withdrawal_id
    WHERE r.chain = t.chain
    AND r.tx = t.tx
    AND r.vout = t.vout
    AND (r.tenant = a.tenant AND r.environment = a.environment OR w.signed > 0)
)
ORDER BY t.amount DESC, t.tx, t.vout
LIMIT @rows;

-- name: ReserveCoins :exec
-- ReserveCoins reserves those of coins that can be spent now and that nobody else of
-- the realm has.
INSERT INTO reserved_coins (chain, tx, vout, tenant, environment, withdrawal_id)
SELECT
    t.chain,
    t.tx,
    t.vout,
    w.tenant,
    w.environment,
    w.id
FROM withdrawals AS w
CROSS JOIN (
    SELECT
        unnest(@txs::bytea[]) AS tx,
        unnest(@vouts::bigint[]) AS vout
) AS n
JOIN transfers AS t ON t.chain = @chain AND t.tx = n.tx AND t.vout = n.vout AND t.side = 'in' AND t.status = 'confirmed'
WHERE w.id = @withdrawal_id
AND NOT EXISTS (
    SELECT
    FROM transfers AS o
    WHERE o.chain = t.chain
    AND o.spent_tx = t.tx
    AND o.spent_vout = t.vout
    AND o.status IN ('pending', 'confirmed')
)
ON CONFLICT (chain, tx, vout, tenant, environment) DO NOTHING;

-- name: CountReserved :one
-- CountReserved returns how many of coins a withdrawal has.
SELECT count(*)
FROM (
    SELECT
        unnest(@txs::bytea[]) AS tx,
        unnest(@vouts::bigint[]) AS vout
) AS n
JOIN reserved_coins AS r ON r.chain = @chain AND r.tx = n.tx AND r.vout = n.vout
WHERE r.withdrawal_id = @withdrawal_id;

-- name: ReleaseCoins :exec
-- ReleaseCoins gives up the coins of a withdrawal but those given, which are spent.
DELETE FROM reserved_coins AS r
WHERE r.withdrawal_id = @withdrawal_id
AND NOT EXISTS (
    SELECT
    FROM (
        SELECT
            unnest(@txs::bytea[]) AS tx,
            unnest(@vouts::bigint[]) AS vout
    ) AS k
    WHERE k.tx = r.tx
    AND k.vout = r.vout
);

-- name: RetakeCoins :exec
-- RetakeCoins reserves coins of a draft that turned out to be mined after all, as far
-- as nobody else of the realm has them now.
INSERT INTO reserved_coins (chain, tx, vout, tenant, environment, withdrawal_id)
SELECT
    w.chain,
    unnest(@txs::bytea[]),
    unnest(@vouts::bigint[]),
    w.tenant,
    w.environment,
    w.id
FROM withdrawals AS w
WHERE w.id = @withdrawal_id
ON CONFLICT (chain, tx, vout, tenant, environment) DO NOTHING;

-- name: CoinFates :many
-- CoinFates returns what became of the coins of drafts: whether the output is still
-- there, and what stands in the chain and spends it.
SELECT
    r.tx::bytea AS tx,
    r.vout,
    EXISTS (
        SELECT
        FROM transfers AS f
        WHERE f.chain = r.chain
        AND f.tx = r.tx
        AND f.vout = r.vout
        AND f.side = 'in'
        AND f.status IN ('confirmed', 'pending')
    ) AS alive,
    coalesce(o.tx, '')::bytea AS spender,
    coalesce(o.block, '')::bytea AS block,
    coalesce(o.height, -1)::bigint AS height
FROM reserved_coins AS r
LEFT JOIN transfers AS o ON o.chain = r.chain AND o.spent_tx = r.tx AND o.spent_vout = r.vout AND o.status = 'confirmed'
WHERE r.withdrawal_id = @withdrawal_id;

-- name: NextChange :one
-- NextChange returns where change of a realm goes next.
SELECT
    coalesce(k.id, '00000000-0000-0000-0000-000000000000')::uuid AS key_id,
    coalesce(k.key, '')::text AS key,
    coalesce(k.next_change, 0)::bigint AS next_change,
    coalesce(s.script, '')::bytea AS treasury
FROM cursors AS c
LEFT JOIN custody_keys AS k ON k.chain = c.chain AND k.tenant = @tenant AND k.environment = @environment AND k.active
LEFT JOIN addresses AS a ON a.chain = c.chain AND a.tenant = @tenant AND a.environment = @environment
AND a.purpose = 'treasury' AND a.retired_at IS NULL
LEFT JOIN scripts AS s ON s.id = a.script_id
WHERE c.chain = @chain;

-- name: TakeChange :execrows
-- TakeChange gives an index of the branch for change away, and changes no row if it
-- is not the next one any more.
UPDATE custody_keys
SET next_change = next_change + 1
WHERE id = @id
AND next_change = @index;

-- name: HoldSender :one
-- HoldSender locks an address that pays.
SELECT script_id
FROM addresses
WHERE tenant = @tenant
AND environment = @environment
AND script_id = @script_id
FOR NO KEY UPDATE;

-- name: NextNonce :one
-- NextNonce returns the nonce after the highest one that is reserved in a realm, or
-- signed in another one, which then has the key; 0 for none. It is asked once the
-- sender is held, and apart from that: a statement that waited for a lock still sees
-- what was there before it waited.
SELECT coalesce(max(r.nonce) + 1, 0)::bigint
FROM reserved_nonces AS r
JOIN withdrawals AS w ON w.id = r.withdrawal_id
WHERE r.sender_id = @sender_id
AND (r.tenant = @tenant AND r.environment = @environment OR w.signed > 0);

-- name: ReserveNonce :execrows
-- ReserveNonce reserves a nonce, and changes no row if somebody of the realm has it.
INSERT INTO reserved_nonces (sender_id, nonce, tenant, environment, withdrawal_id)
SELECT
    @sender_id,
    @nonce,
    w.tenant,
    w.environment,
    w.id
FROM withdrawals AS w
WHERE w.id = @withdrawal_id
ON CONFLICT (sender_id, nonce, tenant, environment) DO NOTHING;

-- name: ReleaseNonce :execrows
-- ReleaseNonce gives up the nonce of a withdrawal if it is the highest of its realm,
-- and changes no row otherwise. No other realm's nonce was given because of this one,
-- which was not signed.
DELETE FROM reserved_nonces AS r
WHERE r.withdrawal_id = @withdrawal_id
AND NOT EXISTS (
    SELECT
    FROM reserved_nonces AS o
    WHERE o.sender_id = r.sender_id
    AND o.tenant = r.tenant
    AND o.environment = r.environment
    AND o.nonce > r.nonce
);

-- name: PassNonce :exec
-- PassNonce gives the nonce of one withdrawal to another.
UPDATE reserved_nonces
SET withdrawal_id = @heir
WHERE withdrawal_id = @withdrawal_id;

-- name: SenderFunds :one
-- SenderFunds returns what an address has of an asset by the newest canonical
-- reading, -1 for none, and what drafts take of it that the reading does not show
-- yet, and of the native coin for their fees: drafts of a realm, and those of others
-- that are signed.
SELECT
    coalesce(k.amount, -1)::numeric AS balance,
    coalesce(t.amount, 0)::numeric AS committed,
    coalesce(t.fee, 0)::numeric AS fees
FROM (SELECT 1 AS one) AS o
LEFT JOIN LATERAL (
    SELECT
        n.amount,
        n.height
    FROM snapshots AS n
    JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash AND b.canonical
    WHERE n.script_id = @sender_id::bigint
    AND n.asset_id = @asset_id::bigint
    ORDER BY n.height DESC
    LIMIT 1
) AS k ON true
LEFT JOIN LATERAL (
    SELECT
        sum(e.amount) FILTER (WHERE e.asset_id = @asset_id::bigint) AS amount,
        sum((d.draft ->> 'fee')::numeric) AS fee
    FROM (
        SELECT
            w.id,
            w.asset_id,
            w.amount,
            w.drafts
        FROM withdrawals AS w
        WHERE w.sender_id = @sender_id::bigint
        AND (w.tenant = @tenant AND w.environment = @environment OR w.signed > 0)
        AND w.status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming')
        AND w.mined IS NULL
        UNION ALL
        SELECT
            w.id,
            w.asset_id,
            w.amount,
            w.drafts
        FROM withdrawals AS w
        WHERE w.sender_id = @sender_id::bigint
        AND w.height > coalesce(k.height, -1)
    ) AS e
    JOIN drafts AS d ON d.withdrawal_id = e.id AND d.n = e.drafts
    WHERE e.id <> @except_id::uuid
) AS t ON true;

-- name: UsableEntry :one
-- UsableEntry returns from when on withdrawals of a realm may go to a script.
SELECT
    usable_at,
    (usable_at <= now())::boolean AS usable
FROM address_book
WHERE tenant = @tenant
AND environment = @environment
AND chain = @chain
AND script = @script
AND removed_at IS NULL;

-- name: OwnAddress :one
-- OwnAddress returns what a script is to a realm, or no row.
SELECT
    a.script_id,
    a.purpose,
    a.address
FROM addresses AS a
JOIN scripts AS s ON s.id = a.script_id
WHERE a.tenant = @tenant
AND a.environment = @environment
AND a.chain = @chain
AND s.digest = sha256(@script::bytea)
AND s.chain = @chain;

-- name: Treasury :one
-- Treasury returns the address that pays for a realm on a chain.
SELECT
    a.script_id,
    a.address,
    s.script
FROM addresses AS a
JOIN scripts AS s ON s.id = a.script_id
WHERE a.tenant = @tenant
AND a.environment = @environment
AND a.chain = @chain
AND a.purpose = 'treasury'
AND a.retired_at IS NULL;

-- name: PoolHoldings :many
-- PoolHoldings returns what the addresses of a realm on an EVM chain hold by the newest
-- canonical readings, of listed assets, the most first.
SELECT
    a.script_id,
    a.address,
    a.purpose,
    x.id AS asset_id,
    k.amount
FROM addresses AS a
JOIN sums AS m ON m.script_id = a.script_id
JOIN assets AS x ON x.id = m.asset_id AND x.listed
CROSS JOIN LATERAL (
    SELECT n.amount
    FROM snapshots AS n
    JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash AND b.canonical
    WHERE n.script_id = a.script_id
    AND n.asset_id = m.asset_id
    ORDER BY n.height DESC
    LIMIT 1
) AS k
WHERE a.tenant = @tenant
AND a.environment = @environment
AND a.chain = @chain
AND a.retired_at IS NULL
AND (sqlc.narg('script_id')::bigint IS NULL OR a.script_id = sqlc.narg('script_id')::bigint)
AND k.amount > 0
ORDER BY k.amount DESC, a.script_id
LIMIT @rows;

-- name: SweepUnderWay :one
-- SweepUnderWay reports whether an asset of an address is being swept for a realm.
SELECT EXISTS (
    SELECT
    FROM withdrawals
    WHERE tenant = @tenant
    AND environment = @environment
    AND sender_id = @sender_id::bigint
    AND asset_id = @asset_id
    AND kind = 'Sweep'
    AND status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming')
);

-- name: ChainAssets :many
-- ChainAssets returns the listed assets of a chain, the native one first.
SELECT *
FROM assets
WHERE chain = @chain
AND (listed OR native)
ORDER BY native DESC, id;

-- name: OpenSums :many
-- OpenSums returns what the open withdrawals of a realm on a chain take of each
-- asset: those with a draft that is not mined, with their fees, and those without.
SELECT
    w.asset_id,
    coalesce(sum(w.amount) FILTER (WHERE w.drafts > 0), 0)::numeric AS committed,
    coalesce(sum(w.amount) FILTER (WHERE w.drafts = 0), 0)::numeric AS waiting,
    coalesce(sum((d.draft ->> 'fee')::numeric), 0)::numeric AS fees
FROM withdrawals AS w
LEFT JOIN drafts AS d ON d.withdrawal_id = w.id AND d.n = w.drafts
WHERE w.tenant = @tenant
AND w.environment = @environment
AND w.chain = @chain
AND w.kind <> 'Sweep'
AND w.status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming')
AND w.mined IS NULL
GROUP BY w.asset_id;

-- name: CoinSums :one
-- CoinSums returns what a realm's coins on a chain of the bitcoin family are worth
-- that could be spent, and those of them that are reserved.
SELECT
    coalesce(sum(t.amount), 0)::numeric AS balance,
    coalesce(sum(t.amount) FILTER (WHERE r.withdrawal_id IS NOT NULL), 0)::numeric AS reserved
FROM addresses AS a
JOIN transfers AS t ON t.script_id = a.script_id
JOIN cursors AS c ON c.chain = t.chain
LEFT JOIN reserved_coins AS r ON r.chain = t.chain AND r.tx = t.tx AND r.vout = t.vout AND r.tenant = a.tenant AND r.environment = a.environment
WHERE a.tenant = @tenant
AND a.environment = @environment
AND a.chain = @chain
AND t.side = 'in'
AND t.status = 'confirmed'
AND t.vout IS NOT NULL
AND NOT (t.coinbase AND t.height > c.height + 1 - c.maturity)
AND NOT EXISTS (
    SELECT
    FROM transfers AS o
    WHERE o.chain = t.chain
    AND o.spent_tx = t.tx
    AND o.spent_vout = t.vout
    AND o.status IN ('pending', 'confirmed')
);

-- name: WithdrawalEvents :execrows
-- WithdrawalEvents writes an event of a withdrawal as it is now: that of its
-- transaction, with what is on the chain.
INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
SELECT
    t.tenant,
    t.environment,
    @type::text,
    w.chain,
    t.id::text,
    t.version,
    jsonb_build_object(
        'id', t.id,
        'kind', t.kind,
        'status', t.status,
        'reason', t.reason,
        'sourceWalletId', t.source_wallet,
        'destinationWalletId', t.destination_wallet,
        'assetId', x.caip19,
        'amount', whole_units(t.amount, x.decimals),
        'note', t.note,
        'createdAt', to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    ) || jsonb_strip_nulls(jsonb_build_object(
        'destinationAddress', w.destination,
        'txHash', CASE WHEN c.family = 'evm' THEN '0x' ELSE '' END || encode(d.txid, 'hex'),
        'block', CASE WHEN c.family = 'evm' THEN '0x' ELSE '' END || encode(w.block, 'hex'),
        'height', w.height,
        'networkFee', whole_units(w.fee, n.decimals)
    ))
FROM transactions AS t
JOIN withdrawals AS w ON w.id = t.id
JOIN assets AS x ON x.id = t.asset_id
JOIN assets AS n ON n.chain = w.chain AND n.native
JOIN cursors AS c ON c.chain = w.chain
LEFT JOIN LATERAL (
    SELECT d.txid
    FROM drafts AS d
    WHERE d.withdrawal_id = w.id
    AND d.txid IS NOT NULL
    AND (w.mined IS NULL OR d.n = w.mined)
    ORDER BY d.n DESC
    LIMIT 1
) AS d ON true
WHERE t.id = @id;

-- name: WithdrawalFaults :many
-- WithdrawalFaults returns what of withdrawals does not add up, of one tenant or of
-- all: nothing, if all is well. What each has done to the accounts is derived from
-- its status and compared with its postings.
SELECT
    f.fault::text AS fault,
    f.resource::text AS resource
FROM (
    SELECT
        'what a wallet has locked is not the sum of its open withdrawals' AS fault,
        w.id::text AS resource
    FROM wallets AS w
    LEFT JOIN LATERAL (
        SELECT coalesce(sum(o.amount), 0) AS amount
        FROM withdrawals AS o
        WHERE o.wallet_id = w.id
        AND o.status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming')
    ) AS o ON true
    WHERE w.locked <> o.amount
    AND (@tenant::text = '' OR w.tenant = @tenant::text)
    UNION ALL
    SELECT
        'the postings of a withdrawal are not what its status says',
        w.id::text
    FROM withdrawals AS w
    LEFT JOIN LATERAL (
        SELECT
            coalesce(sum(p.amount) FILTER (WHERE p.account = 'available'), 0) AS available,
            coalesce(sum(p.amount) FILTER (WHERE p.account = 'locked'), 0) AS locked,
            coalesce(sum(p.amount) FILTER (WHERE p.account = 'chain'), 0) AS outside,
            coalesce(sum(p.amount) FILTER (WHERE p.account = 'fees'), 0) AS fees,
            coalesce(sum(p.amount) FILTER (WHERE p.account = 'treasury'), 0) AS treasury
        FROM journals AS j
        JOIN postings AS p ON p.journal_id = j.id
        WHERE j.reference = w.id
    ) AS p ON true
    WHERE (p.available, p.locked, p.outside, p.fees, p.treasury) IS DISTINCT FROM (
        CASE WHEN w.wallet_id IS NULL OR w.status IN ('Failed', 'Cancelled') THEN 0 ELSE -w.amount END,
        CASE WHEN w.wallet_id IS NOT NULL AND w.status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming') THEN w.amount ELSE 0 END,
        CASE WHEN w.wallet_id IS NOT NULL AND w.status = 'Completed' THEN w.amount ELSE 0 END,
        CASE WHEN w.status IN ('Completed', 'Failed') THEN coalesce(w.fee, 0) ELSE 0 END,
        CASE WHEN w.status IN ('Completed', 'Failed') THEN -coalesce(w.fee, 0) ELSE 0 END
    )
    AND (@tenant::text = '' OR w.tenant = @tenant::text)
    UNION ALL
    SELECT
        'a withdrawal and its transaction differ',
        w.id::text
    FROM withdrawals AS w
    JOIN transactions AS t ON t.id = w.id
    WHERE (t.kind, t.status, t.reason, t.amount, t.asset_id, t.source_wallet)
        IS DISTINCT FROM (w.kind, w.status, w.reason, w.amount, w.asset_id, w.wallet_id)
    AND (@tenant::text = '' OR w.tenant = @tenant::text)
    UNION ALL
    SELECT
        'a coin of the draft of an open withdrawal is free',
        w.id::text
    FROM withdrawals AS w
    JOIN drafts AS d ON d.withdrawal_id = w.id
    CROSS JOIN LATERAL json_array_elements(d.draft -> 'payment' -> 'inputs') AS i (input)
    WHERE w.status IN ('PendingSignature', 'Broadcasting', 'Confirming')
    AND d.draft -> 'payment' IS NOT NULL
    AND NOT EXISTS (
        SELECT
        FROM reserved_coins AS r
        WHERE r.chain = w.chain
        AND r.tenant = w.tenant
        AND r.environment = w.environment
        AND r.tx = decode(split_part(i.input ->> 'outpoint', ':', 1), 'hex')
        AND r.vout = split_part(i.input ->> 'outpoint', ':', 2)::bigint
    )
    AND (@tenant::text = '' OR w.tenant = @tenant::text)
    UNION ALL
    SELECT
        'an open withdrawal does not have the nonce of its draft',
        w.id::text
    FROM withdrawals AS w
    WHERE w.status IN ('PendingSignature', 'Broadcasting', 'Confirming')
    AND w.nonce IS NOT NULL
    AND NOT EXISTS (
        SELECT
        FROM reserved_nonces AS r
        WHERE r.sender_id = w.sender_id
        AND r.nonce = w.nonce
        AND r.withdrawal_id = w.id
    )
    AND (@tenant::text = '' OR w.tenant = @tenant::text)
) AS f
ORDER BY f.fault, f.resource
LIMIT @most;

-- name: CursorTip :one
-- CursorTip returns the height of the tip of a chain, 0 before its first block.
SELECT coalesce(height, 0)::bigint AS height
FROM cursors
WHERE chain = @chain;
