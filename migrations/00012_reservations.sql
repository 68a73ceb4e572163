-- +goose Up
-- A coin or a nonce is reserved within a realm: an address can be registered by
-- anybody, and what is reserved for it must not hold up who has its key.
ALTER TABLE reserved_coins ADD COLUMN tenant text, ADD COLUMN environment text;
UPDATE reserved_coins AS r
SET
    tenant = w.tenant,
    environment = w.environment
FROM withdrawals AS w
WHERE w.id = r.withdrawal_id;
ALTER TABLE reserved_coins
    ALTER COLUMN tenant SET NOT NULL,
    ALTER COLUMN environment SET NOT NULL,
    DROP CONSTRAINT reserved_coins_pkey,
    ADD PRIMARY KEY (chain, tx, vout, tenant, environment);

ALTER TABLE reserved_nonces ADD COLUMN tenant text, ADD COLUMN environment text;
UPDATE reserved_nonces AS r
SET
    tenant = w.tenant,
    environment = w.environment
FROM withdrawals AS w
WHERE w.id = r.withdrawal_id;
ALTER TABLE reserved_nonces
    ALTER COLUMN tenant SET NOT NULL,
    ALTER COLUMN environment SET NOT NULL,
    DROP CONSTRAINT reserved_nonces_pkey,
    ADD PRIMARY KEY (sender_id, nonce, tenant, environment);
