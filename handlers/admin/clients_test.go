package admin_test

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"fosite-mcp/provider/client"
)

func TestANameIsEnoughToRegister(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		created := w.post("/clients", `{"client_name":"ci"}`).want(t, http.StatusCreated)
		id, secret := created.str("client_id"), created.str("client_secret")
		if got := created.Header.Get("Location"); got != "/admin/v1/clients/"+id {
			t.Errorf("Location %q", got)
		}
		for name, want := range map[string]any{
			"status": "active", "scope": "mcp:search", "token_endpoint_auth_method": "client_secret_basic", "client_secret_expires_at": 0.0,
		} {
			if created.json[name] != want {
				t.Errorf("%s is %v, want %v", name, created.json[name], want)
			}
		}
		for _, basic := range []bool{true, false} {
			token, problem := w.token(id, secret, basic)
			if problem != "" || !w.active(token) {
				t.Errorf("basic %v: no token: %s", basic, problem)
			}
		}
		shown := w.get("/clients/"+id).want(t, http.StatusOK)
		if shown.Header.Get("ETag") != created.Header.Get("ETag") {
			t.Errorf("ETag %q, then %q", created.Header.Get("ETag"), shown.Header.Get("ETag"))
		}
	})
}

func TestASecretIsFoundNowhereAfterItWasShown(t *testing.T) {
	w := newWorld(t)
	created := w.do(call{method: "POST", path: "/clients", body: `{"client_name":"ci"}`, header: map[string]string{"Idempotency-Key": "first"}}).want(t, http.StatusCreated)
	id := created.str("client_id")
	second := w.do(call{method: "POST", path: "/clients/" + id + "/secrets", header: map[string]string{"Idempotency-Key": "second"}}).want(t, http.StatusCreated)
	if _, problem := w.token(id, created.str("client_secret"), true); problem != "" {
		t.Fatal(problem)
	}
	if err := w.store.FlushUsage(t.Context()); err != nil {
		t.Fatal(err)
	}
	places := map[string]string{
		"log": w.log.String(), "audit": w.get("/audit").text, "list": w.get("/clients").text, "client": w.get("/clients/" + id).text,
		"secrets": w.get("/clients/" + id + "/secrets").text, "tokens": w.get("/clients/" + id + "/tokens").text,
	}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(w.file + suffix)
		if err != nil {
			t.Fatal(err)
		}
		places["database"+suffix] = string(content)
	}
	if !strings.Contains(places["database"]+places["database-wal"], id) {
		t.Error("the database files do not even hold the client's id: this test looks in the wrong place")
	}
	for place, content := range places {
		for _, secret := range []string{created.str("client_secret"), second.str("client_secret"), w.key} {
			if len(secret) < 40 || strings.Contains(content, secret) || strings.Contains(content, secret[len("mcp_cs_"):40]) {
				t.Errorf("%s holds a secret", place)
			}
		}
	}
}

func TestAnIDIsNeverGivenOutTwice(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		w.client(`{"client_id":"mine","client_name":"ci"}`)
		w.post("/clients", `{"client_id":"mine","client_name":"ci"}`).want(t, http.StatusConflict)
		w.delete("/clients/mine").want(t, http.StatusNoContent)
		taken := w.post("/clients", `{"client_id":"mine","client_name":"ci"}`).want(t, http.StatusConflict)
		if taken.problems()["/client_id"] != "exists" {
			t.Errorf("errors %v", taken.problems())
		}
		w.get("/clients/mine").want(t, http.StatusNotFound)
		w.delete("/clients/mine").want(t, http.StatusNotFound)
	})
}

func TestADisabledClientsTokensComeBackWhenItIsEnabled(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci"}`)
		kept, revoked := w.mustToken(id, secret), w.mustToken(id, secret)
		w.post("/tokens/revoke", `{"token":"`+revoked+`"}`).want(t, http.StatusNoContent)

		disabled := w.post("/clients/"+id+"/disable", "").want(t, http.StatusOK)
		if disabled.str("status") != "disabled" || disabled.Header.Get("ETag") != `"2"` {
			t.Errorf("status %q, ETag %s", disabled.str("status"), disabled.Header.Get("ETag"))
		}
		if w.active(kept) {
			t.Error("a token of a disabled client is active")
		}
		if _, problem := w.token(id, secret, true); problem != "invalid_client" {
			t.Errorf("the token endpoint says %q to a disabled client", problem)
		}
		w.post("/clients/"+id+"/disable", "").want(t, http.StatusOK)

		w.post("/clients/"+id+"/enable", "").want(t, http.StatusOK)
		if !w.active(kept) || w.active(revoked) {
			t.Errorf("after enabling: kept %v, revoked %v", w.active(kept), w.active(revoked))
		}
		events := w.get("/audit?client_id=" + id).items()
		if len(events) != 4 { // registered, token revoked, disabled once, enabled
			t.Errorf("%d events: %v", len(events), events)
		}
	})
}

