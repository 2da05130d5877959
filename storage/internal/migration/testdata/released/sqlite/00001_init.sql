-- +goose Up

-- Facts about this deployment that must never change by accident (the issuer, for one).
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Lists (scope, grant_types, …) are separated by spaces. All times are Unix milliseconds, UTC.
CREATE TABLE clients (
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
CREATE INDEX clients_by_creation ON clients (created_at, id);

CREATE TABLE client_secrets (
    id           TEXT PRIMARY KEY,
    client_id    TEXT NOT NULL REFERENCES clients (id),
    hash         TEXT NOT NULL,                  -- empty once deleted
    hint         TEXT NOT NULL DEFAULT '',       -- last four characters
    epoch        BIGINT NOT NULL DEFAULT 0,      -- raised to kill every token issued with this secret
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT,
    deleted_at   BIGINT,
    ends_others  BIGINT NOT NULL DEFAULT 0       -- 1: its first use ends the client's other secrets
);
CREATE INDEX client_secrets_by_client ON client_secrets (client_id);

-- The parent of everything that one consent (authorization code) has led to. Its id is fosite's request id.
CREATE TABLE grants (
    id         TEXT PRIMARY KEY,
    client_id  TEXT NOT NULL,
    subject    TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX grants_by_subject ON grants (subject, client_id);
CREATE INDEX grants_by_expiry ON grants (expires_at);

-- signature is the SHA-256 of the token's signature: what is stored here opens nothing.
CREATE TABLE access_tokens (
    signature          BLOB PRIMARY KEY,
    request_id         TEXT NOT NULL,
    client_id          TEXT NOT NULL,
    secret_id          TEXT,
    epoch              BIGINT NOT NULL,
    subject            TEXT,
    scope              TEXT NOT NULL,
    audience           TEXT NOT NULL,
    requested_scope    TEXT,            -- NULL: the same as granted
    requested_audience TEXT,
    form               TEXT,
    session_type       TEXT,            -- NULL: the store's own default
    session            TEXT,
    issued_at          BIGINT NOT NULL,
    expires_at         BIGINT,
    revoked_at         BIGINT,
    last_used_at       BIGINT
);
CREATE INDEX access_tokens_by_request ON access_tokens (request_id);
CREATE INDEX access_tokens_by_client ON access_tokens (client_id, issued_at);
CREATE INDEX access_tokens_by_expiry ON access_tokens (expires_at);

CREATE TABLE refresh_tokens (
    signature          BLOB PRIMARY KEY,
    access_signature   BLOB,
    request_id         TEXT NOT NULL,
    client_id          TEXT NOT NULL,
    secret_id          TEXT,
    epoch              BIGINT NOT NULL,
    subject            TEXT,
    scope              TEXT NOT NULL,
    audience           TEXT NOT NULL,
    requested_scope    TEXT,
    requested_audience TEXT,
    form               TEXT,
    session_type       TEXT,
    session            TEXT,
    issued_at          BIGINT NOT NULL,
    expires_at         BIGINT,
    revoked_at         BIGINT,
    rotated_at         BIGINT
);
CREATE INDEX refresh_tokens_by_request ON refresh_tokens (request_id);
CREATE INDEX refresh_tokens_by_client ON refresh_tokens (client_id, issued_at);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);

-- One table for what lives minutes around a login: authorization codes, their PKCE and OpenID Connect
-- halves, and pushed authorization requests.
CREATE TABLE authorize_sessions (
    kind               TEXT NOT NULL,   -- code | pkce | openid | par
    signature          BLOB NOT NULL,
    request_id         TEXT NOT NULL,
    client_id          TEXT NOT NULL,
    secret_id          TEXT,
    epoch              BIGINT NOT NULL,
    subject            TEXT,
    scope              TEXT NOT NULL,
    audience           TEXT NOT NULL,
    requested_scope    TEXT,
    requested_audience TEXT,
    form               TEXT,
    session_type       TEXT,
    session            TEXT,
    details            TEXT,            -- what only this kind knows, as JSON
    issued_at          BIGINT NOT NULL,
    expires_at         BIGINT,
    used_at            BIGINT,
    PRIMARY KEY (kind, signature)
);
CREATE INDEX authorize_sessions_by_expiry ON authorize_sessions (expires_at);

-- Assertions (RFC 7523) that have been used; the hash covers the jti as the store was given it.
CREATE TABLE used_assertions (
    jti_hash   BLOB PRIMARY KEY,
    expires_at BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);

-- Keys of issuers trusted for the RFC 7523 authorization grant.
CREATE TABLE trusted_keys (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    jwk        TEXT NOT NULL,
    scope      TEXT NOT NULL DEFAULT '',
    expires_at BIGINT,
    PRIMARY KEY (issuer, subject, key_id)
) WITHOUT ROWID;
