-- What is revoked of clients, also for when they are the host's. Those had rows in the table of the store's own before.
CREATE TABLE {{table "client_revocations"}} (
    id             TEXT PRIMARY KEY,
    epoch          BIGINT NOT NULL DEFAULT 0, -- raised to kill every token issued so far
    revoked_before BIGINT NOT NULL DEFAULT 0  -- kills tokens issued before this time
);
{{- if .Clients}}
INSERT INTO {{table "client_revocations"}} (id, epoch, revoked_before)
    SELECT id, epoch, revoked_before FROM {{table "clients"}} WHERE epoch > 0 OR revoked_before > 0
        OR id IN (SELECT client_id FROM {{table "client_secrets"}} WHERE epoch > 0);
-- Nobody knows when tokens of one secret were revoked, but it was before now.
UPDATE {{table "client_revocations"}} SET revoked_before = {{now}} WHERE revoked_before < {{now}}
    AND id IN (SELECT client_id FROM {{table "client_secrets"}} WHERE epoch > 0);
DELETE FROM {{table "clients"}} WHERE status = 'external';
{{- end}}
