package cmd

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/privatefile"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/audit"
)

// lostEvents are those of a copy of the audit log that a restored database does not have.
type lostEvents struct {
	items       []lostItem
	count       int
	revocations int
	missing     [][2]int64 // ids from and to that are neither in the database nor in the copy
	last        int64      // in the copy
	lastTime    *time.Time
}

// lostItem is a change to do again.
type lostItem struct {
	ID       int64      `json:"id"`
	Time     *time.Time `json:"time"`
	Actor    string     `json:"actor"`
	Action   string     `json:"action"`
	ClientID string     `json:"client_id,omitempty"`
	Target   string     `json:"target"`
	Changed  string     `json:"changed,omitempty"`
	Command  string     `json:"command,omitempty"`
}

// compareBatch is how many events of the database are read at once.
const compareBatch = 500

// compare finds the events of a copy that the log does not have. It refuses the copy of another log.
func compare(ctx context.Context, log *audit.Log, file string) (*lostEvents, error) {
	pruned, last, err := log.Ends(ctx)
	if err != nil {
		return nil, err
	}
	lost := &lostEvents{items: []lostItem{}, missing: [][2]int64{}}
	next, here, elsewhere := last+1, 0, 0
	known := map[int64]audit.Event{} // a part of the log
	err = eachCopied(file, func(e *auditView) error {
		lost.last, lost.lastTime = e.ID, e.Time
		if e.ID <= pruned {
			return nil
		}
		if e.ID <= last {
			if _, read := known[e.ID]; !read {
				clear(known)
				events, _, err := log.List(ctx, audit.Filter{After: e.ID - 1, Limit: compareBatch})
				if err != nil {
					return err
				}
				for _, event := range events {
					known[event.ID] = event
				}
			}
			if same(e, known[e.ID]) {
				here++
				return nil
			}
			elsewhere++
		} else {
			if e.ID > next {
				lost.missing = append(lost.missing, [2]int64{next, e.ID - 1})
			}
			next = max(next, e.ID+1)
		}
		lost.add(e)
		return nil
	})
	if err == nil && here == 0 && elsewhere > 0 {
		err = fmt.Errorf("%s has events of another server: none of them is in the restored database; check --audit-copy", file)
	}
	return lost, err
}

func same(e *auditView, event audit.Event) bool {
	return e.Time.Equal(event.Time) && e.Actor == event.Actor && e.Action == event.Action && e.ClientID == event.ClientID
}

func (l *lostEvents) add(e *auditView) {
	l.count++
	if e.Outcome != audit.OutcomeSuccess {
		return
	}
	switch e.Action {
	case "token.revoked", "tokens.revoked":
		l.revocations++
		return
	case "token.issued", "admin.logged_in", "user.logged_in", "consent.granted", "audit.pruned", "signing_key.created", "signing_key.removed", "database.restored":
		return
	}
	item := lostItem{ID: e.ID, Time: e.Time, Actor: e.Actor, Action: e.Action, ClientID: e.ClientID, Target: e.target(), Command: e.again()}
	if !strings.HasSuffix(e.Action, ".deleted") { // which unsets all
		item.Changed = e.changed()
	}
	l.items = append(l.items, item)
}

// again is the command that makes a change once more; "": there is none.
func (v *auditView) again() string {
	noun, verb, _ := strings.Cut(v.Action, ".")
	command := []string{"fosite-mcp"}
	switch {
	case noun == "client" && verb == "registered" && slices.Contains([]string{client.DynamicRegistration, client.MetadataDocument}, v.Actor):
		return "" // it does so by itself
	case noun == "client" || noun == "issuer":
		command = append(command, noun, map[string]string{"registered": "create", "changed": "update", "deleted": "delete", "disabled": "disable", "enabled": "enable"}[verb])
		if v.Action == "client.registered" {
			command = append(command, "--client-id")
		}
		if v.Action != "issuer.registered" {
			command = append(command, v.ClientID)
		}
	case v.Action == "secret.created":
		command = append(command, "client", "rotate", v.ClientID)
		if v.value("tokens_revoked", false) == "true" {
			command = append(command, "--leaked")
		}
	case v.Action == "secret.deleted":
		command = append(command, "client", "delete-secret", v.ClientID, v.value("secret_id", true))
	case v.Action == "secret.previous_ended":
		command = append(command, "client", "show", v.ClientID)
	case noun == "user":
		verb = map[string]string{"created": "create", "deleted": "delete", "disabled": "disable", "enabled": "enable", "groups_changed": "groups", "password_changed": "password", "revoked": "revoke"}[verb]
		command = append(command, "user", verb)
		switch username := v.value("username", false); {
		case username == "": // somebody without an account here
			command = append(command, "--subject", v.value("subject", false))
		case verb == "create":
			command = append(command, "--username", username)
		default:
			command = append(command, username)
		}
	case v.Action == "consent.withdrawn":
		command = append(command, "consent", "revoke", "--subject", v.value("subject", false), "--client-id", v.ClientID)
	case v.Action == "admin_key.revoked":
		command = append(command, "admin-key", "revoke", v.value("name", false))
	case v.Action == "admin_key.created":
		command = append(command, "admin-key", "create", "--name", v.value("name", false), "--role", v.value("role", false))
		var clients struct{ After []string }
		if raw, bound := v.Changes["client_ids"]; bound && json.Unmarshal(raw, &clients) != nil {
			return "" // without its clients it would be for all
		}
		for _, id := range clients.After {
			command = append(command, "--client-id", id)
		}
		if end := v.value("expires_at", false); end != "" {
			command = append(command, "--expires-at", end)
		}
	case noun == "signing_key":
		command = append(command, "key", "rotate", "--now")
	}
	return shellCommand(command)
}

