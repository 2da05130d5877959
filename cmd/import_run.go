package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/user"
	"slices"
	"strings"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/clients"

	"github.com/ory/fosite"
)

// importer takes clients into the store, and reports on each.
type importer struct {
	app   *app
	store *storage.Store
	rules importRules
	apply bool
	seen  map[string]int // client ids of the file, and which entry had them
	count map[verdict]int
}

// verdict is what happens to one client.
type verdict string

const (
	verdictCreate    verdict = "create"
	verdictUpdate    verdict = "update"
	verdictUnchanged verdict = "unchanged"
	verdictRefused   verdict = "refused"
)

// importLine is the report on one client.
type importLine struct {
	Index    int      `json:"index"` // from 1
	ClientID string   `json:"client_id"`
	Result   verdict  `json:"result"`
	Applied  bool     `json:"applied"`
	Changes  []string `json:"changes,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	Reason   string   `json:"reason,omitempty"`
}

// run reports on every client of the file. A client that is refused does not stop the others; a database that fails does.
func (i *importer) run(ctx context.Context, input io.Reader) error {
	i.seen, i.count = map[string]int{}, map[verdict]int{}
	partial, err := readClients(input, func(index int, raw json.RawMessage) error {
		line, err := i.take(ctx, index, raw)
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		i.count[line.Result]++
		return i.print(line)
	})
	all := i.count[verdictRefused] + i.count[verdictCreate] + i.count[verdictUpdate] + i.count[verdictUnchanged]
	if err != nil {
		if all > 0 {
			err = fmt.Errorf("%w. What became of the entries before (%d) is shown above", err, all)
		}
		return err
	}
	i.summary()
	if partial {
		i.app.notice("the file is one page of a longer list; export the other pages too")
	}
	if refused := i.count[verdictRefused]; refused > 0 {
		return fmt.Errorf("%d of %d clients refused", refused, all)
	}
	return nil
}

// take decides on one client and, with --apply, acts. The error is a failure of the database.
func (i *importer) take(ctx context.Context, index int, raw json.RawMessage) (importLine, error) {
	in, err := i.rules.parseClient(raw)
	line := importLine{Index: index, ClientID: in.id}
	if err != nil {
		return line.refused(err), nil
	}
	if first, twice := i.seen[in.id]; twice {
		return line.refused(fmt.Errorf("entry %d has the same client_id", first)), nil
	}
	i.seen[in.id] = index
	var result importLine
	err = i.store.Atomically(ctx, func(ctx context.Context) (err error) {
		result, err = i.put(ctx, line, in)
		if err == nil && (!i.apply || result.Result == verdictRefused) {
			err = errDryRun
		}
		return err
	})
	if errors.Is(err, errDryRun) {
		return result, nil
	}
	result.Applied = err == nil && result.Result != verdictUnchanged
	return result, err
}

// errDryRun rolls back: a dry run does what --apply does, except for the commit.
var errDryRun = errors.New("dry run")

func (l importLine) refused(reason error) importLine {
	l.Changes = nil
	l.Result, l.Reason = verdictRefused, strings.ReplaceAll(reason.Error(), "\n", "; ")
	return l
}

// put creates or changes one client, inside a transaction that may be run again.
func (i *importer) put(ctx context.Context, line importLine, in *importedClient) (importLine, error) {
	c := in.clone()
	before, err := i.store.Clients().Find(ctx, c.id)
	if errors.Is(err, fosite.ErrNotFound) {
		before = &client.Client{ID: c.id} // Version 0: not stored
		i.rules.fillIn(c)
	} else if err != nil {
		return line, err
	} else {
		i.rules.readdress(c, before)
	}
	patch, err := json.Marshal(c.patch)
	if err != nil {
		return line, err
	}
	after, diff, err := i.rules.merge(before, patch)
	if err != nil {
		return line.refused(ofThisShell(err)), nil
	}
	line, err = i.write(ctx, line, c, before, after, memberNames(diff))
	if err != nil || line.Result == verdictRefused {
		return line, err
	}
	line.Notes = c.notes
	if line.Result == verdictUnchanged {
		return line, nil
	}
	action := map[verdict]string{verdictCreate: "client.registered", verdictUpdate: "client.changed"}[line.Result]
	return line, i.store.Audit().Append(ctx, audit.Event{Action: action, ClientID: c.id, Changes: diff})
}

// ofThisShell says where the resources come from: the running server may have other settings.
func ofThisShell(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "is no resource of this server",
		"is no resource in the settings of this shell (give --config FILE or the server's FOSITE_MCP_… variables)"))
}

// write stores a client whose changed members are named.
func (i *importer) write(ctx context.Context, line importLine, in *importedClient, before, after *client.Client, changed []string) (importLine, error) {
	in.tellSecret(before)
	var err error
	switch {
	case before.Version == 0:
		line.Result = verdictCreate
		if in.secret != nil {
			after.Secrets = []client.Secret{*in.secret}
		}
		err = i.store.Clients().Create(ctx, after)
	case len(changed) == 0:
		line.Result = verdictUnchanged
	default:
		line.Result, line.Changes = verdictUpdate, changed
		err = i.store.Clients().Update(ctx, after)
	}
	switch {
	case errors.Is(err, clients.ErrExists):
		return line.refused(errors.New("a client with this id was deleted here, and ids are never used again")), nil
	case errors.Is(err, clients.ErrStale):
		return line.refused(errors.New("somebody else changed it at the same moment; run the import again")), nil
	}
	return line, err
}

// tellSecret notes what becomes of the file's hash. The secrets of a client that is here already are left alone: one
// that was rotated away must not come back.
func (c *importedClient) tellSecret(before *client.Client) {
	switch {
	case before.Version == 0 && c.secret != nil:
		c.note("with its secret (%s)", hashKind(c.secret.Hash))
	case before.Version == 0 && c.usesSecret:
		c.note("no secret hash in the file: give it a secret with fosite-mcp client rotate %s", c.id)
	case before.Version > 0 && c.secret != nil && !hasHash(before, c.secret.Hash):
		c.note("its secrets here differ from the file and stay as they are")
	}
}

// clone keeps one run of a transaction from seeing what an earlier one has noted.
func (c *importedClient) clone() *importedClient {
	return &importedClient{id: c.id, patch: maps.Clone(c.patch), usesSecret: c.usesSecret, secret: c.secret, notes: slices.Clone(c.notes)}
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

func (i *importer) print(line importLine) error {
	if i.app.json {
		return json.NewEncoder(i.app.stdout).Encode(line)
	}
	words := string(line.Result)
	switch {
	case line.Result == verdictRefused:
		words += ": " + line.Reason
	case line.Applied:
		words += "d" // created, updated
	case line.Result != verdictUnchanged:
		words = "would " + words
	}
	if len(line.Changes) > 0 {
		words += " " + strings.Join(line.Changes, ", ")
	}
	for _, note := range line.Notes {
		words += "; " + note
	}
	_, err := fmt.Fprintf(i.app.stdout, "%d  %s  %s\n", line.Index, printable(line.ClientID), printable(words))
	return err
}

func (i *importer) summary() {
	would := "would be "
	if i.apply {
		would = ""
	}
	i.app.notice("%d %screated, %d %supdated, %d unchanged, %d refused", i.count[verdictCreate], would, i.count[verdictUpdate], would,
		i.count[verdictUnchanged], i.count[verdictRefused])
	if !i.apply && i.count[verdictCreate]+i.count[verdictUpdate] > 0 {
		i.app.notice("nothing was changed; add --apply to do it")
	}
}

// shellActor is who audit events name for changes made on the machine itself, with no admin key.
func shellActor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "shell:" + u.Username
	}
	return "shell"
}
