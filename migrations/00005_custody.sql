-- +goose Up

-- Base units as people read them: 150000000 with 8 decimals is 1.5. It is exact,
-- since numeric multiplication is.
CREATE FUNCTION whole_units(amount numeric, decimals integer) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN trim_scale(amount * ('1e-' || decimals)::numeric)::text;

-- What a chain's owner must know of custody while it holds the row anyway, so
-- that a block without deposits costs nothing: whether the chain has addresses of
-- custody at all, the lowest tip at which a deposit is due, and whether one waits
-- for a balance to prove it. halted, which was there, is why nothing is credited.
ALTER TABLE cursors
    ADD COLUMN custody boolean NOT NULL DEFAULT false,
    ADD COLUMN due bigint,
    ADD COLUMN unproven boolean NOT NULL DEFAULT false,
    -- The highest block that the node calls safe.
    ADD COLUMN safe bigint NOT NULL DEFAULT 0,
    -- Blocks taken back since the last one was appended.
    ADD COLUMN reverted bigint NOT NULL DEFAULT 0,
    -- When deposits are credited, as the operator's settings say.
    ADD COLUMN policy jsonb NOT NULL DEFAULT '{}';

-- One end customer's holdings.
CREATE TABLE vaults (
    id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    external_id text,
    name text NOT NULL,
    metadata json NOT NULL,
    user_id uuid REFERENCES users,
    status text NOT NULL DEFAULT 'Active' CHECK (status IN ('Active', 'Archived')),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX vaults_external ON vaults (tenant, environment, external_id);
CREATE INDEX vaults_realm ON vaults (tenant, environment, created_at, id);
CREATE INDEX vaults_user ON vaults (user_id) WHERE user_id IS NOT NULL;

-- One asset of a vault. The three sums are kept with every change and can be
-- derived: available and locked from postings, pending from deposits. What a
-- reorg takes back may have been moved already: then the wallet owes, and is
-- frozen for as long as it does.
CREATE TABLE wallets (
    id uuid PRIMARY KEY,
    vault_id uuid NOT NULL REFERENCES vaults,
    tenant text NOT NULL,
    environment text NOT NULL,
    chain text NOT NULL REFERENCES cursors,
    asset_id bigint NOT NULL REFERENCES assets,
    label text NOT NULL,
    status text NOT NULL DEFAULT 'Active' CHECK (status IN ('Active', 'Frozen')),
    available numeric NOT NULL DEFAULT 0,
    locked numeric NOT NULL DEFAULT 0 CHECK (locked >= 0),
    pending numeric NOT NULL DEFAULT 0 CHECK (pending >= 0),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((status = 'Frozen') = (available < 0)),
    UNIQUE (vault_id, asset_id),
    -- For the postings, whose asset is their wallet's.
    UNIQUE (id, asset_id)
) WITH (fillfactor = 80);

-- Extended public keys and descriptors that addresses are derived from. One that
-- was replaced keeps its row, so that it goes on where it ended if it comes back:
-- no index is given twice. What tells keys apart is the first script they derive,
-- since one key has many spellings.
CREATE TABLE custody_keys (
    id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    chain text NOT NULL REFERENCES cursors,
    key text NOT NULL,
    -- SHA-256 of the script at index 0.
    origin bytea NOT NULL,
    next_index bigint NOT NULL DEFAULT 0 CHECK (next_index BETWEEN 0 AND 2147483648),
    active boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, environment, chain, origin)
);
CREATE UNIQUE INDEX custody_keys_active ON custody_keys (tenant, environment, chain) WHERE active;

