package admin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/people"

	"github.com/google/go-cmp/cmp"
)

const (
	aPassword       = "correct horse battery"
	anotherPassword = "staple battery horse"
)

// account makes an account and returns its id. It costs no slow hash.
func (w *world) account(name string) string {
	w.t.Helper()
	user := &people.User{Username: name, PasswordHash: []byte("hash")}
	if err := w.store.Users().Create(w.t.Context(), user); err != nil {
		w.t.Fatal(err)
	}
	return user.ID
}

// consents keeps that a person allowed a client something, and that a browser of theirs is logged in.
func (w *world) consents(subject, username, clientID string) {
	w.t.Helper()
	if err := w.store.Consents().Remember(w.t.Context(), subject, username, clientID, "App", []string{resource}, []string{"mcp:search"}); err != nil {
		w.t.Fatal(err)
	}
	err := w.store.LoginSessions().Create(w.t.Context(), "browser of "+subject+clientID, subject, username, "oidc", []byte("{}"), w.clock.Now().Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
}

// The database sorts by its own rules, and each consent is on one page.
func TestConsentsArePagedByTheDatabase(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		var want []string
		for _, subject := range []string{"a", "B", "c", "Ä", "_", "b c", "10", "9"} {
			for _, clientID := range []string{"one", "Two"} {
				w.consents(subject, subject, clientID)
				want = append(want, subject+" "+clientID)
			}
		}
		w.client(`{"client_id":"gone","client_name":"gone"}`)
		w.consents("a", "a", "gone")
		w.delete("/clients/gone").want(t, http.StatusNoContent)
		var got []string
		for cursor := ""; ; {
			page := w.get("/consents?limit=3"+cursor).want(t, http.StatusOK)
			for _, item := range page.items() {
				got = append(got, fmt.Sprint(item["subject"], " ", item["client_id"]))
			}
			if page.str("next_cursor") == "" {
				break
			}
			cursor = "&cursor=" + page.str("next_cursor")
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("consents (-want +got):\n%s", diff)
		}
		for query, want := range map[string]int{"?subject=a": 2, "?client_id=Two": 8, "?username=B": 2, "?subject=a&client_id=one": 1, "?subject=nobody": 0} {
			if got := len(w.get("/consents"+query).want(t, http.StatusOK).items()); got != want {
				t.Errorf("%s: %d consents, want %d", query, got, want)
			}
		}
	})
}

func TestAnAccountIsMadeChangedAndDeleted(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		header := w.withKey(&audit.AdminKey{Name: "hr", Role: audit.RolePeople})
		as := func(c call) *reply {
			c.header = map[string]string{"Authorization": header["Authorization"], "If-Match": c.header["If-Match"], "X-Request-Id": "req-7"}
			return w.do(c)
		}
		made := as(call{method: "POST", path: "/users", body: `{"username":"Ada","password":"` + aPassword + `","groups":["staff"]}`}).want(t, http.StatusCreated)
		path := strings.TrimPrefix(made.Header.Get("Location"), "/admin/v1")
		tag := made.Header.Get("ETag")
		if shown := w.get(path); shown.str("username") != "ada" || shown.Header.Get("ETag") != tag {
			t.Errorf("the account is %s", shown.text)
		}
		as(call{method: "POST", path: "/users", body: `{"username":"ada","password":"` + aPassword + `"}`}).want(t, http.StatusConflict)

		changed := as(call{method: "PATCH", path: path, body: `{"groups":["docs"],"password":"` + anotherPassword + `"}`, header: map[string]string{"If-Match": tag}}).want(t, http.StatusOK)
		for _, c := range []call{{method: "PATCH", path: path, body: `{"groups":[]}`}, {method: "POST", path: path + "/disable"}, {method: "DELETE", path: path}} {
			c.header = map[string]string{"If-Match": tag} // the one before
			as(c).want(t, http.StatusPreconditionFailed)
		}
		if w.get(path).text != changed.text {
			t.Error("a stale change was made")
		}
		if got := as(call{method: "POST", path: path + "/disable"}).want(t, http.StatusOK); got.str("status") != "disabled" {
			t.Errorf("disabled: %s", got.text)
		}
		as(call{method: "POST", path: path + "/enable"}).want(t, http.StatusOK)
		subject, hash, groups, err := w.store.Users().LoginAccount(t.Context(), "ada")
		if err != nil || subject != made.str("id") || len(hash) == 0 || fmt.Sprint(groups) != "[docs]" {
			t.Errorf("at the login: %s %q %v", subject, groups, err)
		}
		as(call{method: "DELETE", path: path}).want(t, http.StatusNoContent)
		w.get(path).want(t, http.StatusNotFound)
		if items := w.get("/users").items(); len(items) != 0 {
			t.Errorf("the list has %v", items)
		}

		log := w.get("/audit?actor=hr")
		var actions []string
		for _, event := range log.items() {
			actions = append(actions, fmt.Sprint(event["action"]))
			if event["request_id"] != "req-7" {
				t.Errorf("event %v", event)
			}
		}
		if got, want := strings.Join(actions, " "), "user.created user.groups_changed user.password_changed user.disabled user.enabled user.deleted"; got != want {
			t.Errorf("on record: %s, want %s", got, want)
		}
		for _, password := range []string{aPassword, anotherPassword, "argon2"} {
			if strings.Contains(log.text+made.text+changed.text+w.log.String(), password) {
				t.Errorf("%q is told", password)
			}
		}
	})
}

