-- name: WatchedInputs :many
-- WatchedInputs returns the inputs of watched transactions that are unconfirmed,
-- or left so lately that they may come back: another spender replaces them.
SELECT DISTINCT
    i.spent_tx,
    i.spent_vout
FROM transfers AS t
JOIN inputs AS i ON i.chain = t.chain AND i.tx = t.tx
WHERE t.chain = @chain
AND t.status IN ('pending', 'orphaned', 'replaced', 'dropped')
AND (t.status = 'pending' OR t.changed_at > now() - interval '14 days');

-- name: OpenTxs :many
-- OpenTxs returns transactions that are pending, and those that left lately and
-- are not alive.
SELECT
    t.tx,
    bool_or(t.status = 'pending')::boolean AS pending
FROM transfers AS t
WHERE t.chain = @chain
AND t.status IN ('pending', 'orphaned', 'replaced', 'dropped')
AND (t.status = 'pending' OR t.changed_at > now() - interval '14 days')
AND NOT EXISTS (
    SELECT
    FROM transfers AS c
    WHERE c.chain = t.chain
    AND c.tx = t.tx
    AND c.status = 'confirmed'
)
GROUP BY t.tx;

-- name: PutInputs :many
-- PutInputs keeps the inputs of unconfirmed transactions that have a transfer,
-- and returns them.
INSERT INTO inputs AS i (chain, tx, spent_tx, spent_vout)
SELECT DISTINCT
    t.chain,
    n.tx,
    n.spent_tx,
    n.spent_vout
FROM (
    SELECT
        unnest(@txs::bytea[]) AS tx,
        unnest(@spent_txs::bytea[]) AS spent_tx,
        unnest(@spent_vouts::bigint[]) AS spent_vout
) AS n
JOIN transfers AS t ON t.chain = @chain AND t.tx = n.tx AND t.status = 'pending'
ON CONFLICT (chain, tx, spent_tx, spent_vout) DO UPDATE SET spent_vout = EXCLUDED.spent_vout
RETURNING i.spent_tx, i.spent_vout;

-- name: InputsOf :many
-- InputsOf returns the known inputs of transactions.
SELECT tx, spent_tx, spent_vout
FROM inputs
WHERE chain = @chain
AND tx = ANY(@txs::bytea[]);
