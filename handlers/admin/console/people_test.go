package console_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/people"
)

// alice has an account here and has allowed a client something. The provider's bob has none.
func (w *world) alice() (id string) {
	w.t.Helper()
	alice := &people.User{Username: "alice", PasswordHash: []byte("hash"), Groups: []string{"staff"}}
	if err := w.store.Users().Create(w.t.Context(), alice); err != nil {
		w.t.Fatal(err)
	}
	for subject, name := range map[string]string{alice.ID: "alice", "oidc|https://idp.example|bob": "bob"} {
		if err := w.store.Consents().Remember(w.t.Context(), subject, name, "mcp_editor", "Editor", []string{resource}, []string{"mcp:search"}); err != nil {
			w.t.Fatal(err)
		}
	}
	return alice.ID
}

func TestAnAccountIsDisabledAndLetInAgain(t *testing.T) {
	w := newWorld(t)
	id := w.alice()
	b := w.loggedIn(w.newKey(audit.AdminKey{Name: "helpdesk", Role: audit.RolePeople}))
	b.get("/console/people?q=ali").want(t, http.StatusOK, "alice", "/console/people/"+id, "staff")
	b.get("/console/people?q=bob").want(t, http.StatusOK, "Nobody is like that.")
	path := "/console/people/" + id
	b.get(path).want(t, http.StatusOK, "Editor", "mcp:search", resource)
	do := func(act, done, status string) {
		t.Helper()
		b.get(path+act).want(t, http.StatusOK, "Cancel")
		to := b.submit(path+act).want(t, http.StatusSeeOther).Header.Get("Location")
		b.get(to).want(t, http.StatusOK, done)
		if got := w.member("/users/"+id, "status"); got != `"`+status+`"` {
			t.Errorf("%s makes the account %s", act, got)
		}
	}
	b.get(path + "/disable")
	stale := b.form(path + "/disable")
	w.clock.advance(time.Second)
	do("/disable", "The account is disabled.", "disabled")
	do("/enable", "The person can log in again.", "active")
	b.send(post(path+"/disable", stale)).want(t, http.StatusPreconditionFailed, "It has changed meanwhile")
	do("/revoke", "Everything of this person has ended.", "disabled")
	if page := b.get(path); strings.Contains(page.text, "Editor") {
		t.Error("a consent is left")
	}
	b.get("/console/audit?action=user.disabled").want(t, http.StatusOK, "</td><td><bdi>alice</bdi></td>")
	for _, action := range []string{"user.disabled", "user.enabled", "user.revoked"} {
		if events := w.events(action); len(events) != 1 || events[0].Actor != "helpdesk" || events[0].IP == "" {
			t.Errorf("%s on record: %+v", action, events)
		}
	}
}

// Somebody whom a provider has named has no account here, and is ended all the same.
func TestSomebodyWithoutAnAccountIsKeptOut(t *testing.T) {
	w := newWorld(t)
	w.alice()
	b := w.loggedIn(w.key)
	page := b.get("/console/consents?username=bob").want(t, http.StatusOK, "bob", "Editor")
	path := regexp.MustCompile(`/console/people/[^/"]+`).FindString(page.text)
	b.get(path).want(t, http.StatusOK, "There is no account here", "<bdi>bob</bdi>")
	b.get(path+"/disable").want(t, http.StatusNotFound)
	b.get(path+"/revoke").want(t, http.StatusOK, "End everything of oidc|https://idp.example|bob?")
	b.get(b.submit(path+"/revoke").want(t, http.StatusSeeOther).Header.Get("Location")).want(t, http.StatusOK, "Everything of this person has ended.", "Let in again")
	b.get("/console/people/nobody").want(t, http.StatusNotFound)
}

