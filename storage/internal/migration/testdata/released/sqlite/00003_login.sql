-- +goose Up

-- Local accounts. The id is the subject of a person's tokens; it is random, so that a new account of an old name is
-- somebody else.
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL UNIQUE,     -- lower case
    password_hash TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    disabled_at   BIGINT
);

CREATE TABLE user_groups (
    user_id TEXT NOT NULL REFERENCES users (id),
    name    TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
) WITHOUT ROWID;

-- What a person has allowed a client, one row for each scope at each resource. The names are those that the person saw.
CREATE TABLE consents (
    subject     TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    resource    TEXT NOT NULL,
    scope       TEXT NOT NULL,
    username    TEXT NOT NULL,
    client_name TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, client_id, resource, scope)
) WITHOUT ROWID;
CREATE INDEX consents_by_client ON consents (client_id);
CREATE INDEX consents_by_username ON consents (username);

-- Browsers that somebody is logged in with. token_hash is the SHA-256 of the cookie.
CREATE TABLE login_sessions (
    token_hash BLOB PRIMARY KEY,
    subject    TEXT NOT NULL,
    data       TEXT NOT NULL,               -- JSON of the login package
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,             -- coarse
    expires_at BIGINT NOT NULL
);
CREATE INDEX login_sessions_by_subject ON login_sessions (subject);
CREATE INDEX login_sessions_by_expiry ON login_sessions (expires_at);
