-- name: CreateWallet :execrows
-- CreateWallet adds a wallet, or changes nothing if the vault has one of the asset.
INSERT INTO wallets (id, vault_id, tenant, environment, chain, asset_id, label, created_at)
VALUES (@id, @vault_id, @tenant, @environment, @chain, @asset_id, @label, @created_at)
ON CONFLICT (vault_id, asset_id) DO NOTHING;

-- name: WalletRows :many
-- WalletRows returns wallets of a realm, oldest first: one, those of a vault, or
-- those of all vaults of a user. Which, is a list of ids and no OR, for which every
-- wallet would be read. Without rows it returns all.
SELECT
    sqlc.embed(w),
    v.status AS vault_status,
    v.name AS vault_name,
    x.caip19,
    x.symbol,
    x.name AS asset_name,
    x.decimals,
    x.listed,
    coalesce(a.address, '')::text AS address,
    NOT EXISTS (
        SELECT
        FROM addresses AS b
        JOIN scripts AS s ON s.id = b.script_id
        WHERE b.vault_id = w.vault_id
        AND b.chain = w.chain
        AND s.history <> 'complete'
    ) AS searched
FROM (
    SELECT sqlc.narg('id')::uuid AS id
    UNION ALL
    SELECT o.id
    FROM wallets AS o
    WHERE o.vault_id = sqlc.narg('vault_id')::uuid
    UNION ALL
    SELECT o.id
    FROM vaults AS u
    JOIN wallets AS o ON o.vault_id = u.id
    WHERE u.user_id = sqlc.narg('user_id')::uuid
) AS which
JOIN wallets AS w ON w.id = which.id
JOIN vaults AS v ON v.id = w.vault_id
JOIN assets AS x ON x.id = w.asset_id
LEFT JOIN LATERAL (
    SELECT address
    FROM addresses
    WHERE vault_id = w.vault_id
    AND chain = w.chain
    ORDER BY given_at, id
    LIMIT 1
) AS a ON true
WHERE w.tenant = @tenant
AND w.environment = @environment
AND (sqlc.narg('after_at')::timestamptz IS NULL OR (w.created_at, w.id) > (sqlc.narg('after_at')::timestamptz, sqlc.narg('after_id')::uuid))
ORDER BY w.created_at, w.id
LIMIT sqlc.narg('rows')::int;

-- name: WalletPlace :one
-- WalletPlace returns where a wallet of a realm is.
SELECT chain, vault_id
FROM wallets
WHERE id = @id
AND tenant = @tenant
AND environment = @environment;

-- name: LockWallets :many
-- LockWallets locks wallets in the order of their ids, so that those who lock
-- several never wait for each other. New deposits and postings, which refer to a
-- wallet, need not wait.
SELECT
    w.id,
    w.tenant,
    w.environment,
    w.vault_id,
    w.asset_id,
    w.status,
    w.available,
    w.locked,
    w.pending
FROM wallets AS w
WHERE w.id = ANY(@ids::uuid[])
ORDER BY w.id
FOR NO KEY UPDATE;

-- name: LockVaultWallets :exec
-- LockVaultWallets locks the wallets of a vault as LockWallets does.
SELECT
FROM wallets
WHERE vault_id = @vault_id
ORDER BY id
FOR NO KEY UPDATE;

-- name: ArchivedWallets :one
-- ArchivedWallets tells whether the vault of one of wallets that are locked is
-- archived. What changes that locks them too, so that a statement of its own sees
-- it.
SELECT EXISTS (
    SELECT
    FROM wallets AS w
    JOIN vaults AS v ON v.id = w.vault_id
    WHERE w.id = ANY(@ids::uuid[])
    AND v.status = 'Archived'
) AS archived;

-- name: SetBalances :exec
-- SetBalances writes the balances of wallets that are locked.
UPDATE wallets AS w
SET
    available = n.available,
    locked = n.locked,
    pending = n.pending,
    status = n.status,
    version = w.version + 1
