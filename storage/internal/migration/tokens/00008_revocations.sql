-- The feed that tells services what has ended. position: SQLite 1, 2, 3, …; PostgreSQL the id of the transaction.
CREATE TABLE {{table "revocations"}} (
    position   BIGINT NOT NULL,
    id         {{bytes}} NOT NULL,          -- the signature column of the token, or a digest
    kind       TEXT NOT NULL,               -- token | grant | client
    name       TEXT NOT NULL,               -- of a token empty; the id of the grant or client
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (position, id)
){{withoutRowid}};
CREATE INDEX {{index "revocations" "by_expiry"}} ON {{table "revocations"}} (expires_at);

-- Triggers write the feed, so that nothing that ends tokens can forget it. A grant that is prolonged after its end may have got
-- another token. A client's tokens end up to revoked_before, which counts for ten years at most.
{{- if postgres}}
CREATE FUNCTION {{function "of_token"}}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, NEW.signature, 'token', '', NEW.revoked_at, NEW.expires_at + 3600000)
        ON CONFLICT DO NOTHING; RETURN NULL; END $$;
CREATE FUNCTION {{function "of_grant"}}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'grant ' || NEW.id"}}, 'grant', NEW.id, NEW.revoked_at, NEW.revoked_at)
        ON CONFLICT DO NOTHING; RETURN NULL; END $$;
CREATE FUNCTION {{function "of_client"}}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {{table "revocations"}} AS r (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || NEW.id"}}, 'client', NEW.id, GREATEST({{clock}}, LEAST(NEW.revoked_before, {{clock}} + 315360000000)),
            GREATEST({{clock}}, LEAST(NEW.revoked_before, {{clock}} + 315360000000)))
        ON CONFLICT (position, id) DO UPDATE SET created_at = GREATEST(r.created_at, excluded.created_at),
            expires_at = GREATEST(r.expires_at, excluded.expires_at); RETURN NULL; END $$;
CREATE TRIGGER {{index "access_tokens" "ended"}} AFTER UPDATE OF revoked_at ON {{table "access_tokens"}} FOR EACH ROW
    WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION {{function "of_token"}}();
CREATE TRIGGER {{index "grants" "ended"}} AFTER UPDATE OF revoked_at, expires_at ON {{table "grants"}} FOR EACH ROW
    WHEN (NEW.revoked_at IS NOT NULL) EXECUTE FUNCTION {{function "of_grant"}}();
CREATE TRIGGER {{index "client_revocations" "noted"}} AFTER INSERT ON {{table "client_revocations"}} FOR EACH ROW
    EXECUTE FUNCTION {{function "of_client"}}();
CREATE TRIGGER {{index "client_revocations" "ended"}} AFTER UPDATE ON {{table "client_revocations"}} FOR EACH ROW
    EXECUTE FUNCTION {{function "of_client"}}();
{{- else}}
CREATE TRIGGER {{index "access_tokens" "ended"}} AFTER UPDATE OF revoked_at ON {{table "access_tokens"}}
    WHEN OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL
    BEGIN INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, NEW.signature, 'token', '', NEW.revoked_at, NEW.expires_at + 3600000); END;
CREATE TRIGGER {{index "grants" "ended"}} AFTER UPDATE OF revoked_at, expires_at ON {{table "grants"}}
    WHEN NEW.revoked_at IS NOT NULL
    BEGIN INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'grant ' || NEW.id"}}, 'grant', NEW.id, NEW.revoked_at, NEW.revoked_at); END;
CREATE TRIGGER {{index "client_revocations" "noted"}} AFTER INSERT ON {{table "client_revocations"}}
    BEGIN INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || NEW.id"}}, 'client', NEW.id, MAX({{clock}}, MIN(NEW.revoked_before, {{clock}} + 315360000000)),
        MAX({{clock}}, MIN(NEW.revoked_before, {{clock}} + 315360000000))); END;
CREATE TRIGGER {{index "client_revocations" "ended"}} AFTER UPDATE ON {{table "client_revocations"}}
    BEGIN INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || NEW.id"}}, 'client', NEW.id, MAX({{clock}}, MIN(NEW.revoked_before, {{clock}} + 315360000000)),
        MAX({{clock}}, MIN(NEW.revoked_before, {{clock}} + 315360000000))); END;
{{- end}}

-- What has ended before, for whoever reads from the beginning. The triggers come first: they wait for what is under way.
INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
    SELECT {{first}}, signature, 'token', '', revoked_at, expires_at + 3600000 FROM {{table "access_tokens"}} WHERE revoked_at IS NOT NULL
    ON CONFLICT DO NOTHING;
INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
    SELECT {{first}}, {{digest "'grant ' || id"}}, 'grant', id, revoked_at, revoked_at FROM {{table "grants"}} WHERE revoked_at IS NOT NULL
    ON CONFLICT DO NOTHING;
INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
    SELECT {{first}}, {{digest "'client ' || id"}}, 'client', id, {{clock}}, {{clock}} FROM {{table "client_revocations"}} WHERE TRUE
    ON CONFLICT DO NOTHING;
{{- if .ClientsFirst}}
{{template "client_triggers.sql" .}}
{{- end}}
