package authserver

import (
	"context"
	"strconv"

	"fosite-mcp/handlers/admin"
	"fosite-mcp/handlers/admin/console"
	"fosite-mcp/storage"

	"github.com/gorilla/mux"
)

// mountConsole adds the admin console to the listener of api, unless it is switched off.
func (p *parts) mountConsole(root *mux.Router, api *admin.API) error {
	if !p.cfg.Admin.Console {
		return nil
	}
	pages := &console.Console{API: api, Secure: p.cfg.AdminTLS(), Health: p.health(), About: p.about}
	return pages.Mount(root)
}

// about is what the console tells of the program.
func (s *Instance) about(ctx context.Context, store *storage.Store) ([]console.Fact, error) {
	migrations, err := store.Migrations(ctx)
	if err != nil {
		return nil, err
	}
	return []console.Fact{
		{Name: "Version", Value: s.Version}, {Name: "Revision", Value: s.Revision},
		{Name: "Database schema", Value: strconv.FormatInt(migrations[len(migrations)-1].Version, 10)},
	}, nil
}
