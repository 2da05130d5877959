package admin_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/storage/audit"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"gorm.io/gorm"
)

// month is a window, and the day before and after it.
type month struct{ since, until string }

// query asks for the window.
func (m month) query() string {
	return "/access?since=" + url.QueryEscape(m.since) + "&until=" + url.QueryEscape(m.until)
}

// moment is now, as a parameter, an hour after what was done before.
func (w *world) moment() string {
	w.clock.advance(time.Hour)
	defer w.clock.advance(time.Hour)
	return w.clock.Now().Format(time.RFC3339Nano)
}

// whoHad are the lines of a list: who, with what, by what and with which status.
func whoHad(answer *reply) (lines []string) {
	for _, line := range answer.items() {
		who := fmt.Sprint(line["kind"], " ", line["client_id"])
		if line["subject"] != nil {
			who += fmt.Sprint(" ", line["username"])
		}
		until := ""
		if line["access_until"] != nil {
			until = " until"
		}
		lines = append(lines, fmt.Sprint(who, ": ", line["scope"], " at ", line["resources"], " by ", line["by"], ", ", line["status"], until))
	}
	return lines
}

func (w *world) machine(id string) {
	w.t.Helper()
	w.client(`{"client_id":"` + id + `","client_name":"The ` + id + `","scope":"mcp:search mcp:write"}`)
}

func TestWhoHadAccessAsAClient(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		for _, id := range []string{"kept", "gone_before", "gone_within", "off_before", "off_within", "off_after", "narrowed", "narrowed_before", "on_again"} {
			w.machine(id)
		}
		w.client(`{"client_id":"people_only","client_name":"app","grant_types":["authorization_code"],"redirect_uris":["https://a.example/cb"]}`)
		w.issuer(`{"id":"rule","name":"builds","preset":"github-actions","subject":"repo:org/app:*"}`)
		w.delete("/clients/gone_before").want(t, http.StatusNoContent)
		w.post("/clients/off_before/disable", "").want(t, http.StatusOK)
		w.post("/clients/on_again/disable", "").want(t, http.StatusOK)
		w.patch("/clients/narrowed_before", "*", `{"scope":"mcp:search"}`).want(t, http.StatusOK)
		var m month
		m.since = w.moment()
		w.delete("/clients/gone_within").want(t, http.StatusNoContent)
		w.post("/clients/off_within/disable", "").want(t, http.StatusOK)
		w.patch("/clients/narrowed", "*", `{"scope":"mcp:search"}`).want(t, http.StatusOK)
		w.patch("/clients/off_before", "*", `{"owner":"nobody"}`).want(t, http.StatusOK)
		w.machine("new")
		m.until = w.moment()
		w.post("/clients/off_after/disable", "").want(t, http.StatusOK)
		w.post("/clients/on_again/enable", "").want(t, http.StatusOK)
		w.patch("/clients/kept", "*", `{"audience":["`+otherResource+`"]}`).want(t, http.StatusOK)
		w.machine("later")

		both, search := "mcp:search mcp:write at ["+resource+"]", "mcp:search at ["+resource+"]"
		want := []string{
			"client gone_within: " + both + " by registration, deleted until",
			"client kept: " + both + " by registration, active",
			"client narrowed: " + both + " by registration, active",
			"client narrowed_before: " + search + " by registration, active",
			"client new: " + both + " by registration, active",
			"client off_after: " + both + " by registration, disabled until",
			"client off_within: " + both + " by registration, disabled until",
			"issuer rule: " + search + " by registration, active",
		}
		answer := w.get(m.query()).want(t, http.StatusOK)
		got := whoHad(answer)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("who had access (-want +got):\n%s", diff)
		}
		for _, line := range answer.items() {
			if line["client_id"] == "gone_within" && line["client_name"] != "The gone_within" {
				t.Errorf("the deleted client is called %v", line["client_name"])
			}
		}
	})
}

func TestWhoHadAccessAsAPerson(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		w.client(`{"client_id":"app","client_name":"app","grant_types":["authorization_code"],"redirect_uris":["https://a.example/cb"]}`)
		subjects := map[string]string{}
		for _, name := range []string{"before", "within", "after", "deleted", "kept", "again"} {
			subjects[name] = w.account(name)
			w.consent(subjects[name], name)
		}
		subjects["late"] = w.account("late")
		w.delete("/users/"+subjects["before"]+"/consents/app").want(t, http.StatusNoContent)
		var m month
		m.since = w.moment()
		w.delete("/users/"+subjects["within"]+"/consents/app").want(t, http.StatusNoContent)
		w.delete("/users/"+subjects["deleted"]).want(t, http.StatusNoContent)
		w.delete("/users/"+subjects["again"]+"/consents/app").want(t, http.StatusNoContent)
		w.consent(subjects["again"], "again")
		m.until = w.moment()
		w.delete("/users/"+subjects["after"]+"/consents/app").want(t, http.StatusNoContent)
		w.consent(subjects["late"], "late")
		w.delete("/users/"+subjects["late"]+"/consents/app").want(t, http.StatusNoContent)

		allowed := ": mcp:search at [" + resource + "] by consent, "
		want := []string{
			"person app after" + allowed + "ended until", "person app again" + allowed + "active", "person app again" + allowed + "ended until",
			"person app deleted" + allowed + "ended until", "person app kept" + allowed + "active", "person app within" + allowed + "ended until",
		}
		got := whoHad(w.get(m.query()).want(t, http.StatusOK))
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("who had access (-want +got):\n%s", diff)
		}
		var paged []string
		for cursor := ""; ; {
			page := w.get(m.query()+"&limit=1"+cursor).want(t, http.StatusOK)
			paged = append(paged, whoHad(page)...)
			if page.str("next_cursor") == "" {
				break
			}
			cursor = "&cursor=" + page.str("next_cursor")
		}
		slices.Sort(paged)
		if diff := cmp.Diff(want, paged); diff != "" {
			t.Errorf("page by page (-want +got):\n%s", diff)
		}
	})
}

