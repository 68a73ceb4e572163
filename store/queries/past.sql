-- name: HeightsAt :many
-- HeightsAt returns for chains and times the highest canonical block that is known
-- to be not after the time, -1 for none. Times of blocks of the bitcoin family do
-- not always rise: a block is looked for among the last ones by their times.
SELECT
    c.chain::text AS chain,
    n.n::integer AS n,
    coalesce(h.height, -1)::bigint AS height
FROM (SELECT unnest(@chains::text[]) AS chain) AS c
CROSS JOIN (
    SELECT
        unnest(@times::timestamptz[]) AS at,
        generate_subscripts(@times::timestamptz[], 1) AS n
) AS n
CROSS JOIN LATERAL (
    SELECT max(b.height) AS height
    FROM (
        SELECT o.height
        FROM blocks AS o
        WHERE o.chain = c.chain
        AND o.canonical
        AND o.time <= n.at
        ORDER BY o.time DESC
        LIMIT 64
    ) AS b
) AS h
ORDER BY c.chain, n.n;

-- name: PastSums :many
-- PastSums returns what the confirmed legs of accounts add up to between some
-- heights, which rise: bucket is the place, from 0, of the first one that is not
-- below the leg.
SELECT
    l.account_id,
    x.caip19,
    x.symbol,
    x.name,
    x.decimals,
    x.listed,
    width_bucket(t.height - 1, @heights::bigint[])::integer AS bucket,
    sum(CASE WHEN t.side = 'in' THEN t.amount ELSE -t.amount END)::numeric AS amount
FROM account_scripts AS l
JOIN transfers AS t ON t.script_id = l.script_id AND t.status = 'confirmed'
JOIN assets AS x ON x.id = t.asset_id AND NOT x.nft
WHERE l.account_id = ANY(@accounts::uuid[])
GROUP BY l.account_id, x.id, bucket
ORDER BY l.account_id, x.native DESC, x.listed DESC, x.id, bucket;

-- name: PastPositions :many
-- PastPositions returns every asset but NFTs that a script of accounts ever had to
-- do with.
SELECT
    l.account_id,
    l.script_id,
    x.id AS asset_id,
    x.caip19,
    x.symbol,
    x.name,
    x.decimals,
    x.listed,
    x.native
FROM account_scripts AS l
JOIN sums AS s ON s.script_id = l.script_id
JOIN assets AS x ON x.id = s.asset_id AND NOT x.nft
WHERE l.account_id = ANY(@accounts::uuid[])
ORDER BY l.account_id, x.native DESC, x.listed DESC, x.id, l.script_id;

-- name: PastLegs :many
-- PastLegs is PastSums for each script.
SELECT
    t.script_id,
    t.asset_id,
    width_bucket(t.height - 1, @heights::bigint[])::integer AS bucket,
    sum(CASE WHEN t.side = 'in' THEN t.amount ELSE -t.amount END)::numeric AS amount
FROM (
    SELECT DISTINCT s.script_id
    FROM account_scripts AS s
    WHERE s.account_id = ANY(@accounts::uuid[])
) AS l
JOIN transfers AS t ON t.script_id = l.script_id AND t.status = 'confirmed'
GROUP BY t.script_id, t.asset_id, bucket;

-- name: PastReadings :many
-- PastReadings returns the last canonical reading between each two of some heights,
-- with what legs moved after it up to the upper one.
SELECT
    r.script_id,
    r.asset_id,
    r.bucket,
    (r.amount + e.amount)::numeric AS amount
FROM (
    SELECT DISTINCT ON (s.script_id, s.asset_id, s.bucket)
        s.script_id,
        s.asset_id,
        s.bucket,
        s.height,
        s.amount
    FROM (
        SELECT
            n.script_id,
            n.asset_id,
            n.height,
            n.amount,
            width_bucket(n.height - 1, @heights::bigint[])::integer AS bucket
        FROM account_scripts AS l
        JOIN snapshots AS n ON n.script_id = l.script_id
        JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash AND b.canonical
        WHERE l.account_id = ANY(@accounts::uuid[])
    ) AS s
    WHERE s.bucket < cardinality(@heights::bigint[])
    ORDER BY s.script_id, s.asset_id, s.bucket, s.height DESC
) AS r
CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE WHEN t.side = 'in' THEN t.amount ELSE -t.amount END), 0) AS amount
    FROM transfers AS t
    WHERE t.script_id = r.script_id
    AND t.asset_id = r.asset_id
    AND t.status = 'confirmed'
    AND t.height > r.height
    AND t.height <= (@heights::bigint[])[r.bucket + 1]
) AS e;

