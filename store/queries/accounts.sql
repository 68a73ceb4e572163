-- name: CreateAccount :execrows
-- CreateAccount adds an account, or changes nothing if the user has the wallet
-- connected already.
INSERT INTO accounts (
    id,
    tenant,
    environment,
    user_id,
    chain,
    kind,
    wallet,
    wallet_digest,
    name,
    description,
    created_by,
    meta_data
)
VALUES (
    @id,
    @tenant,
    @environment,
    @user_id,
    @chain,
    @kind,
    @wallet,
    @wallet_digest,
    @name,
    @description,
    @created_by,
    @meta_data
)
ON CONFLICT (user_id, chain, wallet_digest) WHERE deleted_at IS NULL DO NOTHING;

-- name: LinkScripts :exec
-- LinkScripts gives scripts to an account. Those it has already stay.
INSERT INTO account_scripts (account_id, script_id, tenant, environment, branch, index)
SELECT
    a.id,
    s.id,
    a.tenant,
    a.environment,
    n.branch,
    n.index
FROM (
    SELECT
        unnest(@digests::bytea[]) AS digest,
        unnest(@branches::bigint[]) AS branch,
        unnest(@indexes::bigint[]) AS index
) AS n
JOIN accounts AS a ON a.id = @account_id
JOIN scripts AS s ON s.chain = a.chain AND s.digest = n.digest
ON CONFLICT DO NOTHING;

-- name: Account :one
-- Account returns one account of a realm.
SELECT
    id,
    tenant,
    environment,
    user_id,
    chain,
    kind,
    wallet,
    wallet_digest,
    name,
    description,
    version,
    created_at,
    synced_at,
    deleted_at,
    venue,
    created_by,
    meta_data
FROM accounts
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL;

-- name: AccountChain :one
-- AccountChain returns the chain of an account.
SELECT chain
FROM accounts
WHERE id = @id
AND deleted_at IS NULL;

-- name: AccountByWallet :one
-- AccountByWallet returns the account with which a user has a wallet connected.
SELECT
    id,
    tenant,
    environment,
    user_id,
    chain,
    kind,
    wallet,
    wallet_digest,
    name,
    description,
    version,
    created_at,
    synced_at,
    deleted_at,
    venue,
    created_by,
    meta_data
FROM accounts
WHERE tenant = @tenant
AND environment = @environment
AND user_id = @user_id
AND chain = @chain
AND wallet_digest = @wallet_digest
AND deleted_at IS NULL;

-- name: Accounts :many
-- Accounts returns the accounts of a user, oldest first.
SELECT
    id,
    tenant,
    environment,
    user_id,
    chain,
    kind,
    wallet,
    wallet_digest,
    name,
    description,
    version,
    created_at,
    synced_at,
    deleted_at,
    venue,
    created_by,
    meta_data
FROM accounts
WHERE user_id = @user_id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL
ORDER BY created_at, id;

-- name: DeleteAccount :execrows
-- DeleteAccount ends an account. Its scripts stay watched.
UPDATE accounts
SET deleted_at = now()
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL;

-- name: SyncAccounts :many
-- SyncAccounts marks the accounts that hold one of scripts, that were never
-- level, and of which nothing is missing any more: all history on the bitcoin
-- family, a native balance of every script on EVM. OFFSET 0 as in TransferEvents.
UPDATE accounts AS a
SET
    synced_at = now(),
    version = a.version + 1
FROM (
    SELECT DISTINCT o.id
    FROM unnest(@script_ids::bigint[]) AS n (id)
    CROSS JOIN LATERAL (
        SELECT h.account_id
        FROM account_scripts AS h
        WHERE h.script_id = n.id
        OFFSET 0
    ) AS l
    CROSS JOIN LATERAL (
        SELECT p.id
        FROM accounts AS p
        WHERE p.id = l.account_id
        AND p.synced_at IS NULL
        AND p.deleted_at IS NULL
        OFFSET 0
    ) AS o
) AS d
WHERE a.id = d.id
AND NOT EXISTS (
    SELECT
    FROM account_scripts AS l
    JOIN scripts AS s ON s.id = l.script_id
    JOIN cursors AS c ON c.chain = s.chain
    WHERE l.account_id = a.id
    AND CASE c.family
        WHEN 'evm' THEN NOT EXISTS (
            SELECT
            FROM snapshots AS n
            JOIN assets AS x ON x.id = n.asset_id AND x.native
            LEFT JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash
            WHERE n.script_id = s.id
            AND (b.canonical OR b.hash IS NULL AND n.height > coalesce(c.height, -1))
        )
        ELSE s.history <> 'complete'
    END
    OFFSET 0
)
RETURNING a.id;

-- name: SyncedEvents :execrows
-- SyncedEvents writes the event of accounts that became level.
INSERT INTO events (tenant, environment, type, chain, account_id, resource_id, resource_version, data)
SELECT
    a.tenant,
    a.environment,
    'account.synced',
    a.chain,
    a.id,
    a.id::text,
    a.version,
    jsonb_build_object('chain', a.chain, 'wallet', a.wallet, 'height', c.height)
FROM accounts AS a
JOIN cursors AS c ON c.chain = a.chain
WHERE a.id = ANY(@ids::uuid[])
ORDER BY a.created_at, a.id;

-- name: UnsyncAccounts :exec
-- UnsyncAccounts forgets that accounts of a chain were level.
UPDATE accounts
SET synced_at = NULL
WHERE chain = @chain
AND synced_at IS NOT NULL;

-- name: MovedWindows :many
-- MovedWindows returns the branches of descriptor accounts in which fewer than
-- gap scripts follow the last of scripts.
SELECT
    a.id,
    a.wallet,
    l.branch,
    (e.last + 1)::bigint AS next,
    (max(l.index) + 1 + @gap::bigint)::bigint AS want
FROM scripts AS s
JOIN account_scripts AS l ON l.script_id = s.id
JOIN accounts AS a ON a.id = l.account_id AND a.kind = 'descriptor' AND a.deleted_at IS NULL
CROSS JOIN LATERAL (
    SELECT max(o.index) AS last
    FROM account_scripts AS o
    WHERE o.account_id = a.id
    AND o.branch = l.branch
) AS e
WHERE s.chain = @chain
AND s.digest = ANY(@digests::bytea[])
GROUP BY a.id, a.wallet, l.branch, e.last
HAVING e.last + 1 < max(l.index) + 1 + @gap::bigint
ORDER BY a.id, l.branch;
