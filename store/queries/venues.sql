-- name: CreateVenueAccount :execrows
-- CreateVenueAccount adds an account at a venue, or changes nothing if the user
-- has the login connected already.
INSERT INTO accounts (
    id,
    tenant,
    environment,
    user_id,
    chain,
    venue,
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
    '',
    @venue,
    'venue',
    @wallet,
    @wallet_digest,
    @name,
    @description,
    @created_by,
    @meta_data
)
ON CONFLICT (user_id, chain, wallet_digest) WHERE deleted_at IS NULL DO NOTHING;

-- name: CreateLogin :exec
-- CreateLogin stores the sealed credentials of a venue account.
INSERT INTO logins (account_id, region, login, sealed, warnings)
VALUES (@account_id, @region, @login, @sealed, @warnings);

-- name: CreateStream :exec
-- CreateStream makes the row that fences a venue account.
INSERT INTO streams (account_id) VALUES (@account_id);

-- name: HoldVenueAccount :one
-- HoldVenueAccount locks an account at a venue before its other rows are, and
-- returns no row if the realm has none.
SELECT
    venue,
    user_id
FROM accounts
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND kind = 'venue'
AND deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: VenueWalletTaken :one
-- VenueWalletTaken reports whether another account of a user has a login.
SELECT EXISTS (
    SELECT
    FROM accounts
    WHERE user_id = @user_id
    AND chain = ''
    AND wallet_digest = @wallet_digest
    AND deleted_at IS NULL
    AND id <> @id
);

-- name: RenameVenueWallet :exec
-- RenameVenueWallet gives an account at a venue the name of another key.
UPDATE accounts
SET
    wallet = @wallet,
    wallet_digest = @wallet_digest
WHERE id = @id;

-- name: ReplaceLogin :exec
-- ReplaceLogin puts credentials in place of those an account has.
UPDATE logins
SET
    region = @region,
    login = @login,
    sealed = @sealed,
    warnings = @warnings
WHERE account_id = @account_id;

-- name: WarnOfLogin :exec
-- WarnOfLogin writes what the user of a login should know of it.
UPDATE logins
SET warnings = @warnings
WHERE account_id = @account_id
AND warnings <> @warnings;

-- name: ResealLogin :exec
-- ResealLogin seals credentials anew that are still the same.
UPDATE logins
SET sealed = @anew
WHERE account_id = @account_id
AND sealed = @sealed;

-- name: LoginOf :one
-- LoginOf returns the venue's own name of the login of an account.
SELECT login
FROM logins
WHERE account_id = @account_id;

-- name: ResumeStream :execrows
-- ResumeStream lets an account be read again at once, by nobody who reads it now.
UPDATE streams
SET
    owner = NULL,
    epoch = epoch + 1,
    lease_until = '-infinity',
    balances_due = now(),
    history_due = now(),
    failures = 0,
    status = CASE WHEN synced_at IS NULL THEN 'syncing' ELSE 'degraded' END,
    since = now()
WHERE account_id = @account_id;

-- name: EraseLogins :exec
-- EraseLogins erases the credentials of accounts that ended.
DELETE FROM logins
WHERE account_id = ANY(@ids::uuid[]);

-- name: EndStreams :exec
-- EndStreams takes accounts that ended away from whoever reads them.
DELETE FROM streams
WHERE account_id = ANY(@ids::uuid[]);

-- name: DueStreams :many
-- DueStreams returns accounts of which something is due and that nobody reads,
-- balances first, the longest due first.
SELECT
    s.account_id,
    s.epoch,
    a.venue,
    (s.balances_due > now())::boolean AS history
FROM streams AS s
JOIN accounts AS a ON a.id = s.account_id
WHERE s.status <> 'stopped'
AND least(s.balances_due, s.history_due) <= now()
AND (s.owner IS NULL OR s.lease_until < now())
ORDER BY s.balances_due > now(), least(s.balances_due, s.history_due), s.account_id
LIMIT @most;

-- name: TakeStream :one
-- TakeStream takes or keeps the lease of a stream by the database's clock, and
-- returns no row while another owner holds it, or the account is stopped.
UPDATE streams AS s
SET
    epoch = CASE WHEN s.owner = @owner::uuid THEN s.epoch ELSE s.epoch + 1 END,
    owner = @owner::uuid,
    lease_until = clock_timestamp() + make_interval(secs => @seconds::float8)
