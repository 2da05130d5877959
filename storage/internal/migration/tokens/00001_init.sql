-- Lists (scope, audience, …) are separated by spaces. All times are Unix milliseconds, UTC.
-- The parent of everything that one consent (authorization code) has led to. Its id is fosite's request id.
CREATE TABLE {{table "grants"}} (
    id         TEXT PRIMARY KEY,
    client_id  TEXT NOT NULL,
    subject    TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX {{index "grants" "by_subject"}} ON {{table "grants"}} (subject, client_id);
CREATE INDEX {{index "grants" "by_expiry"}} ON {{table "grants"}} (expires_at);

-- signature is the SHA-256 of the token's signature: what is stored here opens nothing.
CREATE TABLE {{table "access_tokens"}} (
    signature          {{bytes}} PRIMARY KEY,
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
CREATE INDEX {{index "access_tokens" "by_request"}} ON {{table "access_tokens"}} (request_id);
CREATE INDEX {{index "access_tokens" "by_client"}} ON {{table "access_tokens"}} (client_id, issued_at);
CREATE INDEX {{index "access_tokens" "by_expiry"}} ON {{table "access_tokens"}} (expires_at);

CREATE TABLE {{table "refresh_tokens"}} (
    signature          {{bytes}} PRIMARY KEY,
    access_signature   {{bytes}},
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
CREATE INDEX {{index "refresh_tokens" "by_request"}} ON {{table "refresh_tokens"}} (request_id);
CREATE INDEX {{index "refresh_tokens" "by_client"}} ON {{table "refresh_tokens"}} (client_id, issued_at);
CREATE INDEX {{index "refresh_tokens" "by_expiry"}} ON {{table "refresh_tokens"}} (expires_at);

-- One table for what lives minutes around a login: authorization codes, their PKCE and OpenID Connect
-- halves, and pushed authorization requests.
CREATE TABLE {{table "authorize_sessions"}} (
    kind               TEXT NOT NULL,   -- code | pkce | openid | par | kept | cleanup | write_check
    signature          {{bytes}} NOT NULL,
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
CREATE INDEX {{index "authorize_sessions" "by_expiry"}} ON {{table "authorize_sessions"}} (expires_at);

-- Assertions (RFC 7523) that have been used; the hash covers the jti as the store was given it.
CREATE TABLE {{table "used_assertions"}} (
    jti_hash   {{bytes}} PRIMARY KEY,
    expires_at BIGINT NOT NULL
){{withoutRowid}};
CREATE INDEX {{index "used_assertions" "by_expiry"}} ON {{table "used_assertions"}} (expires_at);

-- Keys of issuers trusted for the RFC 7523 authorization grant.
CREATE TABLE {{table "trusted_keys"}} (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    key_id     TEXT NOT NULL,
    jwk        TEXT NOT NULL,
    scope      TEXT NOT NULL DEFAULT '',
    expires_at BIGINT,
    PRIMARY KEY (issuer, subject, key_id)
){{withoutRowid}};
