-- name: CreateEndpoint :one
-- CreateEndpoint adds an endpoint that gets the events from now on, or returns no
-- row if it would be the second outbound one.
INSERT INTO endpoints (id, tenant, environment, outbound, url, description, events, ordered, concurrency, created_by, since)
SELECT
    @id,
    @tenant,
    @environment,
    @outbound,
    @url,
    @description,
    @events,
    @ordered,
    @concurrency,
    @created_by,
    s.last
FROM sequencer AS s
ON CONFLICT (tenant, environment) WHERE outbound AND deleted_at IS NULL DO NOTHING
RETURNING *;

-- name: Endpoint :one
-- Endpoint returns an endpoint that is not deleted.
SELECT *
FROM endpoints
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL;

-- name: LockEndpoint :one
-- LockEndpoint is Endpoint for one who is going to change it. Its key stays as it
-- is: deliveries can be queued for it meanwhile.
SELECT *
FROM endpoints
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL
FOR NO KEY UPDATE;

-- name: LockRecovery :exec
-- LockRecovery lets one at a time send an endpoint's events again. It holds up
-- nobody who changes, marks or sends to the endpoint.
SELECT pg_advisory_xact_lock(hashtextextended('recovery ' || sqlc.arg(endpoint_id)::uuid, 0));

-- name: CountEndpoints :one
-- CountEndpoints counts the endpoints of a realm.
SELECT count(*)
FROM endpoints
WHERE tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL;

-- name: OutboundEndpoint :one
-- OutboundEndpoint returns the outbound endpoint of a realm.
SELECT *
FROM endpoints
WHERE tenant = @tenant
AND environment = @environment
AND outbound
AND deleted_at IS NULL;

-- name: EndpointPlace :one
-- EndpointPlace returns where an endpoint of a realm stands in their list, a deleted
-- one too.
SELECT created_at
FROM endpoints
WHERE id = @id
AND tenant = @tenant
AND environment = @environment;

-- name: Endpoints :many
-- Endpoints returns endpoints of a realm, oldest first.
SELECT *
FROM endpoints
WHERE tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL
AND (sqlc.narg('after_at')::timestamptz IS NULL OR (created_at, id) > (sqlc.narg('after_at')::timestamptz, sqlc.narg('after_id')::uuid))
ORDER BY created_at, id
LIMIT @rows;

-- name: ChangeEndpoint :one
-- ChangeEndpoint writes what its owner can change. Who enables an endpoint says
-- that it is well again.
UPDATE endpoints
SET
    url = @url,
    description = @description,
    events = @events,
    ordered = @ordered,
    concurrency = @concurrency,
    disabled_at = @disabled_at,
    disabled_reason = @disabled_reason,
    failing_since = @failing_since,
    failing_error = @failing_error,
    version = version + 1
WHERE id = @id
RETURNING *;

-- name: UntieDeliveries :exec
-- UntieDeliveries makes due what was put off for the order of resources.
UPDATE deliveries
SET due_at = now()
WHERE endpoint_id = @endpoint_id
AND lease IS NULL
AND rung = 0
AND due_at > now();

-- name: DeleteEndpoint :execrows
-- DeleteEndpoint marks an endpoint as gone.
UPDATE endpoints
SET
    deleted_at = now(),
    version = version + 1
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL;

-- name: DropDeliveries :exec
-- DropDeliveries forgets what is still to be sent to an endpoint.
DELETE FROM deliveries
WHERE endpoint_id = @endpoint_id;

-- name: DropSecrets :exec
-- DropSecrets forgets what an endpoint's deliveries were signed with.
DELETE FROM endpoint_secrets
WHERE endpoint_id = @endpoint_id;

-- name: EndSecrets :exec
-- EndSecrets gives the secrets of an endpoint an end, unless theirs comes sooner.
UPDATE endpoint_secrets
SET expires_at = least(expires_at, now() + make_interval(secs => @seconds::float8))
WHERE endpoint_id = @endpoint_id;

-- name: CreateSecret :exec
-- CreateSecret adds the newest secret of an endpoint.
INSERT INTO endpoint_secrets (endpoint_id, sealed)
VALUES (@endpoint_id, @sealed);

-- name: BumpEndpoint :one
-- BumpEndpoint counts a change of an endpoint.
UPDATE endpoints
SET version = version + 1
WHERE id = @id
RETURNING *;