FROM accounts AS a, logins AS l
WHERE s.account_id = @account_id
AND a.id = s.account_id
AND l.account_id = s.account_id
AND s.status <> 'stopped'
AND (s.owner = @owner::uuid OR s.owner IS NULL OR s.lease_until < clock_timestamp())
RETURNING
    s.epoch,
    s.synced_at,
    s.valued_at,
    s.checked_at,
    s.balances_due,
    s.history_due,
    s.failures,
    s.codes,
    a.venue,
    a.tenant,
    a.environment,
    a.created_at,
    l.sealed;

-- name: StreamStatus :one
-- StreamStatus returns the status of a stream, or no row if there is none.
SELECT status
FROM streams
WHERE account_id = @account_id;

-- name: KeepStream :execrows
-- KeepStream keeps a lease that is still held.
UPDATE streams
SET lease_until = clock_timestamp() + make_interval(secs => @seconds::float8)
WHERE account_id = @account_id
AND owner = @owner::uuid
AND epoch = @epoch;

-- name: HoldStream :one
-- HoldStream locks the account and the stream of a lease, in this order, and
-- returns no row if the lease is lost or the account gone.
WITH held AS (
    SELECT
        a.id,
        a.tenant,
        a.environment,
        a.venue,
        a.created_at
    FROM accounts AS a
    WHERE a.id = @account_id
    AND a.deleted_at IS NULL
    FOR NO KEY UPDATE
)
SELECT
    h.tenant,
    h.environment,
    h.venue,
    h.created_at,
    s.synced_at,
    s.missing,
    s.totals,
    s.codes,
    s.status,
    s.stopped_at
FROM held AS h
JOIN streams AS s ON s.account_id = h.id
WHERE s.owner = @owner::uuid
AND s.epoch = @epoch
FOR NO KEY UPDATE OF s;

-- name: MoveStream :exec
-- MoveStream writes what was read of an account beside what it holds.
UPDATE streams
SET
    synced_at = coalesce(sqlc.narg('synced_at')::timestamptz, synced_at),
    valued_at = coalesce(sqlc.narg('valued_at')::timestamptz, valued_at),
    checked_at = coalesce(sqlc.narg('checked_at')::timestamptz, checked_at),
    missing = @missing,
    totals = @totals,
    codes = @codes
WHERE account_id = @account_id;

-- name: PeekStream :one
-- PeekStream is HoldStream without its locks.
SELECT
    a.tenant,
    a.environment,
    a.venue,
    a.created_at,
    s.synced_at,
    s.missing,
    s.totals,
    s.codes,
    s.status,
    s.stopped_at
FROM streams AS s
JOIN accounts AS a ON a.id = s.account_id
WHERE s.account_id = @account_id
AND s.owner = @owner::uuid
AND s.epoch = @epoch
AND a.deleted_at IS NULL;

-- name: EndLevelTurn :execrows
-- EndLevelTurn is EndTurn for an account that is level and stays so, and changes
-- no row of another.
UPDATE streams
SET
    owner = NULL,
    lease_until = '-infinity',
    balances_due = @balances_due,
    history_due = @history_due,
    synced_at = coalesce(sqlc.narg('synced_at')::timestamptz, synced_at)
WHERE account_id = @account_id
AND owner = @owner::uuid
AND epoch = @epoch
AND status = 'level'
AND failures = 0;

-- name: EndTurn :execrows
-- EndTurn writes when an account is read next and gives its lease up, and changes
-- no row if the lease is lost.
UPDATE streams
SET
    owner = NULL,
    lease_until = '-infinity',
    balances_due = @balances_due,
    history_due = @history_due,
    synced_at = coalesce(sqlc.narg('synced_at')::timestamptz, synced_at)
WHERE account_id = @account_id
AND owner = @owner::uuid
AND epoch = @epoch;

-- name: PutStreamState :exec
-- PutStreamState writes how a reading ended.
UPDATE streams
SET
    status = @status,
    since = CASE WHEN status = @status AND reason = @reason THEN since ELSE now() END,
    reason = @reason,
    code = @code,
    detail = @detail,
    hint = @hint,
    failures = CASE WHEN @reason = '' THEN 0 ELSE failures + 1 END,
    stopped_at = sqlc.narg('stopped_at')
