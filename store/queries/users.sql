-- name: CreateUser :execrows
-- CreateUser adds a user to a realm.
INSERT INTO users (id, tenant, environment, name, created_at)
VALUES (@id, @tenant, @environment, @name, @created_at);

-- name: Users :many
-- Users returns the users of a realm, oldest first.
SELECT id, name, created_at
FROM users
WHERE tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL
ORDER BY created_at, id;

-- name: User :one
-- User returns one user of a realm.
SELECT id, name, created_at
FROM users
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL;

-- name: HoldUser :one
-- HoldUser returns one user of a realm and keeps it from being deleted.
SELECT id
FROM users
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL
FOR SHARE;

-- name: RenameUser :one
-- RenameUser changes the name of a user.
UPDATE users
SET name = @name
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL
RETURNING id, name, created_at;

-- name: DeleteUser :execrows
-- DeleteUser ends a user.
UPDATE users
SET deleted_at = now()
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL;

-- name: DeleteAccountsOf :exec
-- DeleteAccountsOf ends every account of a user.
UPDATE accounts
SET deleted_at = now()
WHERE user_id = @user_id
AND deleted_at IS NULL;

-- name: CreateTenant :execrows
-- CreateTenant adds a tenant, or changes nothing if it is there.
INSERT INTO tenants (id, name)
VALUES (@id, @name)
ON CONFLICT DO NOTHING;
