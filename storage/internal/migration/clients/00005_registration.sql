-- Empty: an administrator has registered the client.
ALTER TABLE {{table "clients"}} ADD COLUMN registered_by TEXT NOT NULL DEFAULT '';
-- The hash of the token with which a client manages its registration (RFC 7592).
ALTER TABLE {{table "clients"}} ADD COLUMN registration_token TEXT NOT NULL DEFAULT '';
CREATE INDEX {{index "clients" "unused"}} ON {{table "clients"}} (created_at) WHERE registered_by <> '' AND last_used_at IS NULL;
