-- name: NFTCounts :many
-- NFTCounts returns how many NFTs the accounts of a user hold. An address that
-- several of them have counts for the oldest.
SELECT
    o.account_id,
    count(*) AS held
FROM (
    SELECT DISTINCT ON (l.script_id)
        l.script_id,
        a.id AS account_id
    FROM accounts AS a
    JOIN account_scripts AS l ON l.account_id = a.id
    WHERE a.user_id = @user_id
    AND a.tenant = @tenant
    AND a.environment = @environment
    AND a.deleted_at IS NULL
    AND (sqlc.narg('account_id')::uuid IS NULL OR a.id = sqlc.narg('account_id')::uuid)
    ORDER BY l.script_id, a.created_at, a.id
) AS o
JOIN nft_holdings AS h ON h.script_id = o.script_id
GROUP BY o.account_id;

-- name: NFTs :many
-- NFTs returns a page of the NFTs that the accounts of a user hold, each with the
-- oldest account that has its address, and with the transfer that brought it last.
SELECT
    o.account_id,
    h.script_id,
    h.asset_id,
    w.address,
    x.chain,
    x.caip19,
    h.amount::numeric AS amount,
    coalesce(h.height, -1)::bigint AS height,
    coalesce(h.hash, '')::bytea AS hash,
    coalesce(h.block_time, 'epoch')::timestamptz AS block_time,
    h.proof::text AS proof,
    coalesce(n.status, 'pending')::text AS status,
    coalesce(n.reason, '')::text AS reason,
    coalesce(n.collection, '')::text AS collection,
    coalesce(n.symbol, '')::text AS symbol,
    coalesce(n.uri, '')::text AS uri,
    coalesce(n.name, '')::text AS name,
    coalesce(n.description, '')::text AS description,
    coalesce(n.image, '')::text AS image,
    coalesce(n.external_url, '')::text AS external_url,
    coalesce(n.attributes, '[]')::jsonb AS attributes,
    n.as_of,
    n.tried_at,
    coalesce(t.tx, '')::bytea AS acquired_tx,
    coalesce(t.height, -1)::bigint AS acquired_height,
    coalesce(t.at, 'epoch')::timestamptz AS acquired_at
FROM (
    SELECT DISTINCT ON (l.script_id)
        l.script_id,
        a.id AS account_id
    FROM accounts AS a
    JOIN account_scripts AS l ON l.account_id = a.id
    WHERE a.user_id = @user_id
    AND a.tenant = @tenant
    AND a.environment = @environment
    AND a.deleted_at IS NULL
    AND (sqlc.narg('account_id')::uuid IS NULL OR a.id = sqlc.narg('account_id')::uuid)
    ORDER BY l.script_id, a.created_at, a.id
) AS o
JOIN nft_holdings AS h ON h.script_id = o.script_id
JOIN scripts AS w ON w.id = h.script_id
JOIN assets AS x ON x.id = h.asset_id
LEFT JOIN nfts AS n ON n.asset_id = h.asset_id
LEFT JOIN LATERAL (
    SELECT r.tx, r.height, r.at
    FROM transfers AS r
    WHERE r.script_id = h.script_id
    AND r.asset_id = h.asset_id
    AND r.status = 'confirmed'
    AND r.side = 'in'
    ORDER BY r.height DESC, r.tx_index DESC
    LIMIT 1
) AS t ON true
WHERE (h.script_id, h.asset_id) > (@after_script::bigint, @after_asset::bigint)
ORDER BY h.script_id, h.asset_id
LIMIT @rows;

-- name: DueNFTs :one
-- DueNFTs reports whether a chain has NFTs whose metadata is to be looked at now.
SELECT EXISTS (
    SELECT
    FROM nfts
    WHERE chain = @chain
    AND due_at <= now()
);

-- name: ClaimNFTs :many
-- ClaimNFTs returns NFTs whose metadata is to be looked at now, and lets nobody
-- else have them for a while. One collection with thousands that are due keeps no
-- other from its turn.
UPDATE nfts AS n
SET due_at = now() + make_interval(secs => @seconds::double precision)
FROM (
    SELECT d.asset_id
    FROM (
        SELECT
            q.asset_id,
            q.due_at,
            row_number() OVER (PARTITION BY q.contract ORDER BY q.due_at, q.asset_id) AS turn
        FROM nfts AS q
        WHERE q.chain = @chain
        AND q.due_at <= now()
    ) AS d
    JOIN nfts AS r ON r.asset_id = d.asset_id AND r.due_at <= now()
    ORDER BY d.turn, d.due_at
    LIMIT @rows
    FOR UPDATE OF r SKIP LOCKED
) AS c
JOIN assets AS x ON x.id = c.asset_id
WHERE n.asset_id = c.asset_id
RETURNING n.asset_id, x.caip19, n.attempts;

-- name: DescribeNFT :exec
-- DescribeNFT keeps the metadata of an NFT.
UPDATE nfts
SET
    status = 'ready',
    reason = '',
    collection = @collection,
    symbol = @symbol,
    uri = @uri,
    name = @name,
    description = @description,
    image = @image,
    external_url = @external_url,
    attributes = @attributes,
    as_of = now(),
    tried_at = now(),
    attempts = 0,
    due_at = now() + make_interval(secs => @seconds::double precision)
WHERE asset_id = @asset_id;

-- name: FailNFT :exec
-- FailNFT keeps why the metadata of an NFT could not be read. What was read before
-- stays, with its time.
UPDATE nfts
SET
    status = 'failed',
    reason = @reason,
    collection = CASE WHEN @collection::text = '' THEN collection ELSE @collection::text END,
    symbol = CASE WHEN @symbol::text = '' THEN symbol ELSE @symbol::text END,
    uri = CASE WHEN @uri::text = '' THEN uri ELSE @uri::text END,
    tried_at = now(),
    attempts = attempts + 1,
    due_at = now() + make_interval(secs => @seconds::double precision)
WHERE asset_id = @asset_id;