-- name: CountSecrets :one
-- CountSecrets counts the secrets of an endpoint that still sign.
SELECT count(*)
FROM endpoint_secrets
WHERE endpoint_id = @endpoint_id
AND (expires_at IS NULL OR expires_at > now());

-- name: EndpointSecrets :many
-- EndpointSecrets returns the secrets of an endpoint that still sign, newest
-- first, with its version.
SELECT
    p.version,
    s.sealed,
    s.expires_at
FROM endpoints AS p
JOIN endpoint_secrets AS s ON s.endpoint_id = p.id
WHERE p.id = @endpoint_id
AND (s.expires_at IS NULL OR s.expires_at > now())
ORDER BY s.id DESC;

-- name: TestEvent :one
-- TestEvent writes an event that goes to one endpoint alone.
INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
SELECT
    p.tenant,
    p.environment,
    'webhook.test',
    '',
    p.id::text,
    p.version,
    jsonb_build_object('endpoint_id', p.id, 'description', p.description)
FROM endpoints AS p
WHERE p.id = @endpoint_id
RETURNING uid;

-- name: FanoutPosition :one
-- FanoutPosition returns up to which event deliveries were queued, and up to
-- which they can be, some rows later.
SELECT
    f.position,
    coalesce((
        SELECT max(n.seq)
        FROM (
            SELECT e.seq
            FROM events AS e
            WHERE e.seq > f.position
            ORDER BY e.seq
            LIMIT @rows
        ) AS n
    ), f.position)::bigint AS upto
FROM fanout AS f;

-- name: FanOut :one
-- FanOut queues the events of one stretch and moves the position, if it still
-- stands where the stretch begins. It is one statement, so that a process that
-- is stopped in the middle of it holds no lock.
WITH moved AS (
    UPDATE fanout
    SET position = @upto::bigint
    WHERE position = sqlc.arg(beyond)::bigint
    RETURNING position
), queued AS (
    INSERT INTO deliveries (endpoint_id, seq, resource_id)
    SELECT
        p.id,
        e.seq,
        e.resource_id
    FROM moved
    JOIN events AS e ON e.seq > sqlc.arg(beyond)::bigint AND e.seq <= @upto::bigint
    JOIN endpoints AS p ON p.tenant = e.tenant AND p.environment = e.environment
    WHERE p.deleted_at IS NULL
    AND p.since < e.seq
    AND CASE WHEN e.type = 'webhook.test' THEN p.id::text = e.resource_id ELSE
        cardinality(p.events) = 0
        OR e.type = ANY(p.events)
        OR EXISTS (SELECT FROM unnest(p.events) AS f WHERE f LIKE '%.*' AND starts_with(e.type, left(f, -1)))
    END
    ORDER BY e.seq
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM moved)::bigint AS moved,
    (SELECT count(*) FROM queued)::bigint AS queued;

