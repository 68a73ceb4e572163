-- name: CreateUser :execrows
-- CreateUser adds a user to a realm.
INSERT INTO users (id, tenant, environment, name, created_at, created_by, meta_data)
VALUES (@id, @tenant, @environment, @name, @created_at, @created_by, @meta_data);

-- name: Users :many
-- Users returns the users of a realm, oldest first.
SELECT
    id,
    tenant,
    environment,
    name,
    created_at,
    deleted_at,
    created_by,
    meta_data
FROM users
WHERE tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL
ORDER BY created_at, id;

-- name: User :one
-- User returns one user of a realm.
SELECT
    id,
    tenant,
    environment,
    name,
    created_at,
    deleted_at,
    created_by,
    meta_data
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
RETURNING
    id,
    tenant,
    environment,
    name,
    created_at,
    deleted_at,
    created_by,
    meta_data;

-- name: DeleteUser :execrows
-- DeleteUser ends a user.
UPDATE users
SET deleted_at = now()
WHERE id = @id
AND tenant = @tenant
AND environment = @environment
AND deleted_at IS NULL;

-- name: DeleteAccountsOf :many
-- DeleteAccountsOf ends every account of a user.
UPDATE accounts
SET deleted_at = now()
WHERE user_id = @user_id
AND deleted_at IS NULL
RETURNING id;
