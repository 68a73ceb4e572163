-- name: ScriptIDs :many
-- ScriptIDs returns those of scripts that are watched.
SELECT id, script
FROM scripts
WHERE chain = @chain
AND digest = ANY(@digests::bytea[]);

-- name: AddScripts :exec
-- AddScripts watches scripts that are not watched yet.
INSERT INTO scripts (chain, script, address, watch_version, handover)
SELECT
    @chain,
    unnest(@scripts::bytea[]),
    unnest(@addresses::text[]),
    @watch_version,
    sqlc.narg('handover');

-- name: HandOver :exec
-- HandOver sets the hand-over height of scripts that were added before the
-- chain had a tip.
UPDATE scripts
SET handover = @handover
WHERE chain = @chain
AND handover IS NULL;

-- name: RestartSearches :exec
-- RestartSearches forgets what was searched: the searched blocks are gone.
UPDATE scripts
SET
    handover = NULL,
    search = nextval('searches'),
    history = 'none',
    history_from = NULL,
    history_next = NULL,
    history_method = ''
WHERE chain = @chain;

-- name: SearchScripts :many
-- SearchScripts returns scripts whose past is not complete, oldest first.
SELECT
    s.search,
    s.script,
    coalesce(s.handover, -1)::bigint AS handover,
    s.history_next,
    EXISTS (
        SELECT
        FROM snapshots AS n
        LEFT JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash
        WHERE n.script_id = s.id
        AND n.opening
        AND (b.canonical OR b.hash IS NULL AND n.height > c.height)
    ) AS opened
FROM scripts AS s
JOIN cursors AS c ON c.chain = s.chain
WHERE s.chain = @chain
AND s.history <> 'complete'
AND s.handover IS NOT NULL
ORDER BY s.id
LIMIT @rows;

-- name: UnopenedScripts :many
-- UnopenedScripts returns scripts whose past is not complete and that have no
-- opening balance, oldest first.
SELECT
    s.search,
    s.script,
    coalesce(s.handover, -1)::bigint AS handover,
    s.history_next
FROM scripts AS s
JOIN cursors AS c ON c.chain = s.chain
WHERE s.chain = @chain
AND s.history <> 'complete'
AND s.handover IS NOT NULL
AND NOT EXISTS (
    SELECT
    FROM snapshots AS n
    LEFT JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash
    WHERE n.script_id = s.id
    AND n.opening
    AND (b.canonical OR b.hash IS NULL AND n.height > c.height)
)
ORDER BY s.id
LIMIT @rows;

-- name: SearchedScripts :many
-- SearchedScripts returns the scripts of searches, without those whose search
-- was begun again under another name.
SELECT id, handover
FROM scripts
WHERE chain = @chain
AND search = ANY(@searches::bigint[])
AND handover IS NOT NULL;

-- name: SaveSearch :exec
-- SaveSearch keeps how far a search has come. Until a search of the bitcoin
-- family is complete, only what the follower saw is.
UPDATE scripts
SET
    history = CASE
        WHEN @complete::boolean OR history = 'complete' THEN 'complete'
        ELSE 'partial'
    END,
    history_from = CASE
        WHEN @complete::boolean OR @descending::boolean THEN @from_height::bigint
        WHEN history = 'complete' THEN history_from
        ELSE handover + 1
    END,
    history_next = @next_height::bigint,
    history_method = @method
WHERE id = ANY(@ids::bigint[]);

-- name: UnspentOutpoints :many
-- UnspentOutpoints returns the outputs of searched scripts that no canonical
-- transfer spends.
SELECT
    t.tx,
    t.vout::bigint AS vout
FROM scripts AS s
JOIN transfers AS t ON t.script_id = s.id
WHERE s.search = ANY(@searches::bigint[])
AND t.vout IS NOT NULL
AND t.status IN ('pending', 'confirmed')
AND NOT EXISTS (
    SELECT
    FROM transfers AS o
    WHERE o.chain = t.chain
    AND o.spent_tx = t.tx
    AND o.spent_vout = t.vout
    AND o.status = 'confirmed'
);

-- name: TakeSearch :execrows
-- TakeSearch takes or keeps the lease of a chain's searches by the database's
-- clock, and changes no row while another owner holds it or the chain is not
-- registered yet.
INSERT INTO search_leases AS l (chain, owner, lease_until)
SELECT
    c.chain,
    @owner::uuid,
    clock_timestamp() + make_interval(secs => @seconds::float8)
FROM cursors AS c
WHERE c.chain = @chain
ON CONFLICT (chain) DO UPDATE
SET
    owner = EXCLUDED.owner,
    lease_until = EXCLUDED.lease_until
WHERE l.owner = EXCLUDED.owner
OR l.lease_until < clock_timestamp();

-- name: DropSearch :exec
-- DropSearch gives the lease of a chain's searches up.
DELETE FROM search_leases
WHERE chain = @chain
AND owner = @owner;
