{{- if .Tokens}}
{{template "client_triggers.sql" .}}
{{- if .Clients}}
-- What has ended before, for whoever reads the feed of revocations from the beginning.
INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
    SELECT {{first}}, {{digest "'registered client ' || id"}}, 'client', id, {{clock}}, {{clock}} FROM {{table "clients"}}
    WHERE status <> 'active' OR version > 1 OR epoch > 0 OR revoked_before > 0 OR expires_at IS NOT NULL
        OR id IN (SELECT client_id FROM {{table "client_secrets"}} WHERE epoch > 0)
    ON CONFLICT DO NOTHING;
{{- end}}
{{- end}}