func TestDeletingAClientEndsItsTokensForGood(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci"}`)
		token := w.mustToken(id, secret)
		w.do(call{method: "DELETE", path: "/clients/" + id, header: map[string]string{"If-Match": `"7"`}}).want(t, http.StatusPreconditionFailed)
		if !w.active(token) {
			t.Fatal("a refused deletion has ended a token")
		}
		w.do(call{method: "DELETE", path: "/clients/" + id, header: map[string]string{"If-Match": `"1"`}}).want(t, http.StatusNoContent)
		if w.active(token) {
			t.Error("a token of a deleted client is active")
		}
		if _, problem := w.token(id, secret, true); problem != "invalid_client" {
			t.Errorf("the token endpoint says %q to a deleted client", problem)
		}
		for _, path := range []string{"", "/secrets", "/tokens"} {
			w.get("/clients/"+id+path).want(t, http.StatusNotFound)
		}
		for _, path := range []string{"/enable", "/disable", "/secrets"} {
			w.post("/clients/"+id+path, "").want(t, http.StatusNotFound)
		}
	})
}

func TestTheListGoesThroughAllClientsInTheOrderOfRegistration(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		var want []string
		for range 5 { // some in the same millisecond
			id, _ := w.client(`{"client_name":"ci"}`)
			want = append(want, id)
		}
		w.post("/clients/"+want[1]+"/disable", "").want(t, http.StatusOK)
		var got []string
		path := "/clients?limit=2"
		for pages := 0; path != "" && pages < 5; pages++ {
			page := w.get(path).want(t, http.StatusOK)
			for _, item := range page.items() {
				got = append(got, item["client_id"].(string))
			}
			path = ""
			if next := page.str("next_cursor"); next != "" {
				path = "/clients?limit=2&cursor=" + next
			}
		}
		seen := map[string]bool{}
		for _, id := range got {
			seen[id] = true
		}
		if len(got) != 5 || len(seen) != 5 {
			t.Errorf("%d clients listed, %d different ones, want 5", len(got), len(seen))
		}
		if n := len(w.get("/clients?status=disabled").items()); n != 1 {
			t.Errorf("%d disabled clients, want 1", n)
		}
		if page := w.get("/clients?limit=5"); page.str("next_cursor") != "" || len(page.items()) != 5 {
			t.Error("the last page, filled to the brim, has a next_cursor")
		}
	})
}

func TestTheSearchFindsByNameIDAndOwner(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		w.client(`{"client_id":"alpha_1","client_name":"Nightly build","owner":"team-a@example.com"}`)
		w.client(`{"client_id":"beta_2","client_name":"Überwachung 100%","owner":"team_b"}`)
		for query, want := range map[string]string{
			"ALPHA": "alpha_1", "nightly": "alpha_1", "TEAM-A@": "alpha_1", "t%20bu": "", "y%20bu": "alpha_1", "100%25": "beta_2", "%25": "beta_2",
			"%C3%9Cberw": "beta_2", "m_b": "beta_2", "m%5C": "", "!": "", "%20": "both",
		} {
			items := w.get("/clients?q="+query).want(t, http.StatusOK).items()
			switch {
			case want == "both" || want == "":
				if n := map[string]int{"both": 2, "": 0}[want]; len(items) != n {
					t.Errorf("q=%s finds %d clients, want %d", query, len(items), n)
				}
			case len(items) != 1 || items[0]["client_id"] != want:
				t.Errorf("q=%s finds %v, want %s", query, items, want)
			}
		}
	})
}

func TestImportedClientsAreReachableUnderTheirOwnIDs(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		imported := &client.Client{ID: "5f2b-41 ü", Name: "", GrantTypes: []string{"client_credentials", "implicit"}, TokenEndpointAuthMethod: "client_secret_basic"}
		if err := w.store.Clients().Create(t.Context(), imported); err != nil {
			t.Fatal(err)
		}
		path := "/clients/5f2b-41%20%C3%BC"
		w.get(path).want(t, http.StatusOK)
		w.post(path+"/disable", "").want(t, http.StatusOK)
		// What was wrong before may stay; what a change adds may not.
		w.patch(path, "*", `{"owner":"ops"}`).want(t, http.StatusOK)
		w.patch(path, "*", `{"scope":"nonsense"}`).want(t, http.StatusBadRequest)
	})
}
