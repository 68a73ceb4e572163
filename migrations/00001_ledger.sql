-- +goose Up

-- Every row of a customer's carries tenant and environment from the first day,
-- so that no later change has to guess them.
CREATE TABLE tenants (
    id text PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (id, name) VALUES ('default', 'default');

-- A bearer key is stored as a keyed hash: the row gives nobody access.
CREATE TABLE keys (
    id text PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    owner text NOT NULL,
    name text NOT NULL,
    hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX keys_realm ON keys (tenant, environment, created_at, id);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX users_realm ON users (tenant, environment, created_at, id) WHERE deleted_at IS NULL;

-- One row per chain: tip, lease and watch version together, so that the check
-- of all three is the write that moves the tip. Every writer of a chain locks
-- this row first.
CREATE TABLE cursors (
    chain text PRIMARY KEY,
    caip2 text NOT NULL,
    family text NOT NULL CHECK (family IN ('bitcoin', 'evm')),
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    genesis bytea NOT NULL,
    maturity bigint NOT NULL,
    height bigint,
    hash bytea,
    -- The lowest block that was followed. Every block from here to the tip is
    -- in the table blocks; of those below, only what a backfill has met.
    first_height bigint,
    owner uuid,
    epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    watch_version bigint NOT NULL DEFAULT 0,
    scripts bigint NOT NULL DEFAULT 0,
    head bigint NOT NULL DEFAULT 0,
    final bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'starting',
    reason text NOT NULL DEFAULT '',
    halted text NOT NULL DEFAULT '',
    status_version bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((height IS NULL) = (hash IS NULL)),
    CHECK ((height IS NULL) = (first_height IS NULL))
);

-- Blocks are marked, never deleted: at most one is canonical at a height.
CREATE TABLE blocks (
    chain text NOT NULL REFERENCES cursors,
    hash bytea NOT NULL,
    height bigint NOT NULL,
    parent bytea NOT NULL,
    time timestamptz NOT NULL,
    work numeric(78, 0) NOT NULL,
    canonical boolean NOT NULL,
    PRIMARY KEY (chain, hash)
);
CREATE UNIQUE INDEX blocks_canonical ON blocks (chain, height) WHERE canonical;

CREATE TABLE assets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain text NOT NULL REFERENCES cursors,
    caip19 text NOT NULL,
    symbol text NOT NULL DEFAULT '',
    name text NOT NULL DEFAULT '',
    decimals integer NOT NULL DEFAULT -1,
    listed boolean NOT NULL DEFAULT false,
    native boolean NOT NULL DEFAULT false,
    asked_at timestamptz,
    UNIQUE (chain, caip19)
);
CREATE UNIQUE INDEX assets_native ON assets (chain) WHERE native;

-- Names one search of one script's past. A script that must be searched again
-- gets a new name, so that what an older search still finds is refused.
CREATE SEQUENCE searches;

-- A script is watched once, however many accounts hold it, and stays watched
-- when the last of them goes: its history is whole when one comes back. The
-- digest keys it, since a script may be longer than an index entry.
CREATE TABLE scripts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain text NOT NULL REFERENCES cursors,
    script bytea NOT NULL,
    digest bytea NOT NULL GENERATED ALWAYS AS (sha256(script)) STORED,
    address text NOT NULL,
    watch_version bigint NOT NULL,
    -- The follower covers every height above, a backfill those up to it. It is
    -- null while the chain has no tip.
    handover bigint,
    search bigint NOT NULL DEFAULT nextval('searches') UNIQUE,
    history text NOT NULL DEFAULT 'none' CHECK (history IN ('none', 'partial', 'complete')),
    history_from bigint,
    history_next bigint,
    history_method text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (chain, digest)
);
CREATE INDEX scripts_search ON scripts (chain, id) WHERE history <> 'complete';
CREATE INDEX scripts_version ON scripts (chain, watch_version);

-- version counts the account's own state changes, each of which is an event.
CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    user_id uuid NOT NULL REFERENCES users,
    chain text NOT NULL REFERENCES cursors,
    kind text NOT NULL CHECK (kind IN ('address', 'descriptor')),
    wallet text NOT NULL,
    -- SHA-256 of the wallet, which may be a descriptor too long to index.
    wallet_digest bytea NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    version bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    synced_at timestamptz,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX accounts_wallet ON accounts (user_id, chain, wallet_digest) WHERE deleted_at IS NULL;
CREATE INDEX accounts_chain ON accounts (chain) WHERE deleted_at IS NULL;

CREATE TABLE account_scripts (
    account_id uuid NOT NULL REFERENCES accounts,
    script_id bigint NOT NULL REFERENCES scripts,
    tenant text NOT NULL,
    environment text NOT NULL,
    branch bigint NOT NULL,
    index bigint NOT NULL,
    PRIMARY KEY (account_id, script_id)
);
CREATE INDEX account_scripts_script ON account_scripts (script_id);
CREATE INDEX account_scripts_branch ON account_scripts (account_id, branch, index);

