-- +goose Up
-- The highest block at which nodes of the chain were found to differ, while disputed
-- says that they do: a dispute ends when all agree up to there, also if another
-- process finds that than the one that saw it begin.
ALTER TABLE cursors ADD COLUMN contested bigint NOT NULL DEFAULT 0;
