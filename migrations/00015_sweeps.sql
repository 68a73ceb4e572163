-- +goose Up
-- What is all there is cannot be moved twice, but a sweep that was mined may be under
-- way again after a reorg while the next one waits behind its nonce. Whether one is
-- under way is asked when another is ordered; the index decides between two orders.
DROP INDEX withdrawals_sweep;
CREATE UNIQUE INDEX withdrawals_sweep ON withdrawals (tenant, environment, sender_id, asset_id)
WHERE kind = 'Sweep' AND last_mined = 0 AND status IN ('Submitted', 'PendingSignature', 'Broadcasting', 'Confirming');
