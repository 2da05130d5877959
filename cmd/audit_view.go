package cmd

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/console"
)

// auditActions is everything that is put on record.
var auditActions = []string{
	"admin.login_failed", "admin_key.created", "admin_key.replaced", "admin_key.revoked", "audit.pruned", "authorization_code.reused",
	"client.changed", "client.deleted", "client.disabled", "client.enabled", "client.login_failed", "client.registered",
	"consent.granted", "consent.withdrawn", "refresh_token.reused", "secret.created", "secret.deleted", "secret.previous_ended",
	"token.issued", "token.revoked", "tokens.revoked",
	"user.created", "user.deleted", "user.disabled", "user.enabled", "user.groups_changed", "user.logged_in", "user.login_failed", "user.password_changed",
}

func checkAction(action string) error {
	if action == "" || slices.Contains(auditActions, action) {
		return nil
	}
	return console.BadUsage("--action: there is no action %q; there are:\n  %s", action, strings.Join(auditActions, "\n  "))
}

// auditView is what is shown of an event.
type auditView struct {
	ID       int64                      `json:"id"`
	Time     *time.Time                 `json:"time"`
	Actor    string                     `json:"actor"`
	Action   string                     `json:"action"`
	ClientID string                     `json:"client_id"`
	TokenID  string                     `json:"token_id"`
	IP       string                     `json:"ip"`
	Outcome  string                     `json:"outcome"`
	Changes  map[string]json.RawMessage `json:"changes"`
}

var auditHead = []string{"TIME", "ACTOR", "ACTION", "TARGET", "OUTCOME", "IP", "CHANGED"}

func (v *auditView) cells() []string {
	return []string{console.Time(v.Time), v.Actor, v.Action, v.target(), v.Outcome, v.IP, v.changed()}
}

// named is the change that says whom an event is about, where that is neither a client nor a token.
func (v *auditView) named() string {
	switch kind, _, _ := strings.Cut(v.Action, "."); kind {
	case "user":
		return "username"
	case "admin_key":
		return "name"
	}
	return ""
}

// target is whom or what the event is about: a client, a token of one, an account, or an admin key.
func (v *auditView) target() string {
	words := []string{v.ClientID, v.TokenID}
	if change := v.Changes[v.named()]; change != nil {
		var name struct {
			After string `json:"after"`
		}
		if json.Unmarshal(change, &name) == nil {
			words = append(words, name.After)
		}
	}
	return strings.Join(given(words), " ")
}

// changed are the members that changed; of a registration that would be all of them. What was not set and is not set now
// is left out, so that a rotation after a leak (tokens_revoked) differs from a plain one.
func (v *auditView) changed() string {
	if v.Action == "client.registered" {
		return ""
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(v.Changes)), func(name string) bool {
		return name == v.named() || isUnset(v.Changes[name])
	})
	return strings.Join(names, " ")
}

// isUnset tells a change from nothing to nothing: null or false on both sides.
func isUnset(change json.RawMessage) bool {
	var sides struct{ Before, After any }
	nothing := func(value any) bool { return value == nil || value == false }
	return json.Unmarshal(change, &sides) == nil && nothing(sides.Before) && nothing(sides.After)
}
