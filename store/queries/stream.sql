-- name: LastNumber :one
-- LastNumber returns the highest number that an event was given.
SELECT last
FROM sequencer;

-- name: NumberedRealms :many
-- NumberedRealms returns the realms whose events have numbers above one and up to
-- another, once each.
SELECT DISTINCT
    tenant,
    environment
FROM events
WHERE seq > @beyond::bigint
AND seq <= @last::bigint;