WHERE account_id = @account_id;

-- name: Holdings :many
-- Holdings returns what a venue account holds, and what it held once, of which 0
-- is left.
SELECT
    h.wallet,
    h.code,
    coalesce(h.available::text, '')::text AS available,
    coalesce(h.locked::text, '')::text AS locked,
    coalesce(h.borrowed::text, '')::text AS borrowed,
    h.total::text AS total,
    h.at
FROM holdings AS h
WHERE h.account_id = @account_id
ORDER BY h.wallet, h.code;

-- name: HoldingsOf :many
-- HoldingsOf returns what accounts hold at venues.
SELECT
    h.account_id,
    h.wallet,
    h.code,
    coalesce(h.available::text, '')::text AS available,
    coalesce(h.locked::text, '')::text AS locked,
    coalesce(h.borrowed::text, '')::text AS borrowed,
    h.total::text AS total,
    h.at
FROM holdings AS h
WHERE h.account_id = ANY(@ids::uuid[])
AND (h.total <> 0 OR h.locked <> 0 OR h.borrowed <> 0)
ORDER BY h.account_id, h.wallet, h.code;

-- name: PutHoldings :exec
-- PutHoldings writes what an account holds where it changed.
INSERT INTO holdings AS h (account_id, tenant, environment, wallet, code, available, locked, borrowed, total, at)
SELECT
    @account_id,
    @tenant,
    @environment,
    n.wallet,
    n.code,
    NULLIF(n.available, '')::numeric,
    NULLIF(n.locked, '')::numeric,
    NULLIF(n.borrowed, '')::numeric,
    n.total::numeric,
    @at::timestamptz
FROM (
    SELECT
        unnest(@wallets::text[]) AS wallet,
        unnest(@codes::text[]) AS code,
        unnest(@availables::text[]) AS available,
        unnest(@lockeds::text[]) AS locked,
        unnest(@borroweds::text[]) AS borrowed,
        unnest(@totals::text[]) AS total
) AS n
ON CONFLICT (account_id, wallet, code) DO UPDATE
SET
    available = EXCLUDED.available,
    locked = EXCLUDED.locked,
    borrowed = EXCLUDED.borrowed,
    total = EXCLUDED.total,
    at = EXCLUDED.at;

-- name: AddHoldingChanges :exec
-- AddHoldingChanges remembers totals that changed. Of two at one moment the later
-- counts.
INSERT INTO holding_changes (account_id, wallet, code, at, total)
SELECT
    @account_id,
    n.wallet,
    n.code,
    @at::timestamptz,
    n.total::numeric
FROM (
    SELECT
        unnest(@wallets::text[]) AS wallet,
        unnest(@codes::text[]) AS code,
        unnest(@totals::text[]) AS total
) AS n
ON CONFLICT (account_id, wallet, code, at) DO UPDATE
SET total = EXCLUDED.total;

-- name: MarkVenueSynced :execrows
-- MarkVenueSynced marks an account that was read for the first time.
UPDATE accounts
SET synced_at = now()
WHERE id = @id
AND synced_at IS NULL;

-- name: BumpAccount :one
-- BumpAccount counts a change of an account's own state.
UPDATE accounts
SET version = version + 1
WHERE id = @id
RETURNING version;

-- name: PutVenueEvents :exec
-- PutVenueEvents writes events of an account at a venue, in their order.
INSERT INTO events (tenant, environment, type, chain, account_id, resource_id, resource_version, data)
SELECT
    @tenant,
    @environment,
    n.type,
    '',
    @account_id::uuid,
    n.resource_id,
    n.resource_version,
    n.data::jsonb
FROM (
    SELECT
        unnest(@types::text[]) AS type,
        unnest(@resource_ids::text[]) AS resource_id,
        unnest(@resource_versions::bigint[]) AS resource_version,
        unnest(@datas::text[]) AS data,
        generate_subscripts(@types::text[], 1) AS place
) AS n
ORDER BY n.place;

-- name: Histories :many
-- Histories returns how far the histories of an account were read.
SELECT
    account_id,
    stream,
    place,
    progress,
    since,
    done_at,
    due,
    failures,
    reason,
    detail,
    limits
FROM histories
WHERE account_id = @account_id
ORDER BY place, stream;