-- name: ClaimDeliveries :many
-- ClaimDeliveries leases deliveries that are due. It goes from endpoint to
-- endpoint through the index, so that what one of them has waiting costs the
-- others nothing, and takes from each no more than it has free: of one that the
-- process knows nothing of yet, or not in its present version, unknown, and one
-- while it is marked as failing.
-- Where the order of resources is kept, what has to wait for an earlier delivery is
-- put off until that is due, or for as long again as it has waited: it would be
-- looked at by every claim. CompleteDeliveries takes it up when its turn comes.
WITH RECURSIVE waiting AS (
    (
        SELECT d.endpoint_id
        FROM deliveries AS d
        WHERE d.lease IS NULL
        ORDER BY d.endpoint_id
        LIMIT 1
    )
    UNION ALL
    SELECT n.endpoint_id
    FROM waiting AS w
    CROSS JOIN LATERAL (
        SELECT d.endpoint_id
        FROM deliveries AS d
        WHERE d.lease IS NULL
        AND d.endpoint_id > w.endpoint_id
        ORDER BY d.endpoint_id
        LIMIT 1
    ) AS n
), open AS (
    SELECT
        p.id,
        p.ordered,
        CASE WHEN b.version >= p.version THEN b.free ELSE greatest(
            CASE WHEN p.failing_since IS NULL THEN least(p.concurrency, @unknown::integer) ELSE 1 END - coalesce(b.flying, 0), 0
        ) END AS free
    FROM waiting AS w
    JOIN endpoints AS p ON p.id = w.endpoint_id
    LEFT JOIN (
        SELECT
            unnest(@busy::uuid[]) AS endpoint_id,
            unnest(@versions::bigint[]) AS version,
            unnest(@flying::integer[]) AS flying,
            unnest(@free::integer[]) AS free
    ) AS b ON b.endpoint_id = p.id
    WHERE p.disabled_at IS NULL
    AND p.deleted_at IS NULL
    ORDER BY random()
), looked AS (
    SELECT
        o.id AS endpoint_id,
        o.free,
        c.seq,
        c.until,
        c.place
    FROM open AS o
    CROSS JOIN LATERAL (
        SELECT
            n.seq,
            n.until,
            row_number() OVER (PARTITION BY n.until IS NULL ORDER BY n.due_at, n.seq) AS place
        FROM (
            SELECT
                d.seq,
                d.due_at,
                e.until
            FROM deliveries AS d
            LEFT JOIN LATERAL (
                SELECT greatest(
                    earlier.due_at,
                    now() + least(greatest(now() - d.created_at, interval '100 milliseconds'), interval '10 seconds')
                ) AS until
                FROM deliveries AS earlier
                WHERE o.ordered
                AND earlier.endpoint_id = d.endpoint_id
                AND earlier.resource_id = d.resource_id
                AND earlier.seq < d.seq
                ORDER BY earlier.seq
                LIMIT 1
            ) AS e ON true
            WHERE d.endpoint_id = o.id
            AND d.lease IS NULL
            AND d.due_at <= now()
            ORDER BY d.due_at, d.seq
            LIMIT CASE WHEN o.ordered AND o.free > 0 THEN greatest(o.free, 250) ELSE o.free END
            FOR UPDATE OF d SKIP LOCKED
        ) AS n
    ) AS c
    LIMIT @rows
), put_off AS (
    UPDATE deliveries AS d
    SET due_at = l.until
    FROM looked AS l
    WHERE l.until IS NOT NULL
    AND d.endpoint_id = l.endpoint_id
    AND d.seq = l.seq
), picked AS (
    SELECT
        l.endpoint_id,
        l.seq
    FROM looked AS l
    WHERE l.until IS NULL
    AND l.place <= l.free
)
UPDATE deliveries AS d
SET
    lease = @owner,
    lease_until = now() + make_interval(secs => @seconds::float8),
    attempt = d.attempt + 1
FROM picked AS k
JOIN endpoints AS p ON p.id = k.endpoint_id
JOIN events AS e ON e.seq = k.seq
WHERE d.endpoint_id = k.endpoint_id
AND d.seq = k.seq
RETURNING
    d.endpoint_id,
    d.seq,
    d.attempt,
    d.rung,
    p.url,
    p.version,
    p.concurrency,
    p.ordered,
    (p.failing_since IS NOT NULL)::boolean AS failing,
    e.uid,
    e.type,
    e.environment,
    e.chain,
    e.account_id,
    e.resource_id,
    e.resource_version,
    e.data,
    e.occurred_at;