// consent has a person allow app something.
func (w *world) consent(subject, username string) {
	w.t.Helper()
	if err := w.store.Consents().Remember(w.t.Context(), subject, username, "app", "app", []string{resource}, []string{"mcp:search"}); err != nil {
		w.t.Fatal(err)
	}
	w.clock.advance(time.Minute)
}

// Who had a token is told by the rows of tokens, and of clients by events once the rows are gone.
func TestWhoHadAccessTellsTheTokens(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci"}`)
		w.clock.advance(time.Minute)
		w.machine("idle")
		w.mustToken(id, secret)
		lines := w.get("/access").want(t, http.StatusOK).items()
		if len(lines) != 2 || lines[0]["first_token_at"] == nil || lines[0]["last_token_at"] == nil || lines[1]["first_token_at"] != nil {
			t.Errorf("%v", lines)
		}
		w.clock.advance(15 * 24 * time.Hour)
		after := "/access?since=" + w.moment()
		if lines := w.get(after).items(); lines[0]["last_token_at"] != nil {
			t.Errorf("a token that had expired before counts: %v", lines[0])
		}
		if err := w.store.Settings().NoteIssuedTokens(t.Context(), true, w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if err := w.store.Audit().Append(t.Context(), audit.Event{Action: "token.issued", ClientID: id}); err != nil {
			t.Fatal(err)
		}
		if lines := w.get(after).items(); lines[0]["last_token_at"] != w.clock.Now().Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("a token that is on record does not count: %v", lines[0])
		}
	})
}

func TestWhoHadAccessComesInThreeFormatsAndForSingleClients(t *testing.T) {
	w := newWorld(t)
	w.client(`{"client_id":"mine","client_name":"=cmd"}`)
	w.machine("other")
	header := w.withKey(&audit.AdminKey{Name: "team", Role: audit.RoleRead, Clients: []string{"mine", "app"}})
	for _, subject := range []string{"alice", "bob"} { // bob takes it back
		w.consents(subject, subject, "other")
	}
	if err := w.store.Consents().Withdraw(t.Context(), "bob", "other"); err != nil {
		t.Fatal(err)
	}
	w.consent("alice", "alice")
	got := whoHad(w.do(call{method: "GET", path: "/access", header: header}).want(t, http.StatusOK))
	if len(got) != 2 || !strings.HasPrefix(got[0], "client mine:") || !strings.HasPrefix(got[1], "person app alice:") {
		t.Errorf("a key for single clients sees %q", got)
	}
	if got := w.do(call{method: "GET", path: "/access?client_id=other", header: header}).want(t, http.StatusOK).items(); len(got) != 0 {
		t.Errorf("a key for single clients sees another one: %v", got)
	}
	if got := whoHad(w.get("/access?client_id=app").want(t, http.StatusOK)); len(got) != 1 {
		t.Errorf("by the client app: %q", got)
	}
	header["Accept"] = "text/csv"
	answer := w.do(call{method: "GET", path: "/access?limit=1", header: header}).want(t, http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(answer.text)).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][2] != "'=cmd" || !strings.Contains(answer.Header.Get("Link"), `rel="next"`) {
		t.Errorf("%v %q %v", err, rows, answer.Header)
	}
	for _, query := range []string{"since=monday", "limit=0", "cursor=x", "cursor=eyJwIjo5fQ", "client_id="} {
		w.get("/access?"+query).want(t, http.StatusBadRequest)
	}
}

