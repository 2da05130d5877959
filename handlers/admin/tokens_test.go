package admin_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/storage"
	"fosite-mcp/storage/audit"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

func sortedKeys(object map[string]any) []string { return slices.Sorted(maps.Keys(object)) }

func (w *world) tokenID(token string) string {
	return storage.TokenID(w.provider.Strategy.AccessTokenSignature(w.t.Context(), token))
}

func TestTheTokensOfAClientAreListedWithTheirStatus(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci","access_token_lifespan":3600}`)
		expired := w.mustToken(id, secret)
		w.clock.advance(time.Hour + time.Minute)
		w.patch("/clients/"+id, "*", `{"access_token_lifespan":null}`).want(t, http.StatusOK)
		revoked, alive := w.mustToken(id, secret), w.mustToken(id, secret)
		w.post("/clients/"+id+"/tokens/revoke", `{"token_id":"`+w.tokenID(revoked)+`"}`).want(t, http.StatusNoContent)

		want := map[string]string{w.tokenID(expired): "expired", w.tokenID(revoked): "revoked", w.tokenID(alive): "active"}
		for query, kept := range map[string][]string{"": {"active", "expired", "revoked"}, "?active=true": {"active"}, "?active=false": {"expired", "revoked"}} {
			items := w.get("/clients/"+id+"/tokens"+query).want(t, http.StatusOK).items()
			if len(items) != len(kept) {
				t.Errorf("%q lists %d tokens, want %d", query, len(items), len(kept))
			}
			for _, item := range items {
				if status := want[item["token_id"].(string)]; item["status"] != status || !slices.Contains(kept, status) {
					t.Errorf("%q lists %v, want %s", query, item, status)
				}
			}
		}
		if w.active(revoked) || !w.active(alive) || w.active(expired) {
			t.Error("the list and introspection do not agree")
		}
		item := w.get("/clients/" + id + "/tokens?active=true").items()[0]
		if diff := cmp.Diff([]any{resource}, item["audience"]); diff != "" || item["scope"] != "mcp:search" || item["secret_id"] == nil {
			t.Errorf("item %v", item)
		}
	})
}

func TestTheTokenListShowsWhatTokensAllowToday(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci","scope":"mcp:search mcp:write"}`)
		token := w.mustToken(id, secret)
		for _, c := range []struct {
			patch, scope string
			audience     []any
		}{
			{`{}`, "mcp:search mcp:write", []any{resource}},
			{`{"scope":"mcp:search"}`, "mcp:search", []any{resource}},
			{`{"audience":["` + otherResource + `"]}`, "", []any{}},
			{`{"audience":["` + resource + `"],"scope":"mcp:write"}`, "mcp:write", []any{resource}},
			{`{"scope":""}`, "", []any{resource}},
		} {
			w.patch("/clients/"+id, "*", c.patch).want(t, http.StatusOK)
			item := w.get("/clients/" + id + "/tokens").items()[0]
			if diff := cmp.Diff(c.audience, item["audience"]); diff != "" || item["scope"] != c.scope || item["status"] != "active" {
				t.Errorf("after %s: %v, want the scope %q and the audience %v", c.patch, item, c.scope, c.audience)
			}
			if w.active(token) != (c.scope != "") {
				t.Errorf("after %s the list and introspection do not agree", c.patch)
			}
		}
	})
}

func TestTheTokenListHasPages(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci"}`)
		for range 5 {
			w.mustToken(id, secret)
		}
		seen := map[string]bool{}
		path := "/clients/" + id + "/tokens?limit=2"
		next := ""
		for range 4 {
			page := w.get(path+next).want(t, http.StatusOK)
			for _, item := range page.items() {
				seen[item["token_id"].(string)] = true
			}
			if page.str("next_cursor") == "" {
				break
			}
			next = "&cursor=" + page.str("next_cursor")
		}
		if len(seen) != 5 {
			t.Errorf("%d different tokens listed, want 5", len(seen))
		}
	})
}