-- name: CompleteDeliveries :one
-- CompleteDeliveries writes the outcomes of attempts: done deliveries move to the
-- history, others get their next time. An outcome counts only if its attempt is
-- still the delivery's last and its lease in force; every attempt is kept. What
-- comes after a done delivery in the order of its resource is due.
-- A delivery that somebody has locked is being dropped or freed: its outcome does not
-- count, and those of others do not wait for that.
WITH outcomes AS (
    SELECT
        unnest(@endpoint_ids::uuid[]) AS endpoint_id,
        unnest(@seqs::bigint[]) AS seq,
        unnest(@attempts::integer[]) AS attempt,
        unnest(@states::text[]) AS state,
        unnest(@rungs::integer[]) AS rung,
        unnest(@waits::float8[]) AS wait,
        unnest(@ats::timestamptz[]) AS at,
        unnest(@took::bigint[]) AS took_ms,
        unnest(@urls::text[]) AS url,
        unnest(@statuses::integer[]) AS status,
        unnest(@errors::text[]) AS error,
        unnest(@headers::text[]) AS headers,
        unnest(@bodies::bytea[]) AS body
), held AS (
    SELECT
        d.endpoint_id,
        d.seq,
        o.state,
        o.rung,
        o.wait
    FROM outcomes AS o
    JOIN deliveries AS d ON d.endpoint_id = o.endpoint_id AND d.seq = o.seq AND d.attempt = o.attempt
    WHERE d.lease = sqlc.arg(owner)::uuid
    FOR UPDATE OF d SKIP LOCKED
), done AS (
    DELETE FROM deliveries AS d
    USING held AS o
    WHERE d.endpoint_id = o.endpoint_id
    AND d.seq = o.seq
    AND o.state <> 'waiting'
    RETURNING d.endpoint_id, d.seq, d.resource_id, d.attempt, d.created_at
), again AS (
    UPDATE deliveries AS d
    SET
        lease = NULL,
        lease_until = NULL,
        rung = o.rung,
        due_at = now() + make_interval(secs => o.wait)
    FROM held AS o
    WHERE d.endpoint_id = o.endpoint_id
    AND d.seq = o.seq
    AND o.state = 'waiting'
    RETURNING 1
), next AS (
    UPDATE deliveries AS d
    SET due_at = now()
    FROM (
        SELECT DISTINCT
            x.endpoint_id,
            x.resource_id
        FROM done AS x
        JOIN endpoints AS p ON p.id = x.endpoint_id
        WHERE p.ordered
    ) AS r
    CROSS JOIN LATERAL (
        SELECT w.seq
        FROM deliveries AS w
        WHERE w.endpoint_id = r.endpoint_id
        AND w.resource_id = r.resource_id
        AND NOT EXISTS (
            SELECT
            FROM done AS x
            WHERE x.endpoint_id = w.endpoint_id
            AND x.seq = w.seq
        )
        ORDER BY w.seq
        LIMIT 1
    ) AS f
    WHERE d.endpoint_id = r.endpoint_id
    AND d.seq = f.seq
    AND d.lease IS NULL
    AND d.rung = 0
), kept AS (
    INSERT INTO delivery_history (endpoint_id, seq, resource_id, attempt, state, created_at, done_at)
    SELECT
        d.endpoint_id,
        d.seq,
        d.resource_id,
        d.attempt,
        o.state,
        d.created_at,
        now()
    FROM done AS d
    JOIN outcomes AS o ON o.endpoint_id = d.endpoint_id AND o.seq = d.seq AND o.attempt = d.attempt
    RETURNING 1
), logged AS (
    INSERT INTO attempts (endpoint_id, seq, attempt, at, took_ms, url, status, error, headers, body)
    SELECT
        o.endpoint_id,
        o.seq,
        o.attempt,
        o.at,
        o.took_ms,
        o.url,
        o.status,
        o.error,
        o.headers::jsonb,
        o.body
    FROM outcomes AS o
    RETURNING 1
)
SELECT (
    (SELECT count(*) FROM kept) + (SELECT count(*) FROM again) + 0 * (SELECT count(*) FROM logged)
)::bigint AS counted;

-- name: MarkEndpoints :exec
-- MarkEndpoints writes which endpoints began to fail, with why, and which are
-- well again (an empty text). What was heard at another URL says nothing. One that
-- somebody changes is left to its next attempt: nobody's outcomes wait for that.
WITH marked AS (
    SELECT
        p.id,
        m.error
    FROM (
        SELECT
            unnest(@ids::uuid[]) AS id,
            unnest(@urls::text[]) AS url,
            unnest(@errors::text[]) AS error
    ) AS m
    JOIN endpoints AS p ON p.id = m.id AND p.url = m.url
    WHERE (p.failing_since IS NULL) = (m.error <> '')
    FOR NO KEY UPDATE OF p SKIP LOCKED
)
UPDATE endpoints AS p
SET
    failing_since = CASE WHEN m.error <> '' THEN now() END,
    failing_error = m.error
FROM marked AS m
WHERE p.id = m.id;

-- name: DisableGone :exec
-- DisableGone disables endpoints that answered that they are gone, unless they have
-- another URL by now. One that somebody changes is left to its next attempt: nobody's
-- outcomes wait for that.
WITH gone AS (
    SELECT p.id
    FROM (
        SELECT
            unnest(@ids::uuid[]) AS id,
            unnest(@urls::text[]) AS url
    ) AS g
    JOIN endpoints AS p ON p.id = g.id AND p.url = g.url
    WHERE p.disabled_at IS NULL
    FOR NO KEY UPDATE OF p SKIP LOCKED
)
UPDATE endpoints AS p
SET
    disabled_at = now(),
    disabled_reason = 'gone',
    version = p.version + 1
