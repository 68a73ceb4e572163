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

-- name: Numbering :one
-- Numbering returns the last number given, and whether an event waits for the
-- next one. It returns no row while another holds the numbering.
SELECT
    s.last,
    EXISTS (SELECT FROM events AS e WHERE e.seq IS NULL) AS waiting
FROM sequencer AS s
WHERE s.owner = @owner::uuid OR s.owner IS NULL OR s.lease_until < clock_timestamp();

-- name: NumberEvents :one
-- NumberEvents gives the next numbers to committed events and keeps the lease, if
-- the last number still is the one given: then nobody has numbered since the
-- statement began to look, and what it sees without a number has none. It is one
-- statement, so that a process that is stopped in the middle of it holds no lock.
WITH waiting AS MATERIALIZED (
    SELECT
        o.id,
        row_number() OVER (ORDER BY o.id) AS number
    FROM (
        SELECT e.id
        FROM events AS e
        WHERE e.seq IS NULL
        ORDER BY e.id
        LIMIT @rows
    ) AS o
), moved AS (
    UPDATE sequencer AS s
    SET
        last = s.last + (SELECT count(*) FROM waiting),
        owner = @owner::uuid,
        lease_until = clock_timestamp() + make_interval(secs => @seconds::float8)
    WHERE s.last = sqlc.arg(last)::bigint
    AND (s.owner = @owner::uuid OR s.owner IS NULL OR s.lease_until < clock_timestamp())
    RETURNING s.last
), numbered AS (
    UPDATE events AS e
    SET seq = sqlc.arg(last)::bigint + w.number
    FROM moved
    CROSS JOIN waiting AS w
    WHERE e.id = w.id
    RETURNING 1
)
SELECT count(*) FROM numbered;

-- name: DropNumbering :exec
-- DropNumbering gives the numbering up if its owner has it.
UPDATE sequencer
SET owner = NULL
WHERE owner = @owner::uuid;
