-- The iss of a rule about an issuer, whose assertions are exchanged for tokens; empty: a client.
ALTER TABLE {{table "clients"}} ADD COLUMN issuer TEXT NOT NULL DEFAULT '';
-- What else a rule says, an object.
ALTER TABLE {{table "clients"}} ADD COLUMN trust TEXT NOT NULL DEFAULT '';
CREATE INDEX {{index "clients" "by_issuer"}} ON {{table "clients"}} (issuer) WHERE issuer <> '';
