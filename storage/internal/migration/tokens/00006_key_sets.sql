-- The signing keys of JWT access tokens. Private halves in it are encrypted.
CREATE TABLE {{table "key_sets"}} (
    name     TEXT PRIMARY KEY,
    revision BIGINT NOT NULL, -- raised with each change
    keys     TEXT NOT NULL
);
