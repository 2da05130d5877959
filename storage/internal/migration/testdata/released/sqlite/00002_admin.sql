-- +goose Up

-- Events are chained: each hash covers the event and the hash before it. Nothing here is ever updated.
CREATE TABLE audit_events (
    id         BIGINT PRIMARY KEY,          -- 1, 2, 3, … in the order of commit
    time       BIGINT NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    client_id  TEXT NOT NULL DEFAULT '',
    token_id   TEXT NOT NULL DEFAULT '',
    request_id TEXT NOT NULL DEFAULT '',
    ip         TEXT NOT NULL DEFAULT '',
    outcome    TEXT NOT NULL,
    changes    TEXT NOT NULL DEFAULT '',    -- a JSON object, kept byte by byte because it is hashed
    prev_hash  BLOB NOT NULL,
    hash       BLOB NOT NULL
);
CREATE INDEX audit_events_by_time ON audit_events (time, id);
CREATE INDEX audit_events_by_client ON audit_events (client_id, id);

-- One row: the newest event, and the last one that was pruned. Its lock is what makes the chain linear.
CREATE TABLE audit_chain (
    chain       TEXT PRIMARY KEY,
    last_id     BIGINT NOT NULL,
    last_hash   BLOB NOT NULL,
    pruned_id   BIGINT NOT NULL,
    pruned_hash BLOB NOT NULL
);
INSERT INTO audit_chain (chain, last_id, last_hash, pruned_id, pruned_hash) VALUES ('main', 0, zeroblob(32), 0, zeroblob(32));

-- What was answered to a request with an Idempotency-Key. status 0: still running.
CREATE TABLE idempotency_keys (
    key_hash      BLOB PRIMARY KEY,
    request_hash  BLOB NOT NULL,
    claim         TEXT NOT NULL,            -- who runs it
    claimed_until BIGINT NOT NULL,          -- when a claim without an answer counts as abandoned
    status        BIGINT NOT NULL DEFAULT 0,
    headers       TEXT NOT NULL DEFAULT '',
    body          TEXT NOT NULL DEFAULT '', -- without the secret
    sealed        BLOB,                     -- with the secret, encrypted; NULL once too old to be shown again
    completed_at  BIGINT,
    expires_at    BIGINT NOT NULL
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
CREATE INDEX idempotency_keys_sealed ON idempotency_keys (completed_at) WHERE sealed IS NOT NULL;

-- Names are never reused: they are the actors of audit events.
CREATE TABLE admin_keys (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    hash         BLOB NOT NULL UNIQUE,      -- SHA-256 of the key
    hint         TEXT NOT NULL DEFAULT '',  -- last four characters
    role         TEXT NOT NULL,             -- read | clients | admin
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    last_used_at BIGINT
);

-- 1: an imported hash that takes long to compare.
ALTER TABLE client_secrets ADD COLUMN slow BIGINT NOT NULL DEFAULT 0;
CREATE INDEX client_secrets_slow ON client_secrets (client_id) WHERE slow = 1;
UPDATE client_secrets SET slow = 1 WHERE hash <> '' AND hash NOT LIKE '$sha256$%';