func TestWhatWasAllowedIsWithdrawn(t *testing.T) {
	w := newWorld(t)
	id := w.alice()
	b := w.loggedIn(w.key)
	path := "/console/people/" + id + "/consents/mcp_editor/withdraw"
	if page := b.get("/console/people/"+id).want(t, http.StatusOK); !strings.Contains(page.text, path) {
		t.Fatalf("%s is not offered:\n%s", path, page.text)
	}
	b.get(path).want(t, http.StatusOK, "Withdraw")
	b.get(b.submit(path).want(t, http.StatusSeeOther).Header.Get("Location")).want(t, http.StatusOK, "What was allowed is withdrawn.", "bob")
	if events := w.events("consent.withdrawn"); len(events) != 1 || events[0].Actor != "admin" {
		t.Errorf("on record: %+v", events)
	}
}

// A key for clients is offered nothing about people, and the other way round.
func TestEachRoleIsOfferedItsOwn(t *testing.T) {
	w := newWorld(t)
	id, editor := w.alice(), w.client(`{"client_name":"Indexer"}`)
	for role, want := range map[audit.Role]struct{ clients, people bool }{
		audit.RoleRead: {false, false}, audit.RoleClients: {true, false}, audit.RolePeople: {false, true}, audit.RoleAdmin: {true, true},
	} {
		b := w.loggedIn(w.newKey(audit.AdminKey{Name: "key-" + string(role), Role: role}))
		for _, page := range []struct {
			path, offer string
			offered     bool
		}{
			{"/console/clients", "/console/new-client", want.clients}, {"/console/clients/" + editor, "/disable", want.clients},
			{"/console/people/" + id, "/revoke", want.people}, {"/console/people/" + id, "/withdraw", want.people}, {"/console/consents", "/withdraw", want.people},
		} {
			if got := strings.Contains(b.get(page.path).want(t, http.StatusOK).text, page.offer); got != page.offered {
				t.Errorf("%s: %s offers %s: %v", role, page.path, page.offer, got)
			}
		}
		b.get("/console/keys").want(t, http.StatusOK, "key-"+string(role))
		if status := b.get("/console/people/" + id + "/revoke").StatusCode; (status == http.StatusOK) != want.people {
			t.Errorf("%s: status %d", role, status)
		}
	}
}

// The log has its newest event first on the page, and the oldest first in the file.
func TestTheAuditLogIsShown(t *testing.T) {
	w := newWorld(t)
	id := w.client(`{"client_name":"=1+1","owner":"Team A"}`)
	for range 60 {
		w.api(http.MethodPost, "/clients/"+id+"/disable", "")
		w.api(http.MethodPost, "/clients/"+id+"/enable", "")
	}
	b := w.loggedIn(w.key)
	first := b.get("/console/audit").want(t, http.StatusOK, "admin.logged_in", `datetime="`)
	if newest, older := strings.Index(first.text, "admin.logged_in"), strings.Index(first.text, "client.enabled"); newest > older {
		t.Error("the newest event is not the first one")
	}
	seen := map[string]int{}
	number := regexp.MustCompile(`>#(\d+)<`)
	for pages := 1; ; pages++ {
		for _, found := range number.FindAllStringSubmatch(b.page.text, -1) {
			seen[found[1]]++
		}
		next := b.page.link("Next page")
		if next == "" {
			break
		}
		b.get(next).want(t, http.StatusOK)
	}
	if len(seen) != 123 {
		t.Errorf("%d events on the pages, want 123", len(seen))
	}
	b.get("/console/audit?action=client.registered&actor=admin&client_id="+id+"&since=2001-01-01T00:00").want(t, http.StatusOK, "<ins>Team A</ins>", `value="2001-01-01T00:00"`)
	file := b.get(b.page.link("Download as CSV")).want(t, http.StatusOK)
	if kind, name := file.Header.Get("Content-Type"), file.Header.Get("Content-Disposition"); !strings.HasPrefix(kind, "text/csv") || !strings.Contains(name, "attachment") {
		t.Errorf("%s, %s", kind, name)
	}
	if rows, err := csv.NewReader(strings.NewReader(file.text)).ReadAll(); err != nil || len(rows) != 2 || rows[1][3] != "client.registered" {
		t.Errorf("%v %v", rows, err)
	}
	b.get("/console/audit?since=yesterday").want(t, http.StatusBadRequest, `id="since-problem"`)
	b.get("/console/audit.csv?since=yesterday").want(t, http.StatusBadRequest)
	b.get("/console/audit?action=nothing").want(t, http.StatusOK, "There is no such event.")
}