// One call, by the subject of anybody's tokens.
func TestOneCallKeepsAPersonOut(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		const stranger = "oidc|https://idp.example/a|7"
		for _, subject := range []string{w.account("ada"), stranger} {
			w.consents(subject, "ada", "app")
			w.consents(subject, "ada", "other")
			path := "/users/" + url.PathEscape(subject)
			revoked := w.post(path+"/revoke", "").want(t, http.StatusOK)
			if got := fmt.Sprint(revoked.json["ended"]); revoked.str("status") != "disabled" || got != "map[consents:2 grants:0 sessions:2]" {
				t.Errorf("%s: %s", subject, revoked.text)
			}
			if items := w.get(path + "/consents").items(); len(items) != 0 {
				t.Errorf("%s: consents are left: %v", subject, items)
			}
			if got := w.get(path); got.str("status") != "disabled" {
				t.Errorf("%s is shown as %s", subject, got.text)
			}
		}
		if items := w.get("/users?status=disabled").items(); len(items) != 2 || items[1]["username"] != nil {
			t.Errorf("the list has %v", items)
		}
		w.post("/users/user_nobody/revoke", "").want(t, http.StatusNotFound)
		w.delete("/users/"+url.PathEscape(stranger)).want(t, http.StatusNotFound)
		w.post("/users/"+url.PathEscape(stranger)+"/enable", "").want(t, http.StatusNoContent)
		w.get("/users/"+url.PathEscape(stranger)).want(t, http.StatusNotFound)
		if events := w.get("/audit?action=user.revoked").items(); len(events) != 2 || events[0]["actor"] != "admin" {
			t.Errorf("on record: %v", events)
		}
	})
}

func TestConsentsAreListedAndTakenBack(t *testing.T) {
	w := newWorld(t)
	for _, c := range [][3]string{{"user_1", "ada", "app"}, {"user_1", "ada", "other"}, {"user_2", "bob", "app"}} {
		w.consents(c[0], c[1], c[2])
	}
	first := w.get("/consents?limit=2").want(t, http.StatusOK)
	if rest := w.get("/consents?limit=2&cursor=" + first.str("next_cursor")); len(first.items()) != 2 || len(rest.items()) != 1 || rest.items()[0]["username"] != "bob" {
		t.Errorf("the pages are %s and %s", first.text, rest.text)
	}
	for path, want := range map[string]int{"/users/user_1/consents": 2, "/consents?username=bob": 1, "/consents?client_id=app": 2, "/consents?subject=user_2&client_id=other": 0} {
		if items := w.get(path).want(t, http.StatusOK).items(); len(items) != want {
			t.Errorf("%s has %d consents, want %d", path, len(items), want)
		}
	}
	for _, body := range []string{`{}`, `{"subject":""}`, `{"client_id":"app","subject":""}`, `{"username":null}`, `{"client":"app"}`} {
		w.post("/consents/revoke", body).want(t, http.StatusBadRequest)
	}
	for _, query := range []string{"subject=", "username=", "client_id=", "client=app", "cursor=x"} {
		w.get("/consents?"+query).want(t, http.StatusBadRequest)
	}
	w.delete("/users/user_1/consents/app").want(t, http.StatusNoContent)
	w.delete("/users/user_1/consents/app").want(t, http.StatusNotFound)
	if got := w.post("/consents/revoke", `{"client_id":"app"}`).want(t, http.StatusOK); got.text != "{\"revoked\":1}\n" {
		t.Errorf("revoked: %s", got.text)
	}
	if items := w.get("/consents").items(); len(items) != 1 || items[0]["client_id"] != "other" {
		t.Errorf("left: %v", items)
	}
}

func TestAccountsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	id := w.account("ada")
	for body, pointer := range map[string]string{
		`{"password":"` + aPassword + `"}`: "/username", `{"username":"a b","password":"` + aPassword + `"}`: "/username", `{"username":"bob"}`: "/password",
		`{"username":"bob","password":"hunter2"}`: "/password", `{"username":"bob","password":7}`: "/password", `{"username":"bob","password":null}`: "/password",
		`{"username":"battery-horse","password":"battery-horse"}`: "/password", `{"username":"bob","password":"` + aPassword + `","groups":["a,b"]}`: "/groups/0",
		`{"username":"bob","password":"` + aPassword + `","id":"user_1"}`: "/id", `{"username":"bob","password":"` + aPassword + `","password_hash":"x"}`: "/password_hash",
	} {
		refused := w.post("/users", body).want(t, http.StatusBadRequest)
		if refused.problems()[pointer] == "" || strings.Contains(refused.text, "hunter2") {
			t.Errorf("%s: %s, want a mistake at %s", body, refused.text, pointer)
		}
	}
	for body, pointer := range map[string]string{`{"username":"eve"}`: "/username", `{"password":""}`: "/password", `{"password":null}`: "/password", `{"status":"active"}`: "/status"} {
		if refused := w.patch("/users/"+id, "*", body).want(t, http.StatusBadRequest); refused.problems()[pointer] == "" {
			t.Errorf("%s: %s, want a mistake at %s", body, refused.text, pointer)
		}
	}
	for _, query := range []string{"status=deleted", "username=", "cursor=x", "limit=0"} {
		w.get("/users?"+query).want(t, http.StatusBadRequest)
	}
}
