package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/provider"
)

// soon is how long before an end it is told.
const soon = 14 * 24 * time.Hour

// checkEnd judges the end of a certificate; nil: it is far away.
func (e *examination) checkEnd(end time.Time, what string) []Finding {
	const remedy = "renew it; a server serves new files without a restart"
	switch now := e.now(); {
	case !end.After(now):
		return problem(remedy, "%s has ended on %s", what, day(end))
	case end.Before(now.Add(soon)):
		return warning(remedy, "%s ends on %s", what, day(end))
	}
	return nil
}

func checkIssuer(ctx context.Context, e *examination) []Finding {
	if e.Config.Issuer == "" {
		return ok("the issuer follows from the port, which the system chooses")
	}
	if err := authserver.CheckIssuer(ctx, e.store, e.Config.Issuer); err != nil {
		return problem("set issuer (or public_url) back, or start with an empty database", "%v", err)
	}
	return ok("the database is one of %s", e.Config.Issuer)
}

// checkSecrets says whether earlier system secrets may go.
func checkSecrets(ctx context.Context, e *examination) []Finding {
	if authserver.CheckDataDir(e.Config) != nil {
		return nil // which is a finding about files
	}
	found, err := authserver.InspectSecrets(ctx, e.store, e.Config)
	if err != nil {
		return problem("give this server the system secret that the others have; docs/operations.md (Secrets) says how one is replaced", "%v", err)
	}
	if found.Previous == 0 {
		return ok("system_secrets_previous is empty")
	}
	what := fmt.Sprintf("system_secrets_previous holds %d", found.Previous)
	switch {
	case !found.Adopted:
		return warning("start every replica with it, then run this again", "%s, and no server has started with the current system_secret yet", what)
	case found.Since.IsZero():
		return warning("keep what is the next secret of a roll-out; take an earlier one out once the longest life of a token has passed since every replica has started without it as system_secret",
			"%s, and since when the current one is in use is not on record", what)
	}
	end, err := e.store.LastTokenEndOf(ctx, found.Since)
	if err != nil {
		return unreadable(err)
	}
	since := fmt.Sprintf("%s; the current one is in use since %s", what, day(found.Since))
	if end.After(e.now()) {
		return warning("keep the one before until then", "%s, and tokens from before live until %s at the latest", since, day(end))
	}
	return warning("take the one before out of system_secrets_previous, once every replica has started with the current one; keep what is the next one of a roll-out",
		"%s, and no token from before lives", since)
}

func checkSigningKeys(ctx context.Context, e *examination) []Finding {
	keys, err := provider.ListSigningKeys(ctx, e.store)
	if err != nil {
		return unreadable(err)
	}
	i := slices.IndexFunc(keys, func(k provider.SigningKey) bool { return k.State == provider.KeyCurrent })
	switch {
	case !e.Config.IssuesJWT() && i < 0:
		return ok("all tokens are opaque")
	case i < 0:
		return warning("start the server: it makes them", "there are no signing keys yet")
	case !e.Config.IssuesJWT():
		return ok("tokens are opaque; %d keys verify those of before", len(keys))
	}
	found := fmt.Sprintf("the key %s signs since %s", keys[i].ID, day(keys[i].SignsSince))
	life := e.Config.Tokens.KeyLifespan
	if life == 0 {
		return ok("%s, and is replaced by hand (fosite-mcp key rotate)", found)
	}
	due := keys[i].SignsSince.Add(life)
	if due.Add(time.Hour).Before(e.now()) {
		return warning("start the server, which replaces it; if it runs, look for errors about signing keys in its log", "%s, and should have been replaced on %s", found, day(due))
	}
	return ok("%s, and is replaced on %s", found, day(due))
}
