-- +goose Up

-- An asset that is one id of a collection. It is no balance: lists of balances
-- and of tokens leave it out.
ALTER TABLE assets
    ADD COLUMN nft boolean NOT NULL GENERATED ALWAYS AS (caip19 LIKE '%/erc721:%' OR caip19 LIKE '%/erc1155:%') STORED;

-- An account that shows the NFTs of an address and nothing else. The same user
-- may have the address connected for its balances too.
ALTER TABLE accounts
    DROP CONSTRAINT accounts_kind_check,
    ADD CONSTRAINT accounts_kind_check CHECK (kind IN ('address', 'descriptor', 'venue', 'nft'));

-- What is known of the metadata of each NFT, and when it is looked at next. A
-- look is claimed by moving due_at, so that no two processes take the same and
-- one that died is taken over. Nothing a contract or its server says is in any
-- other table.
CREATE TABLE nfts (
    asset_id bigint PRIMARY KEY REFERENCES assets,
    chain text NOT NULL REFERENCES cursors,
    contract text NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'ready', 'failed')),
    reason text NOT NULL DEFAULT '',
    collection text NOT NULL DEFAULT '',
    symbol text NOT NULL DEFAULT '',
    uri text NOT NULL DEFAULT '',
    name text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    image text NOT NULL DEFAULT '',
    external_url text NOT NULL DEFAULT '',
    attributes jsonb NOT NULL DEFAULT '[]',
    -- When what stands here was read; null while nothing was.
    as_of timestamptz,
    -- When it was last tried, and how often since it last succeeded.
    tried_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX nfts_due ON nfts (chain, due_at);

-- What scripts hold of NFTs: as their contracts said at the newest canonical
-- block they were asked at, or, while they were not asked yet, what verified logs
-- add up to. A reorg takes both back by itself.
CREATE VIEW nft_holdings AS
SELECT
    s.script_id,
    s.asset_id,
    coalesce(k.amount, s.amount)::numeric AS amount,
    k.height,
    k.hash,
    k.block_time,
    coalesce(k.proof, '')::text AS proof
FROM sums AS s
JOIN assets AS x ON x.id = s.asset_id AND x.nft
LEFT JOIN LATERAL (
    SELECT
        n.amount,
        n.height,
        n.hash,
        n.block_time,
        n.proof
    FROM snapshots AS n
    JOIN blocks AS b ON b.chain = n.chain AND b.hash = n.hash AND b.canonical
    WHERE n.script_id = s.script_id
    AND n.asset_id = s.asset_id
    ORDER BY n.height DESC
    LIMIT 1
) AS k ON true
WHERE coalesce(k.amount, s.amount) > 0;

-- How often a balance was asked for in vain. Anybody can send an address thousands
-- of tokens that answer nothing: they wait behind the others.
ALTER TABLE stale ADD COLUMN tried bigint NOT NULL DEFAULT 0;
DROP INDEX stale_chain;
CREATE INDEX stale_turn ON stale (chain, tried, height);

-- The audit log is kept for a time, and its oldest lines are looked for.
CREATE INDEX audit_at ON audit (at);
