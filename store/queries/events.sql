-- name: EventsAfter :many
-- EventsAfter returns numbered events of a realm in their order.
SELECT
    id,
    uid,
    seq,
    tenant,
    environment,
    type,
    chain,
    account_id,
    resource_id,
    resource_version,
    data,
    occurred_at
FROM events
WHERE tenant = @tenant
AND environment = @environment
AND seq > @beyond::bigint
ORDER BY seq
LIMIT @rows;

-- name: ChainEvents :execrows
-- ChainEvents tells every realm with addresses of custody or live accounts on a chain
-- how it is now. It has recovered only if its credits are not halted either.
INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
SELECT
    r.tenant,
    r.environment,
    CASE WHEN n.state IN ('degraded', 'halted') THEN 'chain.degraded' ELSE 'chain.recovered' END,
    c.chain,
    c.chain,
    c.status_version,
    jsonb_build_object('chain', c.chain, 'state', n.state, 'reason', n.reason, 'height', c.height, 'head', c.head)
FROM cursors AS c
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN c.halted <> '' THEN 'halted' ELSE c.state END AS state,
        CASE WHEN c.halted <> '' THEN c.halted ELSE c.reason END AS reason
) AS n
CROSS JOIN LATERAL (
    SELECT a.tenant, a.environment
    FROM accounts AS a
    WHERE a.chain = c.chain
    AND a.deleted_at IS NULL
    UNION
    SELECT a.tenant, a.environment
    FROM addresses AS a
    WHERE a.chain = c.chain
) AS r
WHERE c.chain = @chain;

-- name: HoldNumbering :one
-- HoldNumbering locks the numbering for its owner, or returns no row while
-- another holds it.
SELECT last
FROM sequencer
WHERE owner = @owner::uuid OR owner IS NULL OR lease_until < clock_timestamp()
FOR UPDATE SKIP LOCKED;

-- name: NumberEvents :execrows
-- NumberEvents gives the next numbers to committed events.
UPDATE events AS e
SET seq = n.number + sqlc.arg(last)::bigint
FROM (
    SELECT
        u.id,
        row_number() OVER (ORDER BY u.id) AS number
    FROM (
        SELECT o.id
        FROM events AS o
        WHERE o.seq IS NULL
        ORDER BY o.id
        LIMIT @rows
    ) AS u
) AS n
WHERE e.id = n.id;

-- name: KeepNumbering :exec
-- KeepNumbering saves the last number given and keeps the lease.
UPDATE sequencer
SET
    last = @last,
    owner = @owner::uuid,
    lease_until = clock_timestamp() + make_interval(secs => @seconds::float8);

-- name: DropNumbering :exec
-- DropNumbering gives the numbering up if its owner has it.
UPDATE sequencer
SET owner = NULL
WHERE owner = @owner::uuid;