FROM gone AS g
WHERE p.id = g.id;

-- name: BeatDispatcher :exec
-- BeatDispatcher says that a process is alive for some time to come.
INSERT INTO dispatchers (id, alive_until)
VALUES (@id, now() + make_interval(secs => @seconds::float8))
ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until;

-- name: FreeDeliveries :execrows
-- FreeDeliveries takes back what processes hold that are gone, or held for too
-- long. It waits for nobody who has some of it locked, or its process would be taken
-- for gone.
WITH lost AS (
    SELECT
        d.endpoint_id,
        d.seq
    FROM deliveries AS d
    WHERE d.lease IS NOT NULL
    AND (
        d.lease_until < now()
        OR NOT EXISTS (
            SELECT
            FROM dispatchers AS p
            WHERE p.id = d.lease
            AND p.alive_until > now()
        )
    )
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries AS d
SET
    lease = NULL,
    lease_until = NULL,
    due_at = now()
FROM lost AS l
WHERE d.endpoint_id = l.endpoint_id
AND d.seq = l.seq;

-- name: EndDispatcher :exec
-- EndDispatcher gives up what a process holds that ends in good order, but for what
-- somebody has locked: others free that.
WITH gone AS (
    DELETE FROM dispatchers WHERE id = @id
), held AS (
    SELECT
        d.endpoint_id,
        d.seq
    FROM deliveries AS d
    WHERE d.lease = @id
    FOR UPDATE OF d SKIP LOCKED
)
UPDATE deliveries AS d
SET
    lease = NULL,
    lease_until = NULL,
    due_at = now()
FROM held AS h
WHERE d.endpoint_id = h.endpoint_id
AND d.seq = h.seq;

-- name: DropDispatchers :exec
-- DropDispatchers forgets processes that are long gone.
DELETE FROM dispatchers
WHERE alive_until < now() - interval '1 hour';

-- name: DropEndedSecrets :exec
-- DropEndedSecrets forgets secrets that sign no more.
DELETE FROM endpoint_secrets
WHERE expires_at < now();

-- name: DropOrphans :exec
-- DropOrphans forgets what was queued for endpoints while they were deleted.
DELETE FROM deliveries AS d
USING endpoints AS p
WHERE p.id = d.endpoint_id
AND p.deleted_at IS NOT NULL;

-- name: DropOldHistory :exec
-- DropOldHistory clears the partition without a day.
DELETE FROM delivery_history_rest
WHERE done_at < @before;

-- name: DropOldAttempts :exec
-- DropOldAttempts clears the partition without a day.
DELETE FROM attempts_rest
WHERE at < @before;

-- name: Deliveries :many
-- Deliveries returns a page of an endpoint's deliveries, newest event first, whose
-- numbers lie between two.
SELECT
    d.seq,
    d.state,
    d.attempt,
    d.due_at,
    d.created_at,
    d.done_at,
    e.uid,
    e.type,
    e.resource_id,
    e.resource_version,
    e.occurred_at
FROM (
    SELECT
        h.seq,
        CASE WHEN h.lease IS NOT NULL THEN 'sending' WHEN h.rung > 0 THEN 'retrying' ELSE 'waiting' END AS state,
        h.attempt,
        h.due_at,
        h.created_at,
        NULL::timestamptz AS done_at
    FROM deliveries AS h
    WHERE h.endpoint_id = @endpoint_id
    AND h.seq < @before::bigint
    AND h.seq > @above::bigint
    UNION ALL
    SELECT
        k.seq,
        k.state,
        k.attempt,
        k.done_at,
        k.created_at,
        k.done_at
    FROM delivery_history AS k
    WHERE k.endpoint_id = @endpoint_id
    AND k.seq < @before::bigint
    AND k.seq > @above::bigint
) AS d
JOIN events AS e ON e.seq = d.seq
WHERE (@state::text = '' OR d.state = @state::text)
AND (@type::text = '' OR e.type = @type::text)
AND (@resource_id::text = '' OR e.resource_id = @resource_id::text)
ORDER BY d.seq DESC
LIMIT @rows;

-- name: Attempts :many
-- Attempts returns the attempts of a delivery, oldest first.
SELECT *
FROM attempts
WHERE endpoint_id = @endpoint_id
AND seq = @seq
ORDER BY attempt, at;

-- name: EventByID :one
-- EventByID returns a numbered event of a realm.
SELECT *
FROM events
WHERE uid = @uid
AND tenant = @tenant
AND environment = @environment
AND seq IS NOT NULL;

-- name: EventsBefore :one
-- EventsBefore returns the lowest number among the last events of a realm before a
-- number, and when the latest of these happened; 0 and 1970 if there is none.
SELECT
    coalesce(min(n.seq), 0)::bigint AS lowest,
    coalesce(max(n.occurred_at), 'epoch')::timestamptz AS latest
FROM (
    SELECT
        e.seq,
        e.occurred_at
    FROM events AS e
    WHERE e.tenant = @tenant
    AND e.environment = @environment
    AND e.seq < @before::bigint
    ORDER BY e.seq DESC
    LIMIT @rows
) AS n;

-- name: ReviveDeliveries :execrows
-- ReviveDeliveries takes deliveries of an endpoint out of the history to be sent
-- again: one event, or all that failed since a time.
WITH back AS (
    DELETE FROM delivery_history AS k
    USING events AS e
    WHERE e.seq = k.seq
    AND k.endpoint_id = @endpoint_id
    AND (k.seq = @seq::bigint OR (@seq::bigint = 0 AND k.state = 'failed' AND e.occurred_at >= @since::timestamptz))
    RETURNING k.endpoint_id, k.seq, k.resource_id, k.attempt, k.created_at
)
INSERT INTO deliveries (endpoint_id, seq, resource_id, attempt, created_at)
SELECT
    b.endpoint_id,
    b.seq,
    b.resource_id,
    b.attempt,
    b.created_at
FROM back AS b
ON CONFLICT DO NOTHING;

-- name: HastenDeliveries :execrows
-- HastenDeliveries makes what waits for its next attempt due now, from the first
-- rung on.
UPDATE deliveries AS d
SET
    rung = 0,
    due_at = now()
FROM events AS e
WHERE e.seq = d.seq
AND d.endpoint_id = @endpoint_id
AND d.lease IS NULL
AND d.rung > 0
AND (d.seq = @seq::bigint OR (@seq::bigint = 0 AND e.occurred_at >= @since::timestamptz));

-- name: QueueMissing :execrows
-- QueueMissing queues events of the past that an endpoint wants and was never
-- sent: one event whatever the endpoint's filter, or all that pass it since a
-- time, from a number on that none of them is below. What is not fanned out yet is
-- left to that, unless it is asked for by name or happened before the endpoint was
-- made: fanning out passes over that. A delivery moves from the queue to the
-- history in one statement, so it is seen in one of them.
INSERT INTO deliveries (endpoint_id, seq, resource_id)
SELECT
    p.id,
    e.seq,
    e.resource_id
FROM endpoints AS p
CROSS JOIN fanout AS f
JOIN events AS e ON e.tenant = p.tenant AND e.environment = p.environment AND e.seq >= @lowest::bigint
WHERE p.id = @endpoint_id
AND (e.seq = @seq::bigint OR (
    @seq::bigint = 0
    AND e.seq <= greatest(f.position, p.since)
    AND e.occurred_at >= @since::timestamptz
    AND e.type <> 'webhook.test'
    AND (
        cardinality(p.events) = 0
        OR e.type = ANY(p.events)
        OR EXISTS (SELECT FROM unnest(p.events) AS w WHERE w LIKE '%.*' AND starts_with(e.type, left(w, -1)))
    )
))
AND NOT EXISTS (
    SELECT
    FROM deliveries AS d
    WHERE d.endpoint_id = p.id
    AND d.seq = e.seq
)
AND NOT EXISTS (
    SELECT
    FROM delivery_history AS k
    WHERE k.endpoint_id = p.id
    AND k.seq = e.seq
)
ORDER BY e.seq
ON CONFLICT DO NOTHING;

-- name: CountWaiting :many
-- CountWaiting counts what is still to be sent to each of some endpoints.
SELECT
    endpoint_id,
    count(*) AS waiting
FROM deliveries
WHERE endpoint_id = ANY(@endpoints::uuid[])
GROUP BY endpoint_id;
