-- name: ClaimRequest :exec
-- ClaimRequest makes the row of a request unless it is there. One that is seen is
-- not inserted again: that would wait for a transaction that is about to answer
-- it.
INSERT INTO answers (id, tenant, environment, caller)
SELECT
    @id::bytea,
    @tenant::text,
    @environment::text,
    @caller::text
WHERE NOT EXISTS (
    SELECT
    FROM answers
    WHERE id = @id::bytea
)
ON CONFLICT DO NOTHING;

-- name: LockRequest :one
-- LockRequest locks the row of a request and returns its answer, null while it has
-- none. It returns no row while another transaction holds it, and does not wait.
SELECT
    fingerprint,
    sealed
FROM answers
WHERE id = @id
FOR UPDATE SKIP LOCKED;

-- name: RequestClaimed :one
-- RequestClaimed reports whether a request has a row.
SELECT EXISTS (
    SELECT
    FROM answers
    WHERE id = @id
);

-- name: AnswerRequest :exec
-- AnswerRequest keeps the answer to a request. It is kept from now on: the row may
-- be one of long ago, whose request came to nothing.
UPDATE answers
SET
    fingerprint = @fingerprint,
    sealed = @sealed,
    created_at = now()
WHERE id = @id;

-- name: DropOldAnswers :exec
-- DropOldAnswers forgets requests, those that run excepted.
DELETE FROM answers
WHERE id IN (
    SELECT o.id
    FROM answers AS o
    WHERE o.created_at < now() - make_interval(secs => @seconds::float8)
    FOR UPDATE SKIP LOCKED
);

-- name: KeepSignature :execrows
-- KeepSignature keeps a signature, or changes nothing if it is kept already.
INSERT INTO signatures (signature, until)
VALUES (@signature, @until)
ON CONFLICT DO NOTHING;

-- name: DropOldSignatures :exec
-- DropOldSignatures forgets signatures whose time is over.
DELETE FROM signatures
WHERE until < now();

-- name: WriteEntry :exec
-- WriteEntry adds a line to the audit log.
INSERT INTO audit (tenant, environment, caller, request_id, method, route, path, address, status, code)
VALUES (@tenant, @environment, @caller, @request_id, @method, @route, @path, @address, @status, @code);

-- name: Entries :many
-- Entries returns lines of the audit log of a realm before one, newest first, of
-- one caller unless that is empty.
SELECT
    id,
    at,
    tenant,
    environment,
    caller,
    request_id,
    method,
    route,
    path,
    address,
    status,
    code
FROM audit
WHERE tenant = @tenant
AND environment = @environment
AND id < @before
AND (caller = @caller OR @caller = '')
ORDER BY id DESC
LIMIT @rows;

-- name: DropOldEntries :execrows
-- DropOldEntries drops some of the oldest lines of the audit log, if they are older
-- than a number of seconds. Two processes may do so side by side.
DELETE FROM audit
WHERE id IN (
    SELECT o.id
    FROM audit AS o
    WHERE o.at < now() - make_interval(secs => @seconds::double precision)
    ORDER BY o.at
    LIMIT @rows
    FOR UPDATE SKIP LOCKED
);