func TestTokensAreRevokedByWhatNamesThem(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, first := w.client(`{"client_name":"ci"}`)
		second := w.post("/clients/"+id+"/secrets", `{}`).str("client_secret")
		path := "/clients/" + id + "/tokens/revoke"
		secretID := func(secret string) string {
			for _, item := range w.get("/clients/" + id + "/secrets").items() {
				if item["hint"] == secret[len(secret)-4:] {
					return item["id"].(string)
				}
			}
			t.Fatal("the secret is not listed")
			return ""
		}
		a, b, c := w.mustToken(id, first), w.mustToken(id, first), w.mustToken(id, second)
		check := func(step string, want ...bool) {
			t.Helper()
			if diff := cmp.Diff(want, []bool{w.active(a), w.active(b), w.active(c)}); diff != "" {
				t.Errorf("%s: active (-want +got):\n%s", step, diff)
			}
		}
		check("at first", true, true, true)
		w.post(path, `{"token_id":"`+w.tokenID(a)+`"}`).want(t, http.StatusNoContent)
		check("by token id", false, true, true)
		w.post(path, `{"secret_id":"`+secretID(first)+`"}`).want(t, http.StatusNoContent)
		check("by secret id", false, false, true)
		w.post(path, `{"issued_before":"2020-01-01T00:00:00Z"}`).want(t, http.StatusNoContent)
		check("issued long before", false, false, true)
		w.post(path, `{"all":true}`).want(t, http.StatusNoContent)
		check("all", false, false, false)
		c = w.mustToken(id, second)
		check("issued after all were revoked", false, false, true)
		w.clock.advance(time.Hour)
		w.post(path, `{"issued_before":"`+w.clock.Now().Format(time.RFC3339)+`"}`).want(t, http.StatusNoContent)
		check("issued before now", false, false, false)
		w.post(path, `{"token_id":"`+w.tokenID("mcp_at_x")+`"}`).want(t, http.StatusNotFound)
		w.post(path, `{"token_id":"`+w.tokenID("mcp_at_x")+`A"}`).want(t, http.StatusBadRequest)
	})
}

func TestATokenOfAnotherClientIsNotRevokedByItsID(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	other, secret := w.client(`{"client_name":"other"}`)
	token := w.mustToken(other, secret)
	w.post("/clients/"+id+"/tokens/revoke", `{"token_id":"`+w.tokenID(token)+`"}`).want(t, http.StatusNotFound)
	if !w.active(token) {
		t.Error("it was")
	}
}

func TestRevocationsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	id, secret := w.client(`{"client_name":"ci"}`)
	token := w.mustToken(id, secret)
	for body, want := range map[string]map[string]string{
		`{}`:                                       {"": "one_of"},
		`{"all":false}`:                            {"/all": "invalid"},
		`{"all":"true"}`:                           {"/all": "wrong_type"},
		`{"all":true,"secret_id":"x"}`:             {"": "one_of"},
		`{"token_id":"short"}`:                     {"/token_id": "invalid"},
		`{"token_id":7}`:                           {"/token_id": "wrong_type"},
		`{"secret_id":""}`:                         {"/secret_id": "invalid"},
		`{"secret_id":"a\u0000"}`:                  {"/secret_id": "invalid"},
		`{"issued_before":"yesterday"}`:            {"/issued_before": "wrong_type"},
		`{"issued_before":"9000-01-01T00:00:00Z"}`: {"/issued_before": "invalid"},
		`{"al":true}`:                              {"": "one_of", "/al": "unknown_member"},
	} {
		refused := w.post("/clients/"+id+"/tokens/revoke", body).want(t, http.StatusBadRequest)
		if diff := cmp.Diff(want, refused.problems()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	for _, body := range []string{`{}`, `{"token":""}`, `{"token":7}`, `{"token":null}`, `{"token":"x","hint":"y"}`} {
		w.post("/tokens/revoke", body).want(t, http.StatusBadRequest)
	}
	if !w.active(token) {
		t.Error("a refused revocation has ended a token")
	}
}

// It ends what every client has, so it needs an administrator who says so, and a person's logins are left alone.
func TestAllTokensOfAllClientsAreRevoked(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci"}`)
		other, otherSecret := w.client(`{"client_name":"other"}`)
		old := []string{w.mustToken(id, secret), w.mustToken(other, otherSecret)}
		if err := w.db.Exec("UPDATE access_tokens SET issued_at = issued_at - 3600000").Error; err != nil {
			t.Fatal(err)
		}
		start := w.clock.Now().Add(-time.Minute).Format(time.RFC3339Nano)
		young := w.mustToken(id, secret)
		for body, want := range map[string]map[string]string{
			`{"all":false}`: {"/all": "required"}, `{"all":null}`: {"/all": "wrong_type"}, `{"all":"true"}`: {"/all": "wrong_type"},
			`{"issued_before":"` + start + `"}`:                   {"/all": "wrong_type"},
			`{"all":true,"issued_before":null}`:                   {"/issued_before": "wrong_type"},
			`{"all":true,"issued_before":""}`:                     {"/issued_before": "wrong_type"},
			`{"all":true,"issued_before":"9000-01-01T00:00:00Z"}`: {"/issued_before": "invalid"},
			`{"all":true,"token":"x"}`:                            {"/token": "unknown_member"},
			`{"all":true,"issued-before":"2020-01-01T00:00:00Z"}`: {"/issued-before": "unknown_member"},
		} {
			refused := w.post("/tokens/revoke", body).want(t, http.StatusBadRequest)
			if diff := cmp.Diff(want, refused.problems()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", body, diff)
			}
		}
		clients := w.withKey(&audit.AdminKey{Name: "clients", Role: audit.RoleClients})
		w.do(call{method: "POST", path: "/tokens/revoke", body: `{"all":true}`, header: clients}).want(t, http.StatusForbidden)
		check := func(step string, want ...bool) {
			t.Helper()
			if diff := cmp.Diff(want, []bool{w.active(old[0]), w.active(old[1]), w.active(young)}); diff != "" {
				t.Errorf("%s: active (-want +got):\n%s", step, diff)
			}
		}
		check("refused", true, true, true)
		w.post("/tokens/revoke", `{"all":true,"issued_before":"`+start+`"}`).want(t, http.StatusNoContent)
		check("before a time", false, false, true)
		w.post("/tokens/revoke", `{"all":true}`).want(t, http.StatusNoContent)
		check("all", false, false, false)
		if young = w.mustToken(id, secret); !w.active(young) {
			t.Error("a new token is dead")
		}
		events := w.get("/audit?action=tokens.revoked").items()
		if len(events) != 2 || events[0]["client_id"] != nil || !strings.Contains(fmt.Sprint(events[0]["changes"]), "all_clients") ||
			!strings.Contains(fmt.Sprint(events[0]["changes"]), "issued_before") {
			t.Errorf("events %v", events)
		}
	})
}

