-- Both name refresh tokens by their signature column. A grant's last_rotated becomes the predecessor of what is stored next.
ALTER TABLE {{table "grants"}} ADD COLUMN last_rotated {{bytes}};
ALTER TABLE {{table "refresh_tokens"}} ADD COLUMN predecessor {{bytes}};
ALTER TABLE {{table "refresh_tokens"}} ADD COLUMN grace_answers BIGINT NOT NULL DEFAULT 0; -- uses after the rotation that were answered