// A file has all pages of the API, and the names of the columns once.
func TestALongFileIsWhole(t *testing.T) {
	w := newWorld(t)
	for range 450 {
		if err := w.store.Audit().Append(t.Context(), audit.Event{Actor: "test", Action: "client.enabled"}); err != nil {
			t.Fatal(err)
		}
	}
	file := w.loggedIn(w.key).get("/console/audit.csv?actor=test").want(t, http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(file.text)).ReadAll()
	if err != nil || len(rows) != 451 || rows[0][0] != "id" {
		t.Errorf("%d rows, error %v", len(rows), err)
	}
}

func TestWhatAClientWasUsedForIsShown(t *testing.T) {
	w := newWorld(t)
	b := w.loggedIn(w.key)
	id, secret := b.made("client_name", "Indexer", "owner", "Team A")
	w.token(id, secret)
	w.token(id, "mcp_cs_wrong")
	b.get("/console/clients/" + id)
	b.get(b.page.link("What it was used for")).want(t, http.StatusOK, "What Indexer was used for", "tokens<br><code>cs_", "client.registered", "mcp:search", "Tokens that have expired are known until")
	uses := b.get(b.page.link("Download as CSV")).want(t, http.StatusOK)
	if rows, err := csv.NewReader(strings.NewReader(uses.text)).ReadAll(); err != nil || rows[0][0] != "what" || !strings.Contains(uses.text, "client.registered") {
		t.Errorf("%v %v", rows, err)
	}
	for i := range 201 {
		if err := w.store.Audit().Append(t.Context(), audit.Event{Actor: strconv.Itoa(i), Action: "client.enabled", ClientID: id}); err != nil {
			t.Fatal(err)
		}
	}
	b.get("/console/clients/"+id+"/usage.csv").want(t, http.StatusBadRequest, "Too many lines for one file")
	b.get("/console/clients/"+id+"/usage.csv?until=2001-01-01T00:00").want(t, http.StatusOK)
	b.get("/console/clients/"+id+"/usage.csv?since=x").want(t, http.StatusBadRequest)
	b.get("/console/clients/nobody/usage.csv").want(t, http.StatusNotFound)
	b.get("/console/clients/"+id+"/usage?since=2036-01-01T00:00").want(t, http.StatusOK, `value="2036-01-01T00:00"`)
	b.get("/console/clients/"+id+"/usage?since=x").want(t, http.StatusBadRequest, `id="since-problem"`)
	b.get("/console/clients/nobody/usage").want(t, http.StatusNotFound)

	b.get("/console/access?client_id="+id).want(t, http.StatusOK, "Indexer", "Team A", "mcp:search")
	file := b.get(b.page.link("Download as CSV")).want(t, http.StatusOK)
	if rows, err := csv.NewReader(strings.NewReader(file.text)).ReadAll(); err != nil || len(rows) != 2 || rows[1][1] != id {
		t.Errorf("%v %v", rows, err)
	}
	b.get("/console/access?until=x").want(t, http.StatusBadRequest, `id="until-problem"`)
}

// A file is put together in memory: anybody may look at the log, and clients that register themselves fill it.
func TestAFileIsOfBoundedSize(t *testing.T) {
	w := newWorld(t)
	changes := json.RawMessage(`{"client_name":{"after":"` + strings.Repeat("x", 1<<20) + `"}}`)
	for range 18 {
		if err := w.store.Audit().Append(t.Context(), audit.Event{Actor: "test", Action: "client.registered", Changes: changes}); err != nil {
			t.Fatal(err)
		}
	}
	b := w.loggedIn(w.key)
	b.get("/console/audit.csv?actor=test").want(t, http.StatusBadRequest, "Too many lines for one file")
}