-- name: HistoriesOf :many
-- HistoriesOf returns how far the histories of accounts were read.
SELECT
    account_id,
    stream,
    place,
    progress,
    since,
    done_at,
    due,
    failures,
    reason,
    detail,
    limits
FROM histories
WHERE account_id = ANY(@ids::uuid[])
ORDER BY account_id, place, stream;

-- name: PutHistory :exec
-- PutHistory writes how far a history was read.
INSERT INTO histories AS h (account_id, stream, place, progress, since, done_at, due, limits)
VALUES (@account_id, @stream, @place, @progress, @since, sqlc.narg('done_at'), @due, @limits)
ON CONFLICT (account_id, stream) DO UPDATE
SET
    place = EXCLUDED.place,
    progress = EXCLUDED.progress,
    since = least(h.since, EXCLUDED.since),
    done_at = coalesce(EXCLUDED.done_at, h.done_at),
    due = EXCLUDED.due,
    failures = 0,
    reason = '',
    detail = '',
    limits = EXCLUDED.limits;

-- name: FailHistory :exec
-- FailHistory writes why a history could not be read further, and when it is tried
-- again.
INSERT INTO histories AS h (account_id, stream, place, due, failures, reason, detail)
VALUES (@account_id, @stream, @place, @due, 1, @reason, @detail)
ON CONFLICT (account_id, stream) DO UPDATE
SET
    due = EXCLUDED.due,
    failures = h.failures + 1,
    reason = EXCLUDED.reason,
    detail = EXCLUDED.detail;

-- name: VenueMovementsByDigest :many
-- VenueMovementsByDigest returns the rows of an account that are there already.
SELECT
    id,
    digest,
    version,
    status,
    data
FROM venue_movements
WHERE account_id = @account_id
AND digest = ANY(@digests::bytea[]);

-- name: PutVenueMovements :many
-- PutVenueMovements writes rows of a history that are new or changed.
INSERT INTO venue_movements AS m (account_id, digest, tenant, environment, stream, kind, status, shown, at, tx, data)
SELECT
    @account_id,
    n.digest,
    @tenant,
    @environment,
    @stream,
    n.kind,
    n.status,
    n.shown,
    n.at,
    CASE WHEN length(n.tx) = 32 THEN n.tx END,
    n.data::jsonb
FROM (
    SELECT
        unnest(@digests::bytea[]) AS digest,
        unnest(@kinds::text[]) AS kind,
        unnest(@statuses::text[]) AS status,
        unnest(@shown::boolean[]) AS shown,
        unnest(@ats::timestamptz[]) AS at,
        unnest(@txs::bytea[]) AS tx,
        unnest(@datas::text[]) AS data
) AS n
ON CONFLICT (account_id, digest) DO UPDATE
SET
    version = m.version + 1,
    kind = EXCLUDED.kind,
    status = EXCLUDED.status,
    shown = EXCLUDED.shown,
    at = EXCLUDED.at,
    tx = EXCLUDED.tx,
    data = EXCLUDED.data,
    changed_at = now()
RETURNING m.id, m.digest, m.version;

-- name: VenueMovements :many
-- VenueMovements returns movements of accounts of a realm, newest first.
SELECT
    m.id,
    m.account_id,
    a.venue,
    m.version,
    m.stream,
    m.shown,
    m.at,
    m.tx,
    m.data,
    m.first_seen
FROM venue_movements AS m
JOIN accounts AS a ON a.id = m.account_id
WHERE m.account_id = ANY(@accounts::uuid[])
AND a.tenant = @tenant
AND a.environment = @environment
AND a.deleted_at IS NULL
AND (sqlc.narg('since')::timestamptz IS NULL OR m.at >= sqlc.narg('since')::timestamptz)
AND (sqlc.narg('until')::timestamptz IS NULL OR m.at < sqlc.narg('until')::timestamptz)
AND (cardinality(@kinds::text[]) = 0 OR m.kind = ANY(@kinds::text[]))
AND (cardinality(@statuses::text[]) = 0 OR m.status = ANY(@statuses::text[]))
AND (m.shown OR NOT @only_shown::boolean)
AND (cardinality(@streams::text[]) = 0 OR m.stream = ANY(@streams::text[]))
AND (sqlc.narg('after_at')::timestamptz IS NULL OR (m.at, m.id) < (sqlc.narg('after_at')::timestamptz, @after_id::bigint))
ORDER BY m.at DESC, m.id DESC
LIMIT @rows;

