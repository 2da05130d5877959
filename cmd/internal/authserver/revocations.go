package authserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"fosite-mcp/config"
	"fosite-mcp/handlers"
	"fosite-mcp/storage"
)

// revocations is the store's feed of what has ended. Its cursors begin with a digest of the settings that decide what introspection
// says of a token: where they have changed, what services keep is no longer sure.
func (p *parts) revocations() (*handlers.Revocations, error) {
	settings, err := digest(p.cfg)
	if err != nil {
		return nil, err
	}
	return &handlers.Revocations{
		Read: func(ctx context.Context, cursor string, resources []string, limit int) (page handlers.RevocationPage, err error) {
			found, err := p.store.Revocations(ctx, ofStore(cursor, settings), resources, limit)
			if err != nil {
				return page, err
			}
			page = handlers.RevocationPage{Cursor: settings + found.Cursor, More: found.More, Reset: found.Reset}
			for _, ended := range found.Revocations {
				page.Revocations = append(page.Revocations, handlers.RevocationEntry(ended))
			}
			return page, nil
		},
		Changed: func(ctx context.Context, cursor string) (changed bool, now string, err error) {
			changed, now, err = p.store.HasRevocations(ctx, ofStore(cursor, settings))
			return changed, settings + now, err
		},
		Stopping: p.end.closing,
	}, nil
}

// digest is the part of a cursor that the settings decide.
func digest(cfg config.Config) (string, error) {
	encoded, err := json.Marshal([]any{cfg.Scopes, cfg.Resources, cfg.DefaultResource, cfg.Login.GroupsMaxAge,
		cfg.Registration.MetadataDocuments, cfg.Registration.DocumentHosts, cfg.Registration.DeniedHosts})
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:4]) + "-", err
}

// ofStore is the store's part of a cursor. The store knows none that other settings have made.
func ofStore(cursor, settings string) string {
	if cursor == "" || cursor == storage.FromNow {
		return cursor
	}
	rest, ok := strings.CutPrefix(cursor, settings)
	if !ok || rest == "" || rest == storage.FromNow {
		return "of other settings"
	}
	return rest
}
