// Package importer takes over clients from Ory Hydra, or from another fosite-mcp. It reads their file entry by entry, turns
// each into what the admin API would be sent, and writes to the database.
package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"

	"github.com/ory/fosite"
)

// Importer takes over the clients of a file, and reports on each. Fill it in and call Run once.
type Importer struct {
	Terminal *terminal.Terminal
	Store    *storage.Store
	Rules    Rules
	Apply    bool // false: report only

	entries map[string]int // client id -> its first entry in the file
	count   map[outcome]int
}

// Run reports on every client of the file. A refused client does not stop the others; a failure of the database does.
func (i *Importer) Run(ctx context.Context, input io.Reader) error {
	i.entries, i.count = map[string]int{}, map[outcome]int{}
	partial, err := readClients(input, func(index int, raw json.RawMessage) error {
		line, err := i.importEntry(ctx, index, raw)
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		i.count[line.Result]++
		return i.print(line)
	})
	all := i.count[outcomeRefused] + i.count[outcomeCreate] + i.count[outcomeUpdate] + i.count[outcomeUnchanged]
	if err != nil {
		if all > 0 {
			err = fmt.Errorf("%w. What became of the entries before (%d) is shown above", err, all)
		}
		return err
	}
	i.summary()
	if partial {
		i.Terminal.Notice("the file is one page of a longer list; export the other pages too")
	}
	if refused := i.count[outcomeRefused]; refused > 0 {
		return fmt.Errorf("%d of %d clients refused", refused, all)
	}
	return nil
}

// importEntry decides on one client and, with Apply, stores it. The error is a failure of the database.
func (i *Importer) importEntry(ctx context.Context, index int, raw json.RawMessage) (report, error) {
	in, err := i.Rules.parseClient(raw)
	line := report{Index: index, ClientID: in.id}
	if err != nil {
		return line.refuse(err), nil
	}
	if first, twice := i.entries[in.id]; twice {
		return line.refuse(fmt.Errorf("entry %d has the same client_id", first)), nil
	}
	i.entries[in.id] = index
	var result report
	err = i.Store.Atomically(ctx, func(ctx context.Context) (err error) {
		result, err = i.save(ctx, line, in)
		if err == nil && (!i.Apply || result.Result == outcomeRefused) {
			err = errDryRun
		}
		return err
	})
	if errors.Is(err, errDryRun) {
		return result, nil
	}
	result.Applied = err == nil && result.Result != outcomeUnchanged
	return result, err
}

// errDryRun rolls back: a dry run does what --apply does, except for the commit.
var errDryRun = errors.New("dry run")

// save creates or changes one client, inside a transaction that may be run again.
func (i *Importer) save(ctx context.Context, line report, in *imported) (report, error) {
	c := in.clone()
	before, err := i.Store.Clients().Find(ctx, c.id)
	if errors.Is(err, fosite.ErrNotFound) {
		before = &client.Client{ID: c.id} // Version 0: not stored
		i.Rules.applyDefaults(c)
	} else if err != nil {
		return line, err
	} else {
		i.Rules.replaceAudience(c, before)
	}
	patch, err := json.Marshal(c.patch)
	if err != nil {
		return line, err
	}
	after, diff, err := i.Rules.Merge(before, patch)
	if err != nil {
		return line.refuse(nameSettings(err)), nil
	}
	line, err = i.store(ctx, line, c, before, after, memberNames(diff))
	if err != nil || line.Result == outcomeRefused {
		return line, err
	}
	line.Notes = c.notes
	if line.Result == outcomeUnchanged {
		return line, nil
	}
	action := map[outcome]string{outcomeCreate: "client.registered", outcomeUpdate: "client.changed"}[line.Result]
	return line, i.Store.Audit().Append(ctx, audit.Event{Action: action, ClientID: c.id, Changes: diff})
}

// nameSettings adds whose resources these are: the running server may have other settings than this shell.
func nameSettings(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "is no resource of this server",
		"is no resource in the settings of this shell (give --config FILE or the server's FOSITE_MCP_… variables)"))
}

// store writes a client to the database. changed names its changed members.
func (i *Importer) store(ctx context.Context, line report, in *imported, before, after *client.Client, changed []string) (report, error) {
	in.noteSecret(before)
	var err error
	switch {
	case before.Version == 0:
		line.Result = outcomeCreate
		if in.secret != nil {
			after.Secrets = []client.Secret{*in.secret}
		}
		err = i.Store.Clients().Create(ctx, after)
	case len(changed) == 0:
		line.Result = outcomeUnchanged
	default:
		line.Result, line.Changes = outcomeUpdate, changed
		err = i.Store.Clients().Update(ctx, after)
	}
	switch {
	case errors.Is(err, clients.ErrExists):
		return line.refuse(errors.New("a client with this id was deleted here, and ids are never used again")), nil
	case errors.Is(err, clients.ErrStale):
		return line.refuse(errors.New("somebody else changed it at the same moment; run the import again")), nil
	}
	return line, err
}

// noteSecret notes what happens to the file's hash. The secrets of a stored client do not change: a secret that was
// rotated away must not come back.
func (c *imported) noteSecret(before *client.Client) {
	switch {
	case before.Version == 0 && c.secret != nil:
		c.note("with its secret (%s)", hashKind(c.secret.Hash))
	case before.Version == 0 && c.usesSecret:
		c.note("no secret hash in the file: give it a secret with fosite-mcp client rotate %s", c.id)
	case before.Version > 0 && c.secret != nil && !hasHash(before, c.secret.Hash):
		c.note("its secrets here differ from the file and stay as they are")
	}
}

// clone makes a copy for one run of a transaction: a second run must not see the notes of the first.
func (c *imported) clone() *imported {
	return &imported{id: c.id, patch: maps.Clone(c.patch), usesSecret: c.usesSecret, secret: c.secret, notes: slices.Clone(c.notes)}
}

// memberNames are the members of a JSON object.
func memberNames(object json.RawMessage) []string {
	var members map[string]json.RawMessage
	if json.Unmarshal(object, &members) != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(members))
}

func hasHash(c *client.Client, hash []byte) bool {
	for _, secret := range c.Secrets {
		if string(secret.Hash) == string(hash) {
			return true
		}
	}
	return false
}

func hashKind(hash []byte) string {
	if kind := strings.SplitN(string(hash), "$", 3)[1]; !strings.HasPrefix(kind, "2") {
		return kind
	}
	return "bcrypt"
}
