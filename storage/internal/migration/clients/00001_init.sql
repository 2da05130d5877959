-- Lists (scope, grant_types, …) are separated by spaces. All times are Unix milliseconds, UTC.
CREATE TABLE {{table "clients"}} (
    id                              TEXT PRIMARY KEY,
    name                            TEXT NOT NULL DEFAULT '',
    owner                           TEXT NOT NULL DEFAULT '',
    status                          TEXT NOT NULL DEFAULT 'active', -- active | disabled | deleted
    scope                           TEXT NOT NULL DEFAULT '',
    audience                        TEXT NOT NULL DEFAULT '',
    introspects                     TEXT NOT NULL DEFAULT '',
    grant_types                     TEXT NOT NULL DEFAULT '',
    response_types                  TEXT NOT NULL DEFAULT '',
    redirect_uris                   TEXT NOT NULL DEFAULT '',
    token_endpoint_auth_method      TEXT NOT NULL DEFAULT '',
    token_endpoint_auth_signing_alg TEXT NOT NULL DEFAULT '',
    jwks                            TEXT NOT NULL DEFAULT '',
    jwks_uri                        TEXT NOT NULL DEFAULT '',
    access_token_lifespan           BIGINT NOT NULL DEFAULT 0,      -- seconds; 0: the server's
    metadata                        TEXT NOT NULL DEFAULT '',       -- a JSON object
    epoch                           BIGINT NOT NULL DEFAULT 0,      -- raised to kill every token issued so far
    revoked_before                  BIGINT NOT NULL DEFAULT 0,      -- kills tokens issued before this time
    version                         BIGINT NOT NULL DEFAULT 1,      -- raised by every change; the ETag
    created_at                      BIGINT NOT NULL,
    updated_at                      BIGINT NOT NULL,
    expires_at                      BIGINT,
    last_used_at                    BIGINT
);
CREATE INDEX {{index "clients" "by_creation"}} ON {{table "clients"}} (created_at, id);

CREATE TABLE {{table "client_secrets"}} (
    id           TEXT PRIMARY KEY,
    client_id    TEXT NOT NULL,
    hash         TEXT NOT NULL,                  -- empty once deleted
    hint         TEXT NOT NULL DEFAULT '',       -- last four characters
    epoch        BIGINT NOT NULL DEFAULT 0,      -- raised to kill every token issued with this secret
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    deleted_at   BIGINT,
    ends_others  BIGINT NOT NULL DEFAULT 0,      -- 1: its first use ends the client's other secrets
    CONSTRAINT {{foreignKey "client_secrets" "Client"}} FOREIGN KEY (client_id) REFERENCES {{table "clients"}} (id)
);
CREATE INDEX {{index "client_secrets" "by_client"}} ON {{table "client_secrets"}} (client_id);