-- name: VenueMovementsByTx :many
-- VenueMovementsByTx returns movements of the accounts of a user that carry one of
-- some transactions.
SELECT
    m.id,
    m.account_id,
    a.venue,
    m.version,
    m.stream,
    m.shown,
    m.at,
    m.tx,
    m.data,
    m.first_seen
FROM venue_movements AS m
JOIN accounts AS a ON a.id = m.account_id
WHERE m.tx = ANY(@txs::bytea[])
AND a.user_id = @user_id
AND a.tenant = @tenant
AND a.environment = @environment
AND a.deleted_at IS NULL
ORDER BY m.at DESC, m.id DESC;

-- name: ChainID :one
-- ChainID returns the CAIP-2 id of a chain.
SELECT caip2
FROM cursors
WHERE chain = @chain;

-- name: LinkedLegs :many
-- LinkedLegs returns the legs that transactions have in accounts on chains of the
-- users of accounts at venues. A leg that left the ledger's chain for good links
-- nothing.
SELECT
    v.id AS venue_account,
    a.id AS account_id,
    t.chain,
    c.caip2,
    t.tx,
    t.source,
    t.side,
    x.caip19,
    t.amount,
    t.status,
    s.address,
    t.vout
FROM accounts AS v
JOIN accounts AS a ON a.user_id = v.user_id AND a.tenant = v.tenant AND a.environment = v.environment AND a.kind <> 'venue' AND a.deleted_at IS NULL
JOIN account_scripts AS l ON l.account_id = a.id
JOIN transfers AS t ON t.script_id = l.script_id AND t.tx = ANY(@txs::bytea[])
JOIN scripts AS s ON s.id = t.script_id
JOIN assets AS x ON x.id = t.asset_id
JOIN cursors AS c ON c.chain = t.chain
WHERE v.id = ANY(@accounts::uuid[])
AND t.status IN ('pending', 'confirmed')
ORDER BY v.id, t.chain, t.tx, t.side, t.source, a.created_at, a.id;

-- name: VenueAccount :one
-- VenueAccount returns one account at a venue.
SELECT
    sqlc.embed(a),
    s.balances_due,
    s.synced_at AS read_at,
    s.status,
    s.reason,
    s.code,
    s.detail,
    s.hint,
    s.since,
    s.missing,
    s.totals,
    l.region,
    l.login,
    l.warnings
FROM accounts AS a
JOIN streams AS s ON s.account_id = a.id
JOIN logins AS l ON l.account_id = a.id
WHERE a.id = @id
AND a.tenant = @tenant
AND a.environment = @environment
AND a.deleted_at IS NULL;

-- name: UserVenueAccounts :many
-- UserVenueAccounts returns the accounts of a user at venues, oldest first.
SELECT
    sqlc.embed(a),
    s.balances_due,
    s.synced_at AS read_at,
    s.status,
    s.reason,
    s.code,
    s.detail,
    s.hint,
    s.since,
    s.missing,
    s.totals,
    l.region,
    l.login,
    l.warnings
FROM accounts AS a
JOIN streams AS s ON s.account_id = a.id
JOIN logins AS l ON l.account_id = a.id
WHERE a.user_id = @user_id
AND a.tenant = @tenant
AND a.environment = @environment
AND a.deleted_at IS NULL
ORDER BY a.created_at, a.id;

-- name: TakeNonce :one
-- TakeNonce takes the turn of a key with a number above all before, or returns no
-- row while another has the turn.
INSERT INTO nonces AS n (name, last, owner, lease_until)
VALUES (@name, @least, @owner::uuid, clock_timestamp() + make_interval(secs => @seconds::float8))
ON CONFLICT (name) DO UPDATE
SET
    last = greatest(n.last + 1, EXCLUDED.last),
    owner = EXCLUDED.owner,
    lease_until = EXCLUDED.lease_until
WHERE n.owner IS NULL OR n.lease_until < clock_timestamp()
RETURNING n.last;

-- name: DropNonce :exec
-- DropNonce gives the turn of a key up.
UPDATE nonces
SET
    owner = NULL,
    lease_until = '-infinity'
WHERE name = @name
AND owner = @owner::uuid;
