-- +goose Up

-- Beside withdrawals there are transactions of the same road that involve no
-- wallet: what moves within the tenant's own addresses, and what only spends the
-- nonce of one that was cancelled.
ALTER TABLE transactions
    DROP CONSTRAINT transactions_kind_check,
    DROP CONSTRAINT transactions_amount_check,
    DROP CONSTRAINT transactions_check1,
    DROP CONSTRAINT transactions_check2,
    ADD CONSTRAINT transactions_kind CHECK (kind IN ('Deposit', 'Transfer', 'Withdrawal', 'Sweep', 'GasTopUp', 'NonceFill')),
    ADD CONSTRAINT transactions_amount CHECK (amount >= 0 AND (amount > 0 OR kind = 'NonceFill')),
    ADD CONSTRAINT transactions_source CHECK ((source_wallet IS NOT NULL) = (kind IN ('Transfer', 'Withdrawal'))),
    ADD CONSTRAINT transactions_destination CHECK ((destination_wallet IS NOT NULL) = (kind IN ('Deposit', 'Transfer')));

ALTER TABLE journals
    DROP CONSTRAINT journals_kind_check,
    ADD CONSTRAINT journals_kind CHECK (kind IN ('deposit', 'reversal', 'transfer', 'withdrawal'));

-- The lowest index of the branch for change that was never given to a draft.
ALTER TABLE custody_keys
    ADD COLUMN next_change bigint NOT NULL DEFAULT 0 CHECK (next_change BETWEEN 0 AND 2147483648);

