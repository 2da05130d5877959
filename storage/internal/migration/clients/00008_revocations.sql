{{- if .Tokens}}
{{- if .Clients}}
-- What has ended before, for whoever reads the feed of revocations from the beginning.
INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
    SELECT {{first}}, {{digest "'registered client ' || id"}}, 'client', id, {{clock}}, {{clock}} FROM {{table "clients"}}
    WHERE status <> 'active' OR epoch > 0 OR revoked_before > 0 OR id IN (SELECT client_id FROM {{table "client_secrets"}} WHERE epoch > 0);
{{- end}}
{{template "client_triggers.sql" .}}
{{- end}}
