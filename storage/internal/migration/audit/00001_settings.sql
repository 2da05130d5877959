-- Facts about this deployment that must never change by accident (the issuer, for one).
CREATE TABLE {{table "settings"}} (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
){{withoutRowid}};
