-- +goose Up

-- Both name refresh tokens by their signature column. A grant's last_rotated becomes the predecessor of what is stored next.
ALTER TABLE grants ADD COLUMN last_rotated BYTEA;
ALTER TABLE refresh_tokens ADD COLUMN predecessor BYTEA;
ALTER TABLE refresh_tokens ADD COLUMN grace_answers BIGINT NOT NULL DEFAULT 0; -- uses after the rotation that were answered
