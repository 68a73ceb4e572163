-- +goose Up

-- An account is on a chain or at a venue. CreateAccount locks the chain's row in
-- cursors, which is never deleted, so that no foreign key is needed for it.
ALTER TABLE accounts
    DROP CONSTRAINT accounts_chain_fkey,
    DROP CONSTRAINT accounts_kind_check,
    ADD COLUMN venue text NOT NULL DEFAULT '',
    ADD CONSTRAINT accounts_kind_check CHECK (kind IN ('address', 'descriptor', 'venue')),
    ADD CONSTRAINT accounts_place_check CHECK ((chain = '') = (kind = 'venue') AND (venue = '') = (kind <> 'venue'));

-- The login of a venue account. sealed holds its credentials, sealed together with
-- whose they are. The row goes with the account: what was erased cannot be read.
CREATE TABLE logins (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    region text NOT NULL,
    login text NOT NULL,
    sealed bytea NOT NULL,
    warnings jsonb NOT NULL
);

-- One row per venue account: lease, schedule and state together, so that every
-- writer of the account locks it first. It goes with the account, so that whoever
-- reads the venue just then has lost its lease. stopped_at is set from the event of
-- an account that stopped to the one of its recovery; codes are all that the
-- account was ever seen with.
CREATE TABLE streams (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    owner uuid,
    epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    balances_due timestamptz NOT NULL DEFAULT now(),
    history_due timestamptz NOT NULL DEFAULT now(),
    failures integer NOT NULL DEFAULT 0,
    synced_at timestamptz,
    valued_at timestamptz,
    checked_at timestamptz NOT NULL DEFAULT now(),
    status text NOT NULL DEFAULT 'syncing' CHECK (status IN ('syncing', 'level', 'degraded', 'stopped')),
    reason text NOT NULL DEFAULT '',
    code text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    hint text NOT NULL DEFAULT '',
    since timestamptz,
    stopped_at timestamptz,
    missing jsonb NOT NULL DEFAULT '[]',
    totals jsonb NOT NULL DEFAULT '[]',
    codes text[] NOT NULL DEFAULT '{}'
);
-- What is due is found by this one. A lease moves no column of it.
CREATE INDEX streams_due ON streams (least(balances_due, history_due)) WHERE status <> 'stopped';

-- How far one history of a venue account was read. progress is committed with the
-- rows it stands for.
CREATE TABLE histories (
    account_id uuid NOT NULL REFERENCES accounts,
    stream text NOT NULL,
    place integer NOT NULL,
    progress jsonb NOT NULL DEFAULT '{}',
    since timestamptz,
    done_at timestamptz,
    due timestamptz NOT NULL DEFAULT now(),
    failures integer NOT NULL DEFAULT 0,
    reason text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    limits text NOT NULL DEFAULT '',
    PRIMARY KEY (account_id, stream)
);

-- What a venue account holds, by wallet kind (spot, earn, …) and the venue's own
-- code. A code is an asset of that venue alone. What a venue shows may be negative:
-- a margin account owes. What is held no more stays as a row of 0. Amounts are in
-- whole units, with all the digits that the venue wrote.
CREATE TABLE holdings (
    account_id uuid NOT NULL REFERENCES accounts,
    tenant text NOT NULL,
    environment text NOT NULL,
    wallet text NOT NULL,
    code text NOT NULL,
    available numeric,
    locked numeric,
    borrowed numeric,
    total numeric NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account_id, wallet, code)
);

-- What an account held at any past time since it was connected: a row for each
-- change of a total.
CREATE TABLE holding_changes (
    account_id uuid NOT NULL REFERENCES accounts,
    wallet text NOT NULL,
    code text NOT NULL,
    at timestamptz NOT NULL,
    total numeric NOT NULL,
    PRIMARY KEY (account_id, wallet, code, at)
);

-- Rows of the histories of venues, each under what stays of it when it settles:
-- digest is that of stream and key, which may be longer than an index entry. tx is
-- the hash of the transaction on a chain, where there is one of 32 bytes, so that
-- both ends of a move between own accounts find each other.
CREATE TABLE venue_movements (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    digest bytea NOT NULL,
    tenant text NOT NULL,
    environment text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    stream text NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    shown boolean NOT NULL,
    at timestamptz NOT NULL,
    tx bytea,
    data jsonb NOT NULL,
    first_seen timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, digest)
);
CREATE INDEX venue_movements_account ON venue_movements (account_id, at DESC, id DESC);
CREATE INDEX venue_movements_tx ON venue_movements (tx) WHERE tx IS NOT NULL;

-- The last number that was sent with a key of a venue that wants rising ones. It
-- is durable before the request leaves, and owner has the turn until the answer is
-- there. name is a digest of the key; the row stays when the account goes, since the
-- venue forgets nothing.
CREATE TABLE nonces (
    name text PRIMARY KEY,
    last bigint NOT NULL,
    owner uuid,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