// A token that cannot be checked here is neither revoked nor unknown, and it is said how to revoke it all the same.
func TestALeakedTokenOfAMissingSecretIsNotCalledUnknown(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci"}`)
		token := w.mustToken(id, secret)
		tokenID := w.get("/clients/" + id + "/tokens").items()[0]["token_id"].(string)
		elsewhere, err := provider.NewTokenStrategy(w.provider.Config, []byte(strings.Repeat("o", 32)))
		if err != nil {
			t.Fatal(err)
		}
		invented, _, err := elsewhere.GenerateAccessToken(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var noted []fosite.TokenType
		w.server.AccessTokenSignature, w.server.RefreshTokenSignature = elsewhere.AccessTokenSignature, elsewhere.RefreshTokenSignature
		w.server.UnverifiedSignature = elsewhere.UnverifiedSignature
		w.server.OnMissingSecret = func(_ context.Context, kind fosite.TokenType) { noted = append(noted, kind) }
		w.mount()
		refused := w.post("/tokens/revoke", `{"token":"`+token+`"}`).want(t, http.StatusServiceUnavailable)
		if !strings.Contains(refused.str("detail"), "nothing was revoked") || refused.Header.Get("Retry-After") == "" || len(noted) != 1 {
			t.Errorf("answered %s, noted %v", refused.text, noted)
		}
		w.post("/tokens/revoke", `{"token":"`+invented+`"}`).want(t, http.StatusNotFound)
		if !w.active(token) {
			t.Fatal("the token was revoked")
		}
		w.post("/clients/"+id+"/tokens/revoke", `{"token_id":"`+tokenID+`"}`).want(t, http.StatusNoContent)
		if w.active(token) {
			t.Error("the token is alive")
		}
	})
}

func TestALeakedTokenIsRevokedByItsValue(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci"}`)
		leaked, other := w.mustToken(id, secret), w.mustToken(id, secret)
		// Also while the client is disabled: enabling it must not bring the token back.
		w.post("/clients/"+id+"/disable", "").want(t, http.StatusOK)
		w.post("/tokens/revoke", `{"token":"`+leaked+`"}`).want(t, http.StatusNoContent)
		w.post("/tokens/revoke", `{"token":"`+leaked+`"}`).want(t, http.StatusNoContent)
		w.post("/clients/"+id+"/enable", "").want(t, http.StatusOK)
		if w.active(leaked) || !w.active(other) {
			t.Errorf("active: leaked %v, other %v", w.active(leaked), w.active(other))
		}
		// Its signature alone, which is what a database or log might leak, opens nothing and closes nothing.
		w.post("/tokens/revoke", `{"token":"mcp_at_`+other[len(other)-43:]+`"}`).want(t, http.StatusNotFound)
		// Nobody must believe that a leak is closed when it is not.
		refused := w.post("/tokens/revoke", `{"token":"garbage"}`).want(t, http.StatusNotFound)
		if !strings.Contains(refused.str("detail"), "nothing was revoked") || strings.Contains(refused.text, "garbage") {
			t.Errorf("an unknown token is answered %s", refused.text)
		}
		if !w.active(other) {
			t.Error("a token was ended by its signature")
		}
		events := w.get("/audit?action=token.revoked").items()
		if len(events) == 0 || events[0]["client_id"] != id || events[0]["token_id"] != w.tokenID(leaked) {
			t.Errorf("events %v", events)
		}
	})
}
