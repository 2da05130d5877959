package doctor

import (
	"context"
	"fmt"
	"strings"

	"fosite-mcp/storage/audit"
)

func checkAdminKeys(ctx context.Context, e *examination) []Finding {
	keys, err := e.store.AdminKeys().List(ctx)
	if err != nil {
		return unreadable(err)
	}
	const remedy = "fosite-mcp admin-key create --name NAME --role admin --key-file FILE"
	working, admins, ending := map[audit.Role]int{}, 0, []string{}
	for _, key := range keys {
		if key.Status(e.now()) != "active" {
			continue
		}
		working[key.Role]++
		if key.Role != audit.RoleAdmin {
			continue
		}
		admins++
		if !key.ExpiresAt.IsZero() && key.ExpiresAt.Before(e.now().Add(soon)) {
			ending = append(ending, key.Name)
		}
	}
	switch {
	case len(keys) == 0:
		return warning("start the server: its first start makes one", "there are no admin keys yet")
	case len(working) == 0:
		return problem(remedy, "none of the %d admin keys works: all have expired or were revoked", len(keys))
	case admins == 0:
		return warning(remedy, "no admin key of role admin works (%s)", roles(working))
	case admins == len(ending):
		return warning(remedy, "every admin key of role admin ends within 14 days: %s", strings.Join(ending, ", "))
	}
	return ok("admin keys that work: %s", roles(working))
}

func roles(working map[audit.Role]int) string {
	var list []string
	for _, role := range []audit.Role{audit.RoleAdmin, audit.RoleClients, audit.RolePeople, audit.RoleRead} {
		if n := working[role]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, role))
		}
	}
	return strings.Join(list, ", ")
}

// namedClients is how many clients a finding names; countedClients is how many it counts.
const (
	namedClients   = 3
	countedClients = 1000
)

// checkClients names clients that end soon, by themselves or with a last secret.
func checkClients(ctx context.Context, e *examination) []Finding {
	ending, err := e.store.Clients().ListEnding(ctx, soon, countedClients+1)
	if err != nil {
		return unreadable(err)
	}
	if len(ending) == 0 {
		return ok("no client ends within 14 days")
	}
	count := fmt.Sprint(len(ending))
	if len(ending) > countedClients {
		count = fmt.Sprintf("more than %d", countedClients)
	}
	named := strings.Join(ending[:min(len(ending), namedClients)], ", ")
	if len(ending) > namedClients {
		named += ", …"
	}
	return warning("fosite-mcp client list --expires-within 14d lists them; fosite-mcp client rotate ID makes a new secret",
		"%s clients end within 14 days, or the last secret of theirs does: %s", count, named)
}
