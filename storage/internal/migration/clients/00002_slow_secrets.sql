-- 1: an imported hash that takes long to compare.
ALTER TABLE {{table "client_secrets"}} ADD COLUMN slow BIGINT NOT NULL DEFAULT 0;
CREATE INDEX {{index "client_secrets" "slow"}} ON {{table "client_secrets"}} (client_id) WHERE slow = 1;
UPDATE {{table "client_secrets"}} SET slow = 1 WHERE hash <> '' AND hash NOT LIKE '$sha256$%';
