-- name: PutNative :exec
-- PutNative names the asset fees are paid in.
INSERT INTO assets (chain, caip19, symbol, name, decimals, listed, native)
VALUES (@chain, @caip19, @symbol, @name, @decimals, true, true)
ON CONFLICT (chain, caip19) DO UPDATE
SET
    symbol = EXCLUDED.symbol,
    name = EXCLUDED.name,
    decimals = EXCLUDED.decimals,
    listed = true,
    native = true;

-- name: DropNative :exec
-- DropNative ends the native role of every other asset, for a chain that became
-- another network.
UPDATE assets
SET
    native = false,
    listed = false
WHERE chain = @chain
AND native
AND caip19 <> @caip19;

-- name: Unlisted :many
-- Unlisted returns those of assets that are known and not listed.
SELECT id
FROM assets
WHERE chain = @chain
AND caip19 = ANY(@caip19s::text[])
AND NOT listed;

-- name: ListAssets :exec
-- ListAssets names the operator's tokens.
INSERT INTO assets (chain, caip19, symbol, name, decimals, listed)
SELECT
    @chain,
    unnest(@caip19s::text[]),
    unnest(@symbols::text[]),
    unnest(@names::text[]),
    unnest(@decimals::integer[]),
    true
ON CONFLICT (chain, caip19) DO UPDATE
SET
    symbol = EXCLUDED.symbol,
    name = EXCLUDED.name,
    decimals = EXCLUDED.decimals,
    listed = true;

-- name: UnlistAssets :exec
-- UnlistAssets takes tokens off the list that the operator no longer names.
UPDATE assets
SET listed = false
WHERE chain = @chain
AND listed
AND NOT native
AND caip19 <> ALL(@caip19s::text[]);

-- name: AddAssets :many
-- AddAssets makes rows for assets seen for the first time, and returns those
-- that were new. An NFT is counted in whole pieces, and its metadata is due.
WITH fresh AS (
    INSERT INTO assets (chain, caip19, decimals)
    SELECT
        @chain,
        n.caip19,
        CASE WHEN n.caip19 LIKE '%/erc721:%' OR n.caip19 LIKE '%/erc1155:%' THEN 0 ELSE -1 END
    FROM unnest(@caip19s::text[]) AS n (caip19)
    ON CONFLICT (chain, caip19) DO NOTHING
    RETURNING id, chain, caip19, nft
),

described AS (
    INSERT INTO nfts (asset_id, chain, contract)
    SELECT
        f.id,
        f.chain,
        split_part(split_part(f.caip19, ':', 3), '/', 1)
    FROM fresh AS f
    WHERE f.nft
)

SELECT caip19
FROM fresh;

-- name: AssetIDs :many
-- AssetIDs returns the ids of assets that have rows.
SELECT id, caip19
FROM assets
WHERE chain = @chain
AND caip19 = ANY(@caip19s::text[]);

-- name: NameAssets :exec
-- NameAssets keeps what tokens call themselves, and when they were asked. The
-- operator's names are left alone.
UPDATE assets AS a
SET
    symbol = CASE WHEN a.listed THEN a.symbol ELSE n.symbol END,
    name = CASE WHEN a.listed THEN a.name ELSE n.name END,
    decimals = CASE WHEN a.listed THEN a.decimals ELSE n.decimals END,
    asked_at = now()
FROM (
    SELECT
        unnest(@caip19s::text[]) AS caip19,
        unnest(@symbols::text[]) AS symbol,
        unnest(@names::text[]) AS name,
        unnest(@decimals::integer[]) AS decimals
) AS n
WHERE a.chain = @chain
AND a.caip19 = n.caip19;

-- name: KnownAssets :many
-- KnownAssets returns every asset of a chain that balances are kept of, the
-- native one first.
SELECT caip19
FROM assets
WHERE chain = @chain
AND NOT nft
ORDER BY native DESC, listed DESC, id;

-- name: UnnamedAssets :many
-- UnnamedAssets returns tokens nobody has asked for their symbol for a day.
SELECT caip19
FROM assets
WHERE chain = @chain
AND NOT native
AND NOT listed
AND NOT nft
AND symbol = ''
AND (asked_at IS NULL OR asked_at < now() - interval '1 day')
ORDER BY id
LIMIT @rows;
