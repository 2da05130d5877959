package authserver

import (
	"context"

	"fosite-mcp/handlers"
)

// revocations is the store's feed of what has ended.
func (p *parts) revocations() *handlers.Revocations {
	return &handlers.Revocations{
		Read: func(ctx context.Context, cursor string, resources []string, limit int) (page handlers.RevocationPage, err error) {
			found, err := p.store.Revocations(ctx, cursor, resources, limit)
			if err != nil {
				return page, err
			}
			page = handlers.RevocationPage{Cursor: found.Cursor, More: found.More, Reset: found.Reset}
			for _, ended := range found.Revocations {
				page.Revocations = append(page.Revocations, handlers.RevocationEntry(ended))
			}
			return page, nil
		},
		Changed:  p.store.HasRevocations,
		Stopping: p.stopping,
	}
}
