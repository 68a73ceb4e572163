-- name: OpenWithdrawals :many
-- OpenWithdrawals counts the withdrawals that have not ended, by chain and status.
SELECT
    chain,
    status,
    count(*)
FROM withdrawals
WHERE status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming')
GROUP BY chain, status
ORDER BY chain, status;

-- name: OpenDeliveries :one
-- OpenDeliveries counts what is still to be sent to endpoints that are not disabled,
-- and says for how many seconds the longest of it has been due.
SELECT
    count(*) AS waiting,
    greatest(0, coalesce(extract(epoch FROM now() - min(d.due_at)), 0))::double precision AS overdue
FROM deliveries AS d
JOIN endpoints AS e ON e.id = d.endpoint_id AND e.deleted_at IS NULL AND e.disabled_at IS NULL;

-- name: EndpointStates :many
-- EndpointStates counts endpoints by how they are.
SELECT
    CASE WHEN disabled_at IS NOT NULL THEN 'disabled' WHEN failing_since IS NOT NULL THEN 'failing' ELSE 'working' END AS state,
    count(*)
FROM endpoints
WHERE deleted_at IS NULL
GROUP BY 1
ORDER BY 1;
