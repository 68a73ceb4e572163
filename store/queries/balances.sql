-- name: AccountStates :many
-- AccountStates returns accounts with how far they are: some by their ids, of a realm
-- each, and all of one user, those that show nothing but NFTs only if asked for.
-- Which, is a list of ids and no OR: with an OR a plan that is kept for all parameters
-- reads every account.
SELECT
    sqlc.embed(a),
    c.family,
    coalesce(c.height, -1)::bigint AS height,
    c.head,
    c.state,
    c.reason,
    c.updated_at,
    coalesce(b.hash, '')::bytea AS tip_hash,
    coalesce(b.parent, '')::bytea AS tip_parent,
    coalesce(b.time, 'epoch')::timestamptz AS tip_time,
    coalesce(b.work, 0)::numeric AS tip_work,
    x.caip19,
    x.symbol,
    x.name AS asset_name,
    x.decimals,
    h.scripts,
    h.complete,
    h.none,
    h.from_height,
    h.method
FROM (
    SELECT
        unnest(@ids::uuid[]) AS id,
        unnest(@tenants::text[]) AS tenant,
        unnest(@environments::text[]) AS environment
    UNION ALL
    SELECT
        u.id,
        @tenant AS tenant,
        @environment AS environment
    FROM accounts AS u
    WHERE u.user_id = sqlc.narg('user_id')::uuid
    AND u.deleted_at IS NULL
    AND (u.kind <> 'nft' OR @nfts::boolean)
) AS w
JOIN accounts AS a ON a.id = w.id AND a.tenant = w.tenant AND a.environment = w.environment
JOIN cursors AS c ON c.chain = a.chain
JOIN assets AS x ON x.chain = a.chain AND x.native
LEFT JOIN blocks AS b ON b.chain = c.chain AND b.hash = c.hash
CROSS JOIN LATERAL (
    SELECT
        count(*) AS scripts,
        coalesce(bool_and(s.history = 'complete'), false)::boolean AS complete,
        coalesce(bool_or(s.history = 'none'), true)::boolean AS none,
        coalesce(max(s.history_from), 0)::bigint AS from_height,
        coalesce(max(s.history_method), '')::text AS method
    FROM account_scripts AS l
    JOIN scripts AS s ON s.id = l.script_id
    WHERE l.account_id = a.id
) AS h
WHERE a.deleted_at IS NULL
ORDER BY a.created_at, a.id;

-- name: SumBalances :many
-- SumBalances returns what accounts of the bitcoin family hold: sums of confirmed
-- legs, and the part of them that is not mature at the tip.
SELECT
    l.account_id,
    x.caip19,
    x.symbol,
    x.name,
    x.decimals,
    x.listed,
    sum(s.amount)::numeric AS amount,
    coalesce(sum(i.amount), 0)::numeric AS immature
FROM account_scripts AS l
JOIN sums AS s ON s.script_id = l.script_id
JOIN assets AS x ON x.id = s.asset_id AND NOT x.nft
JOIN cursors AS c ON c.chain = x.chain
LEFT JOIN LATERAL (
    SELECT sum(t.amount) AS amount
    FROM transfers AS t
    WHERE t.script_id = s.script_id
    AND t.asset_id = s.asset_id
    AND t.coinbase
    AND t.status = 'confirmed'
    AND t.side = 'in'
    AND t.height > c.height + 1 - c.maturity
) AS i ON true
WHERE l.account_id = ANY(@accounts::uuid[])
GROUP BY l.account_id, x.id
ORDER BY x.native DESC, x.listed DESC, x.id;

