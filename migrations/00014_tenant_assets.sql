-- +goose Up
-- The assets, by CAIP-19, that a tenant may open wallets for; NULL for all that are
-- listed. Wallets that are open stay.
ALTER TABLE tenants ADD COLUMN assets text[];
