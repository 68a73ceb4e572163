-- +goose Up

-- An account is on a chain or at a venue. CreateAccount locks the chain's row in
-- cursors, which is never deleted, so that no foreign key is needed for it.
ALTER TABLE accounts
    DROP CONSTRAINT accounts_chain_fkey,
    DROP CONSTRAINT accounts_kind_check,
    ADD COLUMN venue text NOT NULL DEFAULT '',
    ADD CONSTRAINT accounts_kind_check CHECK (kind IN ('address', 'descriptor', 'venue')),
    ADD CONSTRAINT accounts_place_check CHECK ((chain = '') = (kind = 'venue') AND (venue = '') = (kind <> 'venue'));

-- One row per venue account: lease and cursor together, so that the check of the
-- epoch is the write that moves the cursor. The cursor is the connector's own.
CREATE TABLE streams (
    account_id uuid PRIMARY KEY REFERENCES accounts,
    owner uuid,
    epoch bigint NOT NULL DEFAULT 0,
    lease_until timestamptz NOT NULL DEFAULT '-infinity',
    cursor jsonb NOT NULL DEFAULT 'null',
    synced_at timestamptz
);

-- What a venue account holds, by wallet kind (spot, earn, …) and the venue's own
-- code. A code is an asset of that venue alone. What a venue shows may be
-- negative: a margin account owes.
CREATE TABLE holdings (
    account_id uuid NOT NULL REFERENCES accounts,
    tenant text NOT NULL,
    environment text NOT NULL,
    wallet text NOT NULL,
    code text NOT NULL,
    amount numeric NOT NULL,
    decimals integer NOT NULL CHECK (decimals >= 0),
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, wallet, code)
);
