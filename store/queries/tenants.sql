-- name: CreateTenant :execrows
-- CreateTenant adds a tenant, or changes nothing if it is there.
INSERT INTO tenants (id, name, created_by, meta_data)
VALUES (@id, @name, @created_by, @meta_data)
ON CONFLICT DO NOTHING;

-- name: Tenants :many
-- Tenants returns every tenant, oldest first.
SELECT
    id,
    name,
    created_at,
    created_by,
    meta_data
FROM tenants
ORDER BY created_at, id;
