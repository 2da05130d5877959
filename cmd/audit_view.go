package cmd

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/storage/audit"
)

// auditActions are the actions of all audit events.
var auditActions = []string{
	"admin.logged_in", "admin.login_failed", "admin_key.created", "admin_key.replaced", "admin_key.revoked", "assertion.refused", "audit.pruned", "authorization_code.reused",
	"client.changed", "client.deleted", "client.disabled", "client.enabled", "client.login_failed", "client.registered",
	"consent.granted", "consent.withdrawn", "database.restored", "issuer.changed", "issuer.deleted", "issuer.disabled", "issuer.enabled", "issuer.registered", "refresh_token.reused", "secret.created", "secret.deleted", "secret.previous_ended",
	"signing_key.created", "signing_key.discarded", "signing_key.removed", "signing_key.rotated", "token.issued", "token.revoked", "tokens.revoked",
	"user.created", "user.deleted", "user.disabled", "user.enabled", "user.groups_changed", "user.logged_in", "user.login_failed", "user.password_changed", "user.revoked",
}

func checkAction(action string) error {
	if action == "" || slices.Contains(auditActions, action) {
		return nil
	}
	return terminal.BadUsage("--action: there is no action %q; there are:\n  %s", action, strings.Join(auditActions, "\n  "))
}

// auditView is an event as the table shows it.
type auditView struct {
	ID       int64                      `json:"id"`
	Time     *time.Time                 `json:"time"`
	Actor    string                     `json:"actor"`
	Action   string                     `json:"action"`
	ClientID string                     `json:"client_id"`
	TokenID  string                     `json:"token_id"`
	Request  string                     `json:"request_id"`
	IP       string                     `json:"ip"`
	Outcome  string                     `json:"outcome"`
	Changes  map[string]json.RawMessage `json:"changes"`
}

var auditHead = []string{"TIME", "ACTOR", "ACTION", "TARGET", "OUTCOME", "IP", "CHANGED"}

// csvHead is the head of a table for programs: the API has the same.
var csvHead = []string{"id", "time", "actor", "action", "client_id", "token_id", "request_id", "ip", "outcome", "changes"}

func (v *auditView) csv() []string {
	changes, at := "", ""
	if v.Changes != nil {
		encoded, _ := json.Marshal(v.Changes) // of values that were decoded
		changes = string(encoded)
	}
	if v.Time != nil {
		at = v.Time.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return []string{strconv.FormatInt(v.ID, 10), at, v.Actor, v.Action, v.ClientID, v.TokenID, v.Request, v.IP, v.Outcome, changes}
}

func (v *auditView) cells() []string {
	return []string{terminal.Time(v.Time), v.Actor, v.Action, v.target(), v.Outcome, v.IP, v.changed()}
}

// nameMember is the member of the changes that names an account, an admin key or a signing key, when the event is about one.
func (v *auditView) nameMember() string {
	switch kind, _, _ := strings.Cut(v.Action, "."); kind {
	case "user":
		return "username"
	case "admin_key":
		return "name"
	case "signing_key":
		return "kid"
	}
	return ""
}

// target is the client, token, account, admin key or signing key of the event.
func (v *auditView) target() string {
	words := []string{v.ClientID, v.TokenID}
	if change := v.Changes[v.nameMember()]; change != nil {
		var name struct {
			After string `json:"after"`
		}
		if json.Unmarshal(change, &name) == nil {
			words = append(words, name.After)
		}
	}
	return strings.Join(given(words), " ")
}

// changed are the names of the changed members; empty for a registration, which sets all. Members that were unset before and
// after are left out: so a rotation after a leak (tokens_revoked) differs from another one.
//
// A failure changes nothing: its members say what was tried and why it failed, so they are shown with their values.
func (v *auditView) changed() string {
	if v.Action == "client.registered" {
		return ""
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(v.Changes)), func(name string) bool {
		return name == v.nameMember() || isUnset(v.Changes[name])
	})
	if v.Outcome != audit.OutcomeFailure {
		return strings.Join(names, " ")
	}
	slices.SortStableFunc(names, func(a, b string) int { return isReason(a) - isReason(b) })
	for i, name := range names {
		names[i] = name + ": " + afterText(v.Changes[name])
	}
	return strings.Join(names, ", ")
}

// isReason is smaller for the reason of a failure than for any other member.
func isReason(name string) int {
	if name == "reason" {
		return -1
	}
	return 0
}

// afterText is the beginning of a member's new value.
func afterText(change json.RawMessage) string {
	const most = 80
	var sides struct{ After any }
	if json.Unmarshal(change, &sides) != nil || sides.After == nil {
		return "-"
	}
	text := []rune(fmt.Sprint(sides.After))
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}

// isUnset reports whether a member is null or false before and after the change.
func isUnset(change json.RawMessage) bool {
	var sides struct{ Before, After any }
	nothing := func(value any) bool { return value == nil || value == false }
	return json.Unmarshal(change, &sides) == nil && nothing(sides.Before) && nothing(sides.After)
}
