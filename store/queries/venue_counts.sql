-- name: VenueCounts :many
-- VenueCounts returns how many accounts each venue has in each status, in every
-- realm.
SELECT
    a.venue,
    a.tenant,
    a.environment,
    s.status,
    count(*)
FROM streams AS s
JOIN accounts AS a ON a.id = s.account_id
GROUP BY a.venue, a.tenant, a.environment, s.status
ORDER BY a.venue, a.tenant, a.environment, s.status;