// granted stores an access token and a refresh token of app in the name of a person.
func (w *world) granted(name, subject string) {
	w.t.Helper()
	request := fosite.NewRequest()
	c, err := w.store.GetClient(w.t.Context(), "app")
	if err != nil {
		w.t.Fatal(err)
	}
	session := provider.NewSession()
	session.Subject = subject
	request.ID, request.Client, request.Session, request.RequestedAt = name, c, session, w.clock.Now()
	request.GrantedScope, request.GrantedAudience = fosite.Arguments{"mcp:write"}, fosite.Arguments{otherResource}
	for _, kind := range []fosite.TokenType{fosite.AccessToken, fosite.RefreshToken} {
		session.SetExpiresAt(kind, w.clock.Now().Add(24*time.Hour))
	}
	for _, err := range []error{
		w.store.CreateAccessTokenSession(w.t.Context(), name, request),
		w.store.CreateRefreshTokenSession(w.t.Context(), name, name, request),
	} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// Whoever has a grant had access, whatever is known of the consent. What consent and grant both tell is one line.
func TestWhoHadAccessByAGrant(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		w.client(`{"client_id":"app","client_name":"app","grant_types":["authorization_code"],"redirect_uris":["https://a.example/cb"]}`)
		off, gone := w.account("off"), w.account("gone")
		for _, subject := range []string{"live", "revoked before", "revoked", "withdrawn", off, gone} {
			w.granted("grant of "+subject, subject)
		}
		for subject, name := range map[string]string{"withdrawn": "withdrawn", off: "off", gone: "gone"} {
			w.consent(subject, name)
		}
		revoke := func(subject string) {
			if _, err := w.store.RevokeSubject(t.Context(), subject, ""); err != nil {
				t.Fatal(err)
			}
		}
		revoke("revoked before")
		since := w.moment()
		revoke("revoked")
		if err := w.store.Consents().Withdraw(t.Context(), "withdrawn", "app"); err != nil {
			t.Fatal(err)
		}
		w.post("/users/"+off+"/disable", "").want(t, http.StatusOK)
		w.delete("/users/"+gone).want(t, http.StatusNoContent)
		both := ": mcp:search mcp:write at [" + resource + " " + otherResource + "] by consent, "
		want := []string{
			"person app <nil>: mcp:write at [" + otherResource + "] by grant, active", "person app <nil>: mcp:write at [" + otherResource + "] by grant, ended until",
			"person app gone: mcp:search at [" + resource + "] by consent, ended until", "person app off" + both + "disabled until",
			"person app withdrawn: mcp:search at [" + resource + "] by consent, ended until",
		}
		answer := w.get("/access?since="+since).want(t, http.StatusOK)
		got := whoHad(answer)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("who had access (-want +got):\n%s", diff)
		}
		for _, line := range answer.items() {
			if line["last_token_at"] == nil {
				t.Errorf("no token is told of %v", line)
			}
		}
		w.delete("/clients/app").want(t, http.StatusNoContent)
		for _, line := range w.get("/access?since="+since).want(t, http.StatusOK).items() {
			if line["status"] == "active" || line["access_until"] == nil {
				t.Errorf("the client was deleted, and there is %v", line)
			}
		}
		if lines := w.get("/access?since=" + w.moment()).items(); len(lines) != 0 {
			t.Errorf("since then nobody has access by it: %v", lines)
		}
	})
}

// Whoever asks for few clients has the database read the consents and grants of these: there may be a million others.
func TestWhoHadAccessReadsTheClientsThatWereAskedFor(t *testing.T) {
	w := newWorld(t)
	w.consents("alice", "alice", "app")
	for i := range 50 {
		w.consents(fmt.Sprint("bob", i), "bob", "other")
	}
	w.consents("zoe", "zoe", "app")
	most := int64(0)
	if err := w.db.Callback().Query().After("gorm:query").Register("rows", func(tx *gorm.DB) { most = max(most, tx.RowsAffected) }); err != nil {
		t.Fatal(err)
	}
	if got := whoHad(w.get("/access?client_id=app").want(t, http.StatusOK)); len(got) != 2 || most > 2 {
		t.Errorf("%q, by up to %d rows", got, most)
	}
}

// What the log tells of a page of people is read at once: a client may have a hundred thousand events, and each look reads all of them.
func TestWhoHadAccessReadsTheLogOnceForAPage(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		w.client(`{"client_id":"app","client_name":"app","grant_types":["authorization_code"],"redirect_uris":["https://a.example/cb"]}`)
		since := w.moment()
		asked := 0
		err := w.db.Callback().Query().After("gorm:query").Register("log", func(tx *gorm.DB) {
			if tx.Statement.Table == "audit_events" {
				asked++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		first := 0
		for i, subject := range []string{`"}`, `\`, `a"b\"c`, "<é&>", "plain"} { // as the log writes them
			w.consent(subject, "x")
			if err := w.store.Consents().Withdraw(t.Context(), subject, "app"); err != nil {
				t.Fatal(err)
			}
			w.granted("grant of "+subject, subject)
			if _, err := w.store.RevokeSubject(t.Context(), subject, ""); err != nil {
				t.Fatal(err)
			}
			asked = 0
			lines := w.get("/access?since="+since).want(t, http.StatusOK).items()
			if i == 0 {
				first = asked
			}
			if len(lines) != i+1 || asked != first {
				t.Fatalf("%q: %d lines, by %d looks, and one person took %d", subject, len(lines), asked, first)
			}
			for _, line := range lines {
				if line["access_from"] == nil || line["by"] != "consent" {
					t.Errorf("%v", line)
				}
			}
		}
	})
}
