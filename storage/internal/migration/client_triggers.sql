-- Whatever changes of a client may change what introspection says of its tokens. No other column changes without the
-- version, save by hand.
{{- if postgres}}
CREATE FUNCTION {{function "of_changed"}}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {{table "revocations"}} AS r (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || NEW.id"}}, 'client', NEW.id, GREATEST({{clock}}, LEAST(NEW.revoked_before, {{clock}} + 315360000000)),
            GREATEST({{clock}}, LEAST(NEW.revoked_before, {{clock}} + 315360000000)))
        ON CONFLICT (position, id) DO UPDATE SET created_at = GREATEST(r.created_at, excluded.created_at),
            expires_at = GREATEST(r.expires_at, excluded.expires_at); RETURN NULL; END $$;
CREATE FUNCTION {{function "of_deleted"}}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {{table "revocations"}} AS r (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || OLD.id"}}, 'client', OLD.id, {{clock}}, {{clock}})
        ON CONFLICT (position, id) DO UPDATE SET created_at = GREATEST(r.created_at, excluded.created_at),
            expires_at = GREATEST(r.expires_at, excluded.expires_at); RETURN NULL; END $$;
CREATE FUNCTION {{function "of_secret"}}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO {{table "revocations"}} AS r (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || OLD.client_id"}}, 'client', OLD.client_id, {{clock}}, {{clock}})
        ON CONFLICT (position, id) DO UPDATE SET created_at = GREATEST(r.created_at, excluded.created_at),
            expires_at = GREATEST(r.expires_at, excluded.expires_at); RETURN NULL; END $$;
CREATE TRIGGER {{index "clients" "ended"}} AFTER UPDATE ON {{table "clients"}} FOR EACH ROW
    WHEN ((OLD.version, OLD.status, OLD.epoch, OLD.revoked_before, OLD.expires_at, OLD.scope, OLD.audience, OLD.introspects)
        IS DISTINCT FROM (NEW.version, NEW.status, NEW.epoch, NEW.revoked_before, NEW.expires_at, NEW.scope, NEW.audience, NEW.introspects))
    EXECUTE FUNCTION {{function "of_changed"}}();
CREATE TRIGGER {{index "clients" "deleted"}} AFTER DELETE ON {{table "clients"}} FOR EACH ROW
    EXECUTE FUNCTION {{function "of_deleted"}}();
CREATE TRIGGER {{index "client_secrets" "ended"}} AFTER UPDATE OF epoch ON {{table "client_secrets"}} FOR EACH ROW
    WHEN (OLD.epoch <> NEW.epoch) EXECUTE FUNCTION {{function "of_secret"}}();
CREATE TRIGGER {{index "client_secrets" "deleted"}} AFTER DELETE ON {{table "client_secrets"}} FOR EACH ROW
    WHEN (OLD.epoch <> 0) EXECUTE FUNCTION {{function "of_secret"}}();
{{- else}}
CREATE TRIGGER {{index "clients" "ended"}} AFTER UPDATE ON {{table "clients"}}
    WHEN (OLD.version, OLD.status, OLD.epoch, OLD.revoked_before, OLD.expires_at, OLD.scope, OLD.audience, OLD.introspects)
        IS NOT (NEW.version, NEW.status, NEW.epoch, NEW.revoked_before, NEW.expires_at, NEW.scope, NEW.audience, NEW.introspects)
    BEGIN INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || NEW.id"}}, 'client', NEW.id, MAX({{clock}}, MIN(NEW.revoked_before, {{clock}} + 315360000000)),
        MAX({{clock}}, MIN(NEW.revoked_before, {{clock}} + 315360000000))); END;
CREATE TRIGGER {{index "clients" "deleted"}} AFTER DELETE ON {{table "clients"}}
    BEGIN INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || OLD.id"}}, 'client', OLD.id, {{clock}}, {{clock}}); END;
CREATE TRIGGER {{index "client_secrets" "ended"}} AFTER UPDATE OF epoch ON {{table "client_secrets"}}
    WHEN OLD.epoch <> NEW.epoch
    BEGIN INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || NEW.client_id"}}, 'client', NEW.client_id, {{clock}}, {{clock}}); END;
CREATE TRIGGER {{index "client_secrets" "deleted"}} AFTER DELETE ON {{table "client_secrets"}}
    WHEN OLD.epoch <> 0
    BEGIN INSERT INTO {{table "revocations"}} (position, id, kind, name, created_at, expires_at)
        VALUES ({{next}}, {{digest "'client ' || OLD.client_id"}}, 'client', OLD.client_id, {{clock}}, {{clock}}); END;
{{- end}}
