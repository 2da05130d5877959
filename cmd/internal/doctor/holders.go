package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"
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
	list, more, err := e.store.Clients().List(ctx, clients.Filter{ExpiresBefore: e.now().Add(soon), Limit: countedClients})
	if err != nil {
		return unreadable(err)
	}
	var ending []string
	for _, c := range list {
		full, err := e.store.Clients().Find(ctx, c.ID)
		if err != nil {
			return unreadable(err)
		}
		if endsBy(full, e.now(), e.now().Add(soon)) {
			ending = append(ending, c.ID)
		}
	}
	if len(ending) == 0 {
		return ok("no client ends within 14 days")
	}
	count := fmt.Sprint(len(ending))
	if more {
		count = "more than " + count
	}
	named := strings.Join(ending[:min(len(ending), namedClients)], ", ")
	if len(ending) > namedClients {
		named += ", …"
	}
	return warning("fosite-mcp client list --expires-within 14d lists them; fosite-mcp client rotate ID makes a new secret",
		"%s clients end within 14 days, or the last secret of theirs does: %s", count, named)
}

// endsBy tells whether a client ends until then: itself, or the last secret that it authenticates with.
func endsBy(c *client.Client, now, until time.Time) bool {
	ends := func(t time.Time) bool { return !t.IsZero() && !t.After(until) }
	if c.StatusAt(now) != client.Active || !c.UsesSecret() {
		return c.StatusAt(now) == client.Active && ends(c.ExpiresAt)
	}
	lasts := slices.ContainsFunc(c.Secrets, func(s client.Secret) bool { return !ends(s.ExpiresAt) })
	return ends(c.ExpiresAt) || len(c.Secrets) > 0 && !lasts
}