-- Addresses of a tenant's pool: those given to vaults, those waiting to be given,
-- those that change returns to, and the treasury that pays on EVM chains. They are
-- watched from the row on. Money that reaches one from another is no deposit.
CREATE TABLE addresses (
    id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    chain text NOT NULL REFERENCES cursors,
    script_id bigint NOT NULL REFERENCES scripts,
    address text NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('deposit', 'change', 'treasury')),
    key_id uuid REFERENCES custody_keys,
    branch bigint,
    index bigint,
    vault_id uuid REFERENCES vaults,
    created_at timestamptz NOT NULL DEFAULT now(),
    given_at timestamptz,
    -- A treasury that was replaced. It stays the tenant's own.
    retired_at timestamptz,
    CHECK ((key_id IS NULL) = (branch IS NULL) AND (key_id IS NULL) = (index IS NULL)),
    CHECK ((vault_id IS NULL) = (given_at IS NULL)),
    CHECK (vault_id IS NULL OR purpose = 'deposit'),
    -- Within a realm an address belongs to one vault.
    UNIQUE (tenant, environment, script_id)
);
CREATE UNIQUE INDEX addresses_index ON addresses (key_id, branch, index) WHERE key_id IS NOT NULL;
CREATE UNIQUE INDEX addresses_treasury ON addresses (tenant, environment, chain) WHERE purpose = 'treasury' AND retired_at IS NULL;
CREATE INDEX addresses_script ON addresses (script_id);
CREATE INDEX addresses_vault ON addresses (vault_id, chain, given_at, id) WHERE vault_id IS NOT NULL;
CREATE INDEX addresses_pool ON addresses (tenant, environment, chain, created_at, script_id) WHERE purpose = 'deposit' AND vault_id IS NULL;

-- Every movement of value that involves a wallet. A deposit has a row in deposits
-- of the same id beside it.
CREATE TABLE transactions (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    environment text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('Deposit', 'Transfer', 'Withdrawal')),
    status text NOT NULL CHECK (status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming', 'Completed', 'Failed', 'Cancelled')),
    reason text NOT NULL DEFAULT '',
    source_wallet uuid REFERENCES wallets,
    destination_wallet uuid REFERENCES wallets,
    asset_id bigint NOT NULL REFERENCES assets,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    note text NOT NULL DEFAULT '',
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (source_wallet <> destination_wallet),
    CHECK ((source_wallet IS NULL) = (kind = 'Deposit')),
    CHECK ((destination_wallet IS NULL) = (kind = 'Withdrawal'))
);
CREATE INDEX transactions_realm ON transactions (tenant, environment, created_at DESC, id DESC);
CREATE INDEX transactions_source ON transactions (source_wallet, created_at DESC, id DESC) WHERE source_wallet IS NOT NULL;
CREATE INDEX transactions_destination ON transactions (destination_wallet, created_at DESC, id DESC) WHERE destination_wallet IS NOT NULL;

-- The ledger of wallets. A journal is one movement, told by its postings, which
-- sum to zero for each asset; neither is ever changed. reference is the
-- transaction, version the state of it that was reached: each is posted once.
CREATE TABLE journals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    environment text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('deposit', 'reversal', 'transfer')),
    reference uuid NOT NULL REFERENCES transactions,
    version bigint NOT NULL,
    -- A journal is taken back at most once.
    reverses bigint UNIQUE REFERENCES journals,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((kind = 'reversal') = (reverses IS NOT NULL)),
    UNIQUE (reference, version)
);

-- available and locked are a wallet's, the others a tenant's as a whole: chain is
-- the world outside, treasury what is set aside to pay with, fees what networks
-- were paid.
CREATE TABLE postings (
    journal_id bigint NOT NULL REFERENCES journals,
    n integer NOT NULL,
    account text NOT NULL CHECK (account IN ('available', 'locked', 'chain', 'treasury', 'fees')),
    wallet_id uuid,
    asset_id bigint NOT NULL REFERENCES assets,
    amount numeric(78, 0) NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (journal_id, n),
    FOREIGN KEY (wallet_id, asset_id) REFERENCES wallets (id, asset_id),
    CHECK ((wallet_id IS NOT NULL) = (account IN ('available', 'locked')))
);
CREATE INDEX postings_wallet ON postings (wallet_id, account) WHERE wallet_id IS NOT NULL;