FROM (
    SELECT
        unnest(@ids::uuid[]) AS id,
        unnest(@available::numeric[]) AS available,
        unnest(@locked::numeric[]) AS locked,
        unnest(@pending::numeric[]) AS pending,
        unnest(@statuses::text[]) AS status
) AS n
WHERE w.id = n.id;

-- name: BalanceEvents :execrows
-- BalanceEvents writes the event of wallets whose balance changed.
INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
SELECT
    w.tenant,
    w.environment,
    'balance.updated',
    w.chain,
    w.id::text,
    w.version,
    jsonb_build_object(
        'walletId', w.id,
        'vaultId', w.vault_id,
        'assetId', x.caip19,
        'available', whole_units(w.available, x.decimals),
        'locked', whole_units(w.locked, x.decimals),
        'pending', whole_units(w.pending, x.decimals),
        'credited', whole_units(w.available + w.locked, x.decimals),
        'status', w.status
    )
FROM wallets AS w
JOIN assets AS x ON x.id = w.asset_id
WHERE w.id = ANY(@ids::uuid[])
ORDER BY w.id;

-- name: BumpWallets :exec
-- BumpWallets counts a change of wallets that is told by an event of its own.
UPDATE wallets
SET version = version + 1
WHERE id = ANY(@ids::uuid[]);

-- name: WalletEvents :execrows
-- WalletEvents writes an event of wallets as they are now.
INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
SELECT
    w.tenant,
    w.environment,
    @type::text,
    w.chain,
    w.id::text,
    w.version,
    jsonb_build_object(
        'id', w.id,
        'vaultId', w.vault_id,
        'externalId', v.external_id,
        'assetId', x.caip19,
        'label', w.label,
        'depositAddress', a.address,
        'status', w.status,
        'available', whole_units(w.available, x.decimals)
    )
FROM wallets AS w
JOIN vaults AS v ON v.id = w.vault_id
JOIN assets AS x ON x.id = w.asset_id
LEFT JOIN LATERAL (
    SELECT address
    FROM addresses
    WHERE vault_id = w.vault_id
    AND chain = w.chain
    ORDER BY given_at, id
    LIMIT 1
) AS a ON true
WHERE w.id = ANY(@ids::uuid[])
ORDER BY w.id;

-- name: EnabledAssets :many
-- EnabledAssets returns the listed assets of an environment's chains; with a tenant
-- those of them that it may hold.
SELECT
    x.caip19,
    x.symbol,
    x.name,
    x.decimals,
    x.native,
    x.chain
FROM assets AS x
JOIN cursors AS c ON c.chain = x.chain
WHERE c.environment = @environment
AND x.listed
AND NOT EXISTS (
    SELECT
    FROM tenants AS t
    WHERE t.id = sqlc.narg('tenant')::text
    AND x.caip19 <> ALL(t.assets)
)
ORDER BY x.chain, x.native DESC, x.symbol, x.id;

-- name: ListedAsset :one
-- ListedAsset returns an asset that is listed in an environment, and that the tenant,
-- if one is given, may hold.
SELECT
    x.id,
    x.chain
FROM assets AS x
JOIN cursors AS c ON c.chain = x.chain
WHERE c.environment = @environment
AND x.caip19 = @caip19
AND x.listed
AND NOT EXISTS (
    SELECT
    FROM tenants AS t
    WHERE t.id = sqlc.narg('tenant')::text
    AND x.caip19 <> ALL(t.assets)
);

-- name: WalletsOfVault :many
-- WalletsOfVault returns the wallets of a vault on a chain.
SELECT id
FROM wallets
WHERE vault_id = @vault_id
AND chain = @chain;

-- name: WalletsOfAssets :many
-- WalletsOfAssets returns every wallet of some assets. It looks through all there are.
SELECT id
FROM wallets
WHERE asset_id = ANY(@asset_ids::bigint[]);
