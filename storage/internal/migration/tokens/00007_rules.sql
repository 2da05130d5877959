-- The rule by which a client got a token for an identity assertion; empty: a person has logged in.
ALTER TABLE {{table "grants"}} ADD COLUMN rule_id TEXT NOT NULL DEFAULT '';
CREATE INDEX {{index "grants" "by_rule"}} ON {{table "grants"}} (rule_id) WHERE rule_id <> '';