-- A leg's key is (chain, tx, source, side). The block is an observation: it is
-- cleared and set again as reorgs move the transaction. at is when it happened
-- as lists show it: the time of the block, else when it was first seen.
CREATE TABLE transfers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain text NOT NULL REFERENCES cursors,
    tx bytea NOT NULL,
    source text NOT NULL,
    side text NOT NULL CHECK (side IN ('in', 'out')),
    script_id bigint NOT NULL REFERENCES scripts,
    asset_id bigint NOT NULL REFERENCES assets,
    amount numeric(78, 0) NOT NULL CHECK (amount >= 0),
    status text NOT NULL CHECK (status IN ('pending', 'confirmed', 'orphaned', 'replaced', 'dropped')),
    version bigint NOT NULL DEFAULT 1,
    block bytea,
    height bigint,
    tx_index bigint NOT NULL DEFAULT 0,
    at timestamptz NOT NULL,
    coinbase boolean NOT NULL DEFAULT false,
    peer bytea,
    vout bigint,
    spent_tx bytea,
    spent_vout bigint,
    replaced_by bytea,
    watch_version bigint NOT NULL DEFAULT 0,
    first_seen timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'confirmed') = (block IS NOT NULL)),
    CHECK ((block IS NULL) = (height IS NULL)),
    CHECK ((spent_tx IS NULL) = (spent_vout IS NULL))
);
-- A re-mined leg that differs is another row; the same one is found again.
CREATE UNIQUE INDEX transfers_leg ON transfers (chain, tx, source, side, script_id, asset_id, amount);
-- At most one row of a leg key is alive.
CREATE UNIQUE INDEX transfers_alive ON transfers (chain, tx, source, side) WHERE status IN ('pending', 'confirmed');
CREATE INDEX transfers_block ON transfers (chain, block) WHERE block IS NOT NULL;
CREATE INDEX transfers_script ON transfers (script_id, at DESC, tx DESC);
CREATE INDEX transfers_confirmed ON transfers (script_id, asset_id, height) WHERE status = 'confirmed';
CREATE INDEX transfers_coinbase ON transfers (script_id, height) WHERE coinbase AND status = 'confirmed';
CREATE INDEX transfers_spent ON transfers (chain, spent_tx, spent_vout) WHERE spent_tx IS NOT NULL;
CREATE INDEX transfers_output ON transfers (chain, tx, vout) WHERE vout IS NOT NULL;
CREATE INDEX transfers_pending ON transfers (script_id) WHERE status = 'pending';
CREATE INDEX transfers_open ON transfers (chain, status, changed_at) WHERE status <> 'confirmed';
CREATE INDEX transfers_version ON transfers (chain, watch_version) WHERE watch_version > 0;

-- Every input of a watched unconfirmed transaction: whoever else spends one of
-- them replaces it, also when the replacement pays none of our scripts. Rows
-- stay when it is mined, since a reorg can make it unconfirmed again.
CREATE TABLE inputs (
    chain text NOT NULL REFERENCES cursors,
    tx bytea NOT NULL,
    spent_tx bytea NOT NULL,
    spent_vout bigint NOT NULL,
    PRIMARY KEY (chain, tx, spent_tx, spent_vout)
);
CREATE INDEX inputs_spent ON inputs (chain, spent_tx, spent_vout);

-- Sum of the confirmed legs of a script, kept with every change of them. On the
-- bitcoin family it is the balance. Every asset a script ever had to do with
-- has a row, so that a balance need not search for its assets.
CREATE TABLE sums (
    script_id bigint NOT NULL REFERENCES scripts,
    asset_id bigint NOT NULL REFERENCES assets,
    amount numeric NOT NULL,
    PRIMARY KEY (script_id, asset_id)
);

-- Balances of EVM accounts as read at a block. The newest one whose block is
-- canonical counts; a reorg marks blocks and leaves these rows alone.
CREATE TABLE snapshots (
    chain text NOT NULL REFERENCES cursors,
    script_id bigint NOT NULL REFERENCES scripts,
    asset_id bigint NOT NULL REFERENCES assets,
    height bigint NOT NULL,
    hash bytea NOT NULL,
    parent bytea NOT NULL,
    block_time timestamptz NOT NULL,
    amount numeric(78, 0) NOT NULL,
    proof text NOT NULL,
    opening boolean NOT NULL DEFAULT false,
    PRIMARY KEY (script_id, asset_id, height, hash)
);
CREATE INDEX snapshots_block ON snapshots (chain, hash);
CREATE INDEX snapshots_height ON snapshots (chain, height);
CREATE INDEX snapshots_opening ON snapshots (script_id, asset_id, height) WHERE opening;

-- Balances that blocks changed since they were last read.
CREATE TABLE stale (
    chain text NOT NULL REFERENCES cursors,
    script_id bigint NOT NULL REFERENCES scripts,
    asset_id bigint NOT NULL REFERENCES assets,
    height bigint NOT NULL,
    PRIMARY KEY (script_id, asset_id)
);
CREATE INDEX stale_chain ON stale (chain, height);

-- Who searches the past of a chain now. A search is work that was done twice at
-- worst: the lease keeps two from doing it side by side, and fences nothing.
CREATE TABLE search_leases (
    chain text PRIMARY KEY REFERENCES cursors,
    owner uuid NOT NULL,
    lease_until timestamptz NOT NULL
);

-- An event is written in the transaction that made the change, and numbered
-- after that has committed: a reader that is past 10 never misses a late 9.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    seq bigint UNIQUE,
    tenant text NOT NULL,
    environment text NOT NULL,
    type text NOT NULL,
    chain text NOT NULL,
    account_id uuid,
    resource_id text NOT NULL,
    resource_version bigint NOT NULL,
    data jsonb NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX events_unnumbered ON events (id) WHERE seq IS NULL;
CREATE INDEX events_realm ON events (tenant, environment, seq) WHERE seq IS NOT NULL;
-- One state change is one event for one account.
CREATE UNIQUE INDEX events_once ON events (account_id, resource_id, resource_version);

CREATE TABLE sequencer (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL DEFAULT 0,
    owner uuid,
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO sequencer DEFAULT VALUES;
