-- name: CreateTenant :execrows
-- CreateTenant adds a tenant, or changes nothing if it is there.
INSERT INTO tenants (id, name, created_by, meta_data, assets)
VALUES (@id, @name, @created_by, @meta_data, sqlc.narg('assets')::text[])
ON CONFLICT DO NOTHING;

-- name: Tenants :many
-- Tenants returns every tenant, oldest first.
SELECT
    id,
    name,
    created_at,
    created_by,
    meta_data,
    assets
FROM tenants
ORDER BY created_at, id;

-- name: SetTenantAssets :one
-- SetTenantAssets sets what a tenant may hold.
UPDATE tenants
SET assets = sqlc.narg('assets')::text[]
WHERE id = @id
RETURNING
    id,
    name,
    created_at,
    created_by,
    meta_data,
    assets;

-- name: StrangeAssets :many
-- StrangeAssets returns those of some names that no listed asset has.
SELECT n.caip19::text AS caip19
FROM unnest(@caip19s::text[]) AS n (caip19)
WHERE NOT EXISTS (
    SELECT
    FROM assets AS x
    WHERE x.caip19 = n.caip19
    AND x.listed
);
