-- SQLite: the id is the key of the row itself. A BIGINT has an index of its own, which is one more page for each commit.
{{- if not postgres}}
CREATE TABLE {{index "audit_events" "copied"}} (
    id         INTEGER PRIMARY KEY,
    time       BIGINT NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    client_id  TEXT NOT NULL DEFAULT '',
    token_id   TEXT NOT NULL DEFAULT '',
    request_id TEXT NOT NULL DEFAULT '',
    ip         TEXT NOT NULL DEFAULT '',
    outcome    TEXT NOT NULL,
    changes    TEXT NOT NULL DEFAULT '',
    prev_hash  {{bytes}} NOT NULL,
    hash       {{bytes}} NOT NULL
);
INSERT INTO {{index "audit_events" "copied"}} (id, time, actor, action, client_id, token_id, request_id, ip, outcome, changes, prev_hash, hash)
    SELECT id, time, actor, action, client_id, token_id, request_id, ip, outcome, changes, prev_hash, hash FROM {{table "audit_events"}} ORDER BY id;
DROP TABLE {{table "audit_events"}};
ALTER TABLE {{index "audit_events" "copied"}} RENAME TO {{table "audit_events"}};
CREATE INDEX {{index "audit_events" "by_time"}} ON {{table "audit_events"}} (time, id);
CREATE INDEX {{index "audit_events" "by_client"}} ON {{table "audit_events"}} (client_id, id);
CREATE INDEX {{index "audit_events" "by_action"}} ON {{table "audit_events"}} (action, client_id, id)
    WHERE action <> 'token.issued' AND action <> 'token.revoked';
{{- end}}
