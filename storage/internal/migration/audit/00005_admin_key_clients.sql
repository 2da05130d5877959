-- The only clients that the key may see and change; empty: all.
ALTER TABLE {{table "admin_keys"}} ADD COLUMN clients TEXT NOT NULL DEFAULT '';
