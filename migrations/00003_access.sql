-- +goose Up

ALTER TABLE tenants
    ADD COLUMN created_by text NOT NULL DEFAULT '',
    ADD COLUMN meta_data json;

-- A bearer key has a keyed hash, a signed key a sealed secret: never both. The
-- version tells the instances that remember a key that it changed.
ALTER TABLE keys
    ALTER COLUMN hash DROP NOT NULL,
    ADD COLUMN kind text NOT NULL DEFAULT 'bearer' CHECK (kind IN ('bearer', 'signed')),
    ADD COLUMN secret bytea,
    ADD COLUMN old_hash bytea,
    ADD COLUMN old_secret bytea,
    ADD COLUMN old_until timestamptz,
    ADD COLUMN unsigned_query boolean NOT NULL DEFAULT false,
    ADD COLUMN addresses cidr[] NOT NULL DEFAULT '{}',
    ADD COLUMN per_minute integer NOT NULL DEFAULT 0 CHECK (per_minute >= 0),
    ADD COLUMN created_by text NOT NULL DEFAULT '',
    ADD COLUMN meta_data json,
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD COLUMN changed_at timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT keys_kind CHECK ((kind = 'bearer') = (hash IS NOT NULL) AND (kind = 'signed') = (secret IS NOT NULL));
CREATE INDEX keys_changed ON keys (changed_at);
CREATE INDEX keys_owner ON keys (tenant, environment, owner, created_at, id);

-- json, not jsonb: a caller's own text comes back as it was sent.
ALTER TABLE users
    ADD COLUMN created_by text NOT NULL DEFAULT '',
    ADD COLUMN meta_data json;
ALTER TABLE accounts
    ADD COLUMN created_by text NOT NULL DEFAULT '',
    ADD COLUMN meta_data json;

-- A request with an Idempotency-Key: who holds the lock of its row carries it out.
-- The row is there before, so that another can tell a request that runs from one
-- that nobody made. The answer is written in the transaction of the effect, and
-- sealed: it may hold a secret that is shown once. The id is a digest of realm,
-- caller, method, path and key, since a path may be too long to index.
CREATE TABLE answers (
    id bytea PRIMARY KEY,
    tenant text NOT NULL,
    environment text NOT NULL,
    caller text NOT NULL,
    fingerprint bytea,
    sealed bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((fingerprint IS NULL) = (sealed IS NULL))
);
CREATE INDEX answers_age ON answers (created_at);

-- Signatures of writes that must not be carried out again.
CREATE TABLE signatures (
    signature bytea PRIMARY KEY,
    until timestamptz NOT NULL
);
CREATE INDEX signatures_until ON signatures (until);

-- Who wrote what, and which known keys were refused.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    tenant text NOT NULL,
    environment text NOT NULL,
    caller text NOT NULL,
    request_id uuid NOT NULL,
    method text NOT NULL,
    route text NOT NULL,
    path text NOT NULL,
    address inet,
    status integer NOT NULL,
    code text NOT NULL
);
CREATE INDEX audit_realm ON audit (tenant, environment, id);
CREATE INDEX audit_caller ON audit (tenant, environment, caller, id);
