-- name: ClaimReading :execrows
-- ClaimReading claims a reading, and changes no row if one was claimed less than
-- some seconds ago.
INSERT INTO price_readings AS r (name, claimed_at)
VALUES (@name, clock_timestamp())
ON CONFLICT (name) DO UPDATE
SET claimed_at = clock_timestamp()
WHERE r.claimed_at <= clock_timestamp() - make_interval(secs => @seconds::float8);

-- name: PutPrices :exec
-- PutPrices keeps prices. The sources of each are one text, parted by spaces.
INSERT INTO prices (base, quote, as_of, rate, decimals, until, sources, thin)
SELECT
    n.base,
    n.quote,
    n.as_of,
    n.rate,
    n.decimals,
    n.until,
    string_to_array(n.sources, ' '),
    n.thin
FROM (
    SELECT
        unnest(@bases::text[]) AS base,
        unnest(@quotes::text[]) AS quote,
        unnest(@as_ofs::timestamptz[]) AS as_of,
        unnest(@rates::numeric[]) AS rate,
        unnest(@decimals::integer[]) AS decimals,
        unnest(@untils::timestamptz[]) AS until,
        unnest(@sources::text[]) AS sources,
        unnest(@thins::boolean[]) AS thin
) AS n
ON CONFLICT (base, quote, as_of) DO NOTHING;

-- name: PricesAt :many
-- PricesAt returns what stood at a time for each of pairs, by its place in the
-- list; else the newest before it that is not older than some seconds. A pair
-- without either has no row.
SELECT
    n.n::integer AS n,
    p.as_of,
    p.rate,
    p.decimals,
    p.until,
    p.sources,
    p.thin
FROM (
    SELECT
        unnest(@bases::text[]) AS base,
        unnest(@quotes::text[]) AS quote,
        unnest(@ats::timestamptz[]) AS at,
        unnest(@seconds::bigint[]) AS seconds,
        generate_subscripts(@bases::text[], 1) AS n
) AS n
CROSS JOIN LATERAL (
    SELECT u.*
    FROM (
        (
            SELECT
                f.*,
                0 AS choice
            FROM prices AS f
            WHERE f.base = n.base
            AND f.quote = n.quote
            AND f.as_of <= n.at
            AND f.as_of > n.at - make_interval(secs => n.seconds)
            AND f.until >= n.at
            ORDER BY f.as_of DESC
            LIMIT 1
        )
        UNION ALL
        (
            SELECT
                o.*,
                1 AS choice
            FROM prices AS o
            WHERE o.base = n.base
            AND o.quote = n.quote
            AND o.as_of <= n.at
            AND o.as_of > n.at - make_interval(secs => n.seconds)
            ORDER BY o.as_of DESC
            LIMIT 1
        )
    ) AS u
    ORDER BY u.choice
    LIMIT 1
) AS p
ORDER BY n.n;

-- name: ThinPrices :execrows
-- ThinPrices forgets prices from before a time, but for the last of each day and
-- pair.
DELETE FROM prices AS p
WHERE p.as_of < @before
AND EXISTS (
    SELECT
    FROM prices AS l
    WHERE l.base = p.base
    AND l.quote = p.quote
    AND l.as_of > p.as_of
    AND l.as_of < (date_trunc('day', p.as_of AT TIME ZONE 'UTC') + interval '1 day') AT TIME ZONE 'UTC'
);