// ourFlags are the words of [auditView.again] that may begin with a hyphen.
var ourFlags = []string{"--client-id", "--leaked", "--username", "--subject", "--name", "--role", "--expires-at", "--now"}

// shellCommand is a command for a shell; "" if a word of it is not known. The words may be a stranger's: one that looks like a
// flag is none.
func shellCommand(words []string) string {
	if len(words) == 1 {
		return ""
	}
	quoted := make([]string, len(words))
	for i, word := range words {
		switch {
		case slices.Contains(ourFlags, word):
			quoted[i] = word
		case word == "", word[0] == '-':
			return ""
		default:
			quoted[i] = privatefile.ShellWord(word)
		}
	}
	return strings.Join(quoted, " ")
}

// value is a member of the changes as text, before or after the change.
func (v *auditView) value(name string, before bool) string {
	var sides struct{ Before, After any }
	if json.Unmarshal(v.Changes[name], &sides) != nil {
		return ""
	}
	value := sides.After
	if before {
		value = sides.Before
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// eachCopied reads what audit --json or audit --csv has printed, event by event.
func eachCopied(path string, visit func(*auditView) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("--audit-copy: %w", err)
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	next := copiedJSON(reader)
	if first, err := reader.Peek(1); err == nil && first[0] != '{' {
		next = copiedCSV(reader)
	}
	for n := 1; ; n++ {
		var event auditView
		err := next(&event)
		if errors.Is(err, io.EOF) && n > 1 {
			return nil
		}
		if err == nil && (event.ID < 1 || event.Time == nil || event.Action == "") {
			err = errors.New("it has no id, no time or no action")
		}
		if err != nil {
			return fmt.Errorf("--audit-copy: event %d of %s cannot be read (%w); it must be what fosite-mcp audit --json or --csv has printed. Take a last line that is cut off away", n, path, err)
		}
		if err := visit(&event); err != nil {
			return err
		}
	}
}

func copiedJSON(reader io.Reader) func(*auditView) error {
	decoder := json.NewDecoder(reader)
	return func(e *auditView) error { return decoder.Decode(e) }
}

func copiedCSV(reader io.Reader) func(*auditView) error {
	rows := csv.NewReader(reader)
	var head []string
	return func(e *auditView) (err error) {
		if head == nil {
			if head, err = rows.Read(); err != nil {
				return err
			}
		}
		row, err := rows.Read()
		for slices.Equal(row, head) && err == nil { // several files, one after the other
			row, err = rows.Read()
		}
		if err != nil {
			return err
		}
		cell := func(name string) string {
			if i := slices.Index(head, name); i >= 0 && i < len(row) {
				return terminal.FromCSV(row[i])
			}
			return ""
		}
		e.ID, _ = strconv.ParseInt(cell("id"), 10, 64)
		if at, ok := strictjson.ParseTime(cell("time")); ok {
			e.Time = &at
		}
		e.Actor, e.Action, e.ClientID, e.TokenID, e.IP, e.Outcome = cell("actor"), cell("action"), cell("client_id"), cell("token_id"), cell("ip"), cell("outcome")
		if changes := cell("changes"); changes != "" {
			return json.Unmarshal([]byte(changes), &e.Changes)
		}
		return nil
	}
}
