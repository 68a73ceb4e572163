-- +goose Up
-- Why nothing of the chain is credited for now: nodes of it stand on different
-- branches. Unlike halted it ends by itself.
ALTER TABLE cursors ADD COLUMN disputed text NOT NULL DEFAULT '';
