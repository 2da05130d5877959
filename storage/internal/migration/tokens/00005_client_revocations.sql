-- What is revoked of clients that are the host's. They had rows in the table of the store's own clients before.
CREATE TABLE {{table "client_revocations"}} (
    id             TEXT PRIMARY KEY,
    epoch          BIGINT NOT NULL DEFAULT 0, -- raised to kill every token issued so far
    revoked_before BIGINT NOT NULL DEFAULT 0  -- kills tokens issued before this time
);
{{- if .Clients}}
INSERT INTO {{table "client_revocations"}} (id, epoch, revoked_before)
    SELECT id, epoch, revoked_before FROM {{table "clients"}} WHERE epoch > 0 OR revoked_before > 0;
{{- end}}