-- name: ReadBalances :many
-- ReadBalances returns what EVM accounts hold: for each script and asset the
-- newest canonical balance, or, while there is none, the newest one read above
-- the tip; and what since the opening one no confirmed leg explains.
SELECT
    l.account_id,
    l.script_id,
    x.caip19,
    x.symbol,
    x.name,
    x.decimals,
    x.listed,
    x.native,
    coalesce(k.amount, p.amount)::numeric AS amount,
    coalesce(k.height, p.height)::bigint AS height,
    coalesce(k.hash, p.hash)::bytea AS hash,
    coalesce(k.parent, p.parent)::bytea AS parent,
    coalesce(k.block_time, p.block_time)::timestamptz AS block_time,
    coalesce(k.proof, p.proof)::text AS proof,
    (k.hash IS NULL)::boolean AS provisional,
    coalesce(k.amount - coalesce(o.amount, f.amount) - e.amount, 0)::numeric AS unattributed
FROM account_scripts AS l
JOIN sums AS s ON s.script_id = l.script_id
JOIN assets AS x ON x.id = s.asset_id AND NOT x.nft
JOIN cursors AS c ON c.chain = x.chain
LEFT JOIN LATERAL (
    SELECT
        n.amount,
        n.height,
        n.hash,
        n.parent,
        n.block_time,
        n.proof
    FROM snapshots AS n
    JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash AND b.canonical
    WHERE n.script_id = s.script_id
    AND n.asset_id = s.asset_id
    ORDER BY n.height DESC
    LIMIT 1
) AS k ON true
LEFT JOIN LATERAL (
    SELECT
        n.amount,
        n.height,
        n.hash,
        n.parent,
        n.block_time,
        n.proof
    FROM snapshots AS n
    WHERE n.script_id = s.script_id
    AND n.asset_id = s.asset_id
    AND n.height > coalesce(c.height, -1)
    AND NOT EXISTS (
        SELECT
        FROM blocks AS b
        WHERE b.chain = n.chain
        AND b.hash = n.hash
    )
    ORDER BY n.height DESC
    LIMIT 1
) AS p ON k.hash IS NULL
LEFT JOIN LATERAL (
    SELECT
        n.amount,
        n.height
    FROM snapshots AS n
    JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash AND b.canonical
    WHERE n.script_id = s.script_id
    AND n.asset_id = s.asset_id
    AND n.opening
    ORDER BY n.height DESC
    LIMIT 1
) AS o ON true
LEFT JOIN LATERAL (
    SELECT
        n.amount,
        n.height
    FROM snapshots AS n
    JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash AND b.canonical
    WHERE n.script_id = s.script_id
    AND n.asset_id = s.asset_id
    ORDER BY n.height
    LIMIT 1
) AS f ON o.height IS NULL
LEFT JOIN LATERAL (
    SELECT coalesce(sum(CASE WHEN t.side = 'in' THEN t.amount ELSE -t.amount END), 0) AS amount
    FROM transfers AS t
    WHERE t.script_id = s.script_id
    AND t.asset_id = s.asset_id
    AND t.status = 'confirmed'
    AND t.height > coalesce(o.height, f.height)
    AND t.height <= k.height
) AS e ON true
WHERE l.account_id = ANY(@accounts::uuid[])
AND coalesce(k.hash, p.hash) IS NOT NULL
ORDER BY x.native DESC, x.listed DESC, x.id, l.script_id;

-- name: PendingSums :many
-- PendingSums returns what unconfirmed transactions will do to accounts.
SELECT
    l.account_id,
    x.caip19,
    x.symbol,
    x.name,
    x.decimals,
    x.listed,
    coalesce(sum(t.amount) FILTER (WHERE t.side = 'in'), 0)::numeric AS incoming,
    coalesce(sum(t.amount) FILTER (WHERE t.side = 'out'), 0)::numeric AS outgoing
FROM account_scripts AS l
JOIN transfers AS t ON t.script_id = l.script_id AND t.status = 'pending'
JOIN assets AS x ON x.id = t.asset_id
WHERE l.account_id = ANY(@accounts::uuid[])
GROUP BY l.account_id, x.id
ORDER BY x.native DESC, x.listed DESC, x.id;
