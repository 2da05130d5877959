-- Local accounts. The id is the subject of a person's tokens; it is random, so that a new account of an old name is
-- somebody else.
CREATE TABLE {{table "users"}} (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL,            -- lower case
    password_hash TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    disabled_at   BIGINT,
    CONSTRAINT {{unique "users" "username"}} UNIQUE (username)
);

CREATE TABLE {{table "user_groups"}} (
    user_id TEXT NOT NULL,
    name    TEXT NOT NULL,
    PRIMARY KEY (user_id, name),
    CONSTRAINT {{foreignKey "user_groups" "User"}} FOREIGN KEY (user_id) REFERENCES {{table "users"}} (id)
){{withoutRowid}};

-- What a person has allowed a client, one row for each scope at each resource. The names are those that the person saw.
CREATE TABLE {{table "consents"}} (
    subject     TEXT NOT NULL,
    client_id   TEXT NOT NULL,
    resource    TEXT NOT NULL,
    scope       TEXT NOT NULL,
    username    TEXT NOT NULL,
    client_name TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (subject, client_id, resource, scope)
){{withoutRowid}};
CREATE INDEX {{index "consents" "by_client"}} ON {{table "consents"}} (client_id);
CREATE INDEX {{index "consents" "by_username"}} ON {{table "consents"}} (username);

-- Browsers that somebody is logged in with. token_hash is the SHA-256 of the cookie.
CREATE TABLE {{table "login_sessions"}} (
    token_hash {{bytes}} PRIMARY KEY,
    subject    TEXT NOT NULL,
    data       TEXT NOT NULL,               -- JSON of the login package
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,             -- coarse
    expires_at BIGINT NOT NULL
);
CREATE INDEX {{index "login_sessions" "by_subject"}} ON {{table "login_sessions"}} (subject);
CREATE INDEX {{index "login_sessions" "by_expiry"}} ON {{table "login_sessions"}} (expires_at);