-- A statement whose postings do not balance is refused, so that no sequence of
-- statements can leave a journal unbalanced.
-- +goose StatementBegin
CREATE FUNCTION balance_postings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM fresh GROUP BY journal_id, asset_id HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'postings of a journal do not sum to zero';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER postings_balance AFTER INSERT ON postings
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION balance_postings();

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% are only ever added', TG_TABLE_NAME;
END $$;
-- +goose StatementEnd
CREATE TRIGGER journals_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON journals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER postings_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON postings
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Incoming transfers of a wallet's asset to an address of its vault. The unique
-- key is the identity: a transfer's row stands for leg key, asset and amount.
-- received is what is credited: on the bitcoin family the amount; on EVM chains
-- what the balance proves of it, null until it was read. due is the height that
-- basis must reach, mature the tip at which a coinbase can be spent. One that is
-- orphaned is given up at due. proven_height is the block of the balance that says
-- what was received, leans_on the last block of those whose transfers it counted
-- with: it must be as deep as the deposit's own.
CREATE TABLE deposits (
    id uuid PRIMARY KEY REFERENCES transactions,
    tenant text NOT NULL,
    environment text NOT NULL,
    chain text NOT NULL REFERENCES cursors,
    wallet_id uuid NOT NULL REFERENCES wallets,
    transfer_id bigint NOT NULL REFERENCES transfers,
    script_id bigint NOT NULL REFERENCES scripts,
    asset_id bigint NOT NULL REFERENCES assets,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    received numeric(78, 0) CHECK (received BETWEEN 0 AND amount),
    state text NOT NULL CHECK (state IN ('detected', 'confirming', 'credited', 'orphaned', 'replaced', 'dropped')),
    reason text NOT NULL DEFAULT '',
    height bigint,
    basis text NOT NULL DEFAULT '' CHECK (basis IN ('', 'depth', 'safe', 'final')),
    due bigint,
    mature bigint,
    proven_height bigint,
    leans_on bigint,
    journal_id bigint UNIQUE REFERENCES journals,
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'credited') = (journal_id IS NOT NULL)),
    CHECK ((state IN ('confirming', 'credited')) = (height IS NOT NULL)),
    CHECK ((state IN ('confirming', 'credited', 'orphaned')) = (due IS NOT NULL)),
    UNIQUE (wallet_id, transfer_id)
);
CREATE INDEX deposits_transfer ON deposits (transfer_id);
CREATE INDEX deposits_due ON deposits (chain, basis, (due + coalesce(leans_on - height, 0))) WHERE state = 'confirming' AND received > 0;
CREATE INDEX deposits_ending ON deposits (chain, basis, (due + coalesce(leans_on - height, 0))) WHERE state = 'orphaned' OR state = 'confirming' AND received = 0;
CREATE INDEX deposits_leaning ON deposits (chain, leans_on) WHERE leans_on IS NOT NULL;
CREATE INDEX deposits_unproven ON deposits (chain) WHERE state = 'confirming' AND received IS NULL;
CREATE INDEX deposits_proven ON deposits (chain, proven_height) WHERE state = 'confirming' AND proven_height IS NOT NULL;
CREATE INDEX deposits_pending ON deposits (wallet_id) WHERE state IN ('detected', 'confirming');
CREATE INDEX deposits_realm ON deposits (tenant, environment, created_at DESC, id DESC);
CREATE INDEX deposits_wallet ON deposits (wallet_id, created_at DESC, id DESC);

-- Where a tenant lets withdrawals go, from usable_at on.
CREATE TABLE address_book (
    id uuid PRIMARY KEY,
    tenant text NOT NULL REFERENCES tenants,
    environment text NOT NULL CHECK (environment IN ('live', 'test')),
    chain text NOT NULL REFERENCES cursors,
    address text NOT NULL,
    script bytea NOT NULL,
    label text NOT NULL,
    usable_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz
);
CREATE UNIQUE INDEX address_book_entry ON address_book (tenant, environment, chain, script) WHERE removed_at IS NULL;
CREATE INDEX address_book_realm ON address_book (tenant, environment, created_at, id) WHERE removed_at IS NULL;

-- One state change of what custody has is one event. A deposit and its
-- transaction share an id, and count their changes apart.
CREATE UNIQUE INDEX events_custody ON events (resource_id, resource_version, split_part(type, '.', 1))
WHERE account_id IS NULL
AND split_part(type, '.', 1) IN ('vault', 'wallet', 'balance', 'deposit', 'transaction', 'address_book');
