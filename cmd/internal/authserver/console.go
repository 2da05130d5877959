package authserver

import (
	"context"
	"strconv"

	"fosite-mcp/config"
	"fosite-mcp/handlers/admin"
	"fosite-mcp/handlers/admin/console"
	"fosite-mcp/handlers/login"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/gorilla/mux"
)

// mountConsole adds the admin console to the listener of api, unless it is switched off.
func (p *parts) mountConsole(root *mux.Router, api *admin.API) error {
	if !p.cfg.Admin.Console {
		return nil
	}
	pages := &console.Console{
		API: api, Health: p.health(), About: p.about, Provider: p.consoleProvider(),
		Secure: p.cfg.AdminTLS(), Origin: p.cfg.Admin.ConsoleURL,
	}
	return pages.Mount(root)
}

// consoleProvider lets the groups of a provider in; nil: none.
func (p *parts) consoleProvider() *console.Provider {
	if len(p.cfg.Admin.ConsoleGroups) == 0 {
		return nil
	}
	key, previous := p.secrets.keys("console")
	provider := &console.Provider{Login: login.NewProvider(upstream(p.cfg), p.cfg.Admin.ConsoleURL+console.CallbackPath, key, previous, nil)}
	for _, entry := range p.cfg.Admin.ConsoleGroups {
		group, role := config.ConsoleRole(entry)
		provider.Roles = append(provider.Roles, console.GroupRole{Group: group, Role: audit.Role(role)})
	}
	return provider
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
