-- The iss and sub of a client's assertions where another issuer makes them; empty: the client signs them itself.
ALTER TABLE {{table "clients"}} ADD COLUMN assertion_issuer TEXT NOT NULL DEFAULT '';
ALTER TABLE {{table "clients"}} ADD COLUMN assertion_subject TEXT NOT NULL DEFAULT '';
ALTER TABLE {{table "clients"}} ADD COLUMN assertion_reusable BIGINT NOT NULL DEFAULT 0; -- 1: one counts until it expires