-- What is built here, signed elsewhere, and broadcast and followed here. Of the
-- transactions that were built for it, its drafts, one at most is ever mined.
--
-- status is that of the row in transactions of the same id. turn counts every
-- write: who has read the row and asked nodes writes only if it is still as it was.
CREATE TABLE withdrawals (
    id uuid PRIMARY KEY REFERENCES transactions,
    tenant text NOT NULL,
    environment text NOT NULL,
    chain text NOT NULL REFERENCES cursors,
    kind text NOT NULL CHECK (kind IN ('Withdrawal', 'Sweep', 'GasTopUp', 'NonceFill')),
    status text NOT NULL DEFAULT 'Submitted' CHECK (status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming', 'Completed', 'Failed', 'Cancelled')),
    reason text NOT NULL DEFAULT '',
    wallet_id uuid REFERENCES wallets,
    asset_id bigint NOT NULL REFERENCES assets,
    amount numeric(78, 0) NOT NULL,
    destination text NOT NULL,
    script bytea NOT NULL,
    -- The most that the network may be paid, if the tenant said so.
    max_fee numeric(78, 0) CHECK (max_fee > 0),
    -- The address that pays on an EVM chain, and the nonce it is paid with.
    sender_id bigint REFERENCES scripts,
    nonce bigint CHECK (nonce >= 0),
    -- The cancelled one whose nonce this one spends.
    replaces uuid UNIQUE REFERENCES withdrawals,
    -- A replacement with a higher fee is wanted.
    bump boolean NOT NULL DEFAULT false,
    drafts integer NOT NULL DEFAULT 0,
    signed integer NOT NULL DEFAULT 0,
    -- A node has taken one of the signed drafts.
    taken boolean NOT NULL DEFAULT false,
    -- The draft that stands in the canonical chain, where, and what it did; fee is
    -- what the network was paid for it.
    mined integer,
    block bytea,
    height bigint,
    paid boolean,
    fee numeric(78, 0) CHECK (fee >= 0),
    -- The draft that was mined last, also where its block has left, and the newest
    -- signed one then: the others of that time are not broadcast any more.
    last_mined integer NOT NULL DEFAULT 0,
    last_signed integer NOT NULL DEFAULT 0,
    -- The height at which it was seen that none of the drafts can be mined any more.
    lost bigint,
    -- The height that basis must reach for that to be final.
    basis text NOT NULL DEFAULT '' CHECK (basis IN ('', 'depth', 'safe', 'final')),
    due bigint,
    -- What there was too little of when a draft was to be built.
    short_asset bigint REFERENCES assets,
    short_have numeric(78, 0),
    short_need numeric(78, 0),
    -- When it is to be looked at again, null for not before something happens.
    next_at timestamptz DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    turn bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT 'epoch',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((wallet_id IS NOT NULL) = (kind = 'Withdrawal')),
    CHECK ((replaces IS NOT NULL) = (kind = 'NonceFill')),
    CHECK ((mined IS NULL) = (block IS NULL) AND (mined IS NULL) = (height IS NULL) AND (mined IS NULL) = (paid IS NULL) AND (mined IS NULL) = (fee IS NULL)),
    CHECK (mined BETWEEN 1 AND signed AND signed <= drafts),
    CHECK (mined IS NULL OR lost IS NULL),
    CHECK (status NOT IN ('Submitted', 'PendingSignature', 'Cancelled') OR signed = 0),
    CHECK (status <> 'PendingSignature' OR drafts > 0),
    CHECK (status <> 'Completed' OR coalesce(paid, false)),
    CHECK ((short_asset IS NULL) = (short_have IS NULL) AND (short_asset IS NULL) = (short_need IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX withdrawals_next ON withdrawals (chain, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX withdrawals_due ON withdrawals (chain, due) WHERE due IS NOT NULL;
CREATE INDEX withdrawals_mined ON withdrawals (chain, height) WHERE height IS NOT NULL;
CREATE INDEX withdrawals_open ON withdrawals (wallet_id) WHERE status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming');
CREATE INDEX withdrawals_sender ON withdrawals (sender_id) WHERE status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming');
CREATE INDEX withdrawals_sent ON withdrawals (sender_id, height) WHERE height IS NOT NULL;
-- What is all there is cannot be moved twice.
CREATE UNIQUE INDEX withdrawals_sweep ON withdrawals (tenant, environment, sender_id, asset_id)
WHERE kind = 'Sweep' AND status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming');

-- Transactions as they were built, kept before anybody is shown them, and as they
-- came back signed, kept before any node is told of them. A draft is never changed.
CREATE TABLE drafts (
    withdrawal_id uuid NOT NULL REFERENCES withdrawals,
    n integer NOT NULL CHECK (n > 0),
    chain text NOT NULL REFERENCES cursors,
    draft json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    raw bytea,
    txid bytea,
    signed_at timestamptz,
    -- Where a node says that it is mined, for those that leave no transfer: without
    -- a fee one that failed has none.
    seen_block bytea,
    seen_height bigint,
    seen_failed boolean,
    PRIMARY KEY (withdrawal_id, n),
    CHECK ((raw IS NULL) = (txid IS NULL) AND (raw IS NULL) = (signed_at IS NULL)),
    CHECK ((seen_block IS NULL) = (seen_height IS NULL) AND (seen_block IS NULL) = (seen_failed IS NULL))
);
CREATE UNIQUE INDEX drafts_tx ON drafts (chain, txid) WHERE txid IS NOT NULL;

-- Coins that a draft spends. The key is the arbiter: no two withdrawals have the
-- same coin, of whatever tenants they are.
CREATE TABLE reserved_coins (
    chain text NOT NULL REFERENCES cursors,
    tx bytea NOT NULL,
    vout bigint NOT NULL,
    withdrawal_id uuid NOT NULL REFERENCES withdrawals,
    PRIMARY KEY (chain, tx, vout)
);
CREATE INDEX reserved_coins_withdrawal ON reserved_coins (withdrawal_id);

-- Nonces that drafts are built with. The key is the arbiter, as for coins.
CREATE TABLE reserved_nonces (
    sender_id bigint NOT NULL REFERENCES scripts,
    nonce bigint NOT NULL,
    withdrawal_id uuid NOT NULL REFERENCES withdrawals,
    PRIMARY KEY (sender_id, nonce)
);
