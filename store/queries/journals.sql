-- name: PutJournals :many
-- PutJournals adds journals. The state of a transaction is posted once.
INSERT INTO journals (tenant, environment, kind, reference, version, reverses)
SELECT
    unnest(@tenants::text[]),
    unnest(@environments::text[]),
    unnest(@kinds::text[]),
    unnest(@refs::uuid[]),
    unnest(@versions::bigint[]),
    NULLIF(unnest(@reverses::bigint[]), 0)
RETURNING id, reference, version;

-- name: PutPostings :exec
-- PutPostings adds the postings of journals, all of each at once: Postgres refuses
-- a statement whose postings do not balance.
INSERT INTO postings (journal_id, n, account, wallet_id, asset_id, amount)
SELECT
    unnest(@journals::bigint[]),
    unnest(@numbers::integer[]),
    unnest(@accounts::text[]),
    NULLIF(unnest(@wallets::uuid[]), '00000000-0000-0000-0000-000000000000'),
    unnest(@assets::bigint[]),
    unnest(@amounts::numeric[]);

-- name: LedgerFaults :many
-- LedgerFaults returns what of the ledger of wallets does not add up, of one tenant
-- or of all: nothing, if all is well. Balances are derived from postings and deposits and compared; each
-- journal and each deposit must agree with the other.
SELECT
    f.fault::text AS fault,
    f.resource::text AS resource
FROM (
    SELECT
        'the balance of a wallet is not the sum of its postings' AS fault,
        w.id::text AS resource
    FROM wallets AS w
    LEFT JOIN LATERAL (
        SELECT
            coalesce(sum(p.amount) FILTER (WHERE p.account = 'available'), 0) AS available,
            coalesce(sum(p.amount) FILTER (WHERE p.account = 'locked'), 0) AS locked
        FROM postings AS p
        WHERE p.wallet_id = w.id
    ) AS p ON true
    WHERE (w.available, w.locked) IS DISTINCT FROM (p.available, p.locked)
    AND (@tenant::text = '' OR w.tenant = @tenant::text)
    UNION ALL
    SELECT
        'what is pending is not the sum of the deposits that are',
        w.id::text
    FROM wallets AS w
    LEFT JOIN LATERAL (
        SELECT coalesce(sum(d.amount), 0) AS pending
        FROM deposits AS d
        WHERE d.wallet_id = w.id
        AND d.state IN ('detected', 'confirming')
    ) AS d ON true
    WHERE w.pending <> d.pending
    AND (@tenant::text = '' OR w.tenant = @tenant::text)
    UNION ALL
    SELECT
        'the postings of a journal do not sum to zero',
        j.id::text
    FROM journals AS j
    LEFT JOIN postings AS p ON p.journal_id = j.id
    WHERE (@tenant::text = '' OR j.tenant = @tenant::text)
    GROUP BY j.id, p.asset_id
    HAVING coalesce(sum(p.amount), 1) <> 0
    UNION ALL
    SELECT
        'a deposit is credited with another amount than was received',
        d.id::text
    FROM deposits AS d
    LEFT JOIN LATERAL (
        SELECT coalesce(sum(p.amount), 0) AS credited
        FROM journals AS j
        JOIN postings AS p ON p.journal_id = j.id
        WHERE j.reference = d.id
        AND p.wallet_id = d.wallet_id
    ) AS p ON true
    WHERE p.credited <> CASE WHEN d.state = 'credited' THEN d.received ELSE 0 END
    AND (@tenant::text = '' OR d.tenant = @tenant::text)
    UNION ALL
    SELECT
        'a deposit is credited and its transfer is not in the chain',
        d.id::text
    FROM deposits AS d
    JOIN transfers AS t ON t.id = d.transfer_id
    LEFT JOIN blocks AS b ON b.chain = t.chain AND b.hash = t.block AND b.canonical
    WHERE d.state = 'credited'
    AND (t.status <> 'confirmed' OR b.hash IS NULL)
    AND (@tenant::text = '' OR d.tenant = @tenant::text)
) AS f
ORDER BY f.fault, f.resource
LIMIT @most;