-- name: FirstReadings :many
-- FirstReadings returns the first canonical reading of each script and asset, with
-- what legs moved before it, since the height below and in all.
SELECT
    r.script_id,
    r.asset_id,
    r.amount::numeric AS amount,
    r.block_time,
    width_bucket(r.height - 1, @heights::bigint[])::integer AS bucket,
    e.since::numeric AS since,
    e.total::numeric AS total
FROM (
    SELECT DISTINCT ON (n.script_id, n.asset_id)
        n.script_id,
        n.asset_id,
        n.height,
        n.amount,
        n.block_time
    FROM account_scripts AS l
    JOIN snapshots AS n ON n.script_id = l.script_id
    JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash AND b.canonical
    WHERE l.account_id = ANY(@accounts::uuid[])
    ORDER BY n.script_id, n.asset_id, n.height
) AS r
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(d.amount) FILTER (
            WHERE d.height > (@heights::bigint[])[width_bucket(r.height - 1, @heights::bigint[])]
        ), 0) AS since,
        coalesce(sum(d.amount), 0) AS total
    FROM (
        SELECT
            t.height,
            CASE WHEN t.side = 'in' THEN t.amount ELSE -t.amount END AS amount
        FROM transfers AS t
        WHERE t.script_id = r.script_id
        AND t.asset_id = r.asset_id
        AND t.status = 'confirmed'
        AND t.height <= r.height
    ) AS d
) AS e;

-- name: PastPostings :many
-- PastPostings returns what was posted to wallets between some times, which rise:
-- bucket is the place, from 0, of the first one that is not before the posting.
SELECT
    p.wallet_id::uuid AS wallet_id,
    width_bucket(j.created_at - interval '1 microsecond', @times::timestamptz[])::integer AS bucket,
    sum(p.amount)::numeric AS amount
FROM postings AS p
JOIN journals AS j ON j.id = p.journal_id
WHERE p.wallet_id = ANY(@wallets::uuid[])
GROUP BY p.wallet_id, bucket;

-- name: PastVenueAccounts :many
-- PastVenueAccounts returns the accounts of a user at venues, with when each was first
-- read, 'epoch' if it was not.
SELECT
    sqlc.embed(a),
    coalesce(f.at, 'epoch')::timestamptz AS first
FROM accounts AS a
CROSS JOIN LATERAL (
    SELECT min(c.at) AS at
    FROM holding_changes AS c
    WHERE c.account_id = a.id
) AS f
WHERE a.user_id = @user_id
AND a.tenant = @tenant
AND a.environment = @environment
AND a.kind = 'venue'
AND a.deleted_at IS NULL
ORDER BY a.created_at, a.id;

-- name: PastHoldings :many
-- PastHoldings returns what changed at venues between each two of some times, which
-- rise: the last total of each wallet and code. bucket is the place, from 0, of the
-- first time that is not before it.
SELECT DISTINCT ON (c.account_id, c.wallet, c.code, c.bucket)
    c.account_id,
    c.wallet,
    c.code,
    c.bucket,
    c.total::text AS total
FROM (
    SELECT
        h.account_id,
        h.wallet,
        h.code,
        h.at,
        h.total,
        width_bucket(h.at - interval '1 microsecond', @times::timestamptz[])::integer AS bucket
    FROM holding_changes AS h
    WHERE h.account_id = ANY(@accounts::uuid[])
) AS c
WHERE c.bucket < cardinality(@times::timestamptz[])
ORDER BY c.account_id, c.wallet, c.code, c.bucket, c.at DESC;

-- name: FirstHoldings :many
-- FirstHoldings returns what accounts at venues held when they were first read.
SELECT
    h.account_id,
    h.code,
    sum(h.total)::text AS total
FROM (
    SELECT
        unnest(@accounts::uuid[]) AS account_id,
        unnest(@firsts::timestamptz[]) AS at
) AS f
JOIN holding_changes AS h ON h.account_id = f.account_id AND h.at = f.at
GROUP BY h.account_id, h.code;

-- name: PastMovements :many
-- PastMovements returns what movements that are settled did to accounts at venues
-- before they were first read, between each two of some times as PastHoldings has
-- them. Of what several histories tell one row counts.
SELECT
    m.account_id,
    (l.leg ->> 'code')::text AS code,
    width_bucket(m.at - interval '1 microsecond', @times::timestamptz[])::integer AS bucket,
    sum((l.leg ->> 'amount')::numeric)::text AS amount
FROM (
    SELECT
        unnest(@accounts::uuid[]) AS account_id,
        unnest(@firsts::timestamptz[]) AS at
) AS f
JOIN venue_movements AS m ON m.account_id = f.account_id AND m.at <= f.at
CROSS JOIN LATERAL jsonb_array_elements(m.data -> 'legs') AS l (leg)
WHERE m.shown
AND m.status = 'settled'
GROUP BY m.account_id, l.leg ->> 'code', bucket;
