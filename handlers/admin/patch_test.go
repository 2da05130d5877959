package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
)

func TestAPatchNeedsTheVersionItWasMadeFor(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	path := "/clients/" + id
	w.patch(path, "", `{"owner":"a"}`).want(t, http.StatusPreconditionRequired)
	for _, stale := range []string{`"2"`, `W/"2"`, `w/"1"`, `W/1`, `W/ "1"`, `1`, `"01"`, `"x", "y"`, `"1-lzma"`, `"1-gzip-gzip"`, `"2-gzip"`, `"1gzip"`, `"-gzip"`, `"11"`, `*, "2"`, `"*"`, `,`} {
		w.patch(path, stale, `{"owner":"a"}`).want(t, http.StatusPreconditionFailed)
	}
	// In the end the forms that nginx, Apache, Caddy and Jetty make of an ETag when they compress.
	for i, good := range []string{`"%d"`, `"9", "%d"`, `*`, ` "%d" ,"x"`, `W/"%d"`, `"%d-gzip"`, `W/"%d-br"`, `"%d-zstd"`, `"%d--gzip"`, `"9-gzip", W/"%d-gzip"`} {
		if strings.Contains(good, "%d") {
			good = fmt.Sprintf(good, i+1)
		}
		changed := w.patch(path, good, `{"owner":"a`+string(rune('0'+i))+`"}`).want(t, http.StatusOK)
		if got := w.get(path).Header.Get("ETag"); got != changed.Header.Get("ETag") {
			t.Errorf("the answer's ETag is %s, the client's %s", changed.Header.Get("ETag"), got)
		}
	}
	w.do(call{method: "PATCH", path: path, body: `{"owner":"b"}`, header: map[string]string{"If-Match": "*", "Content-Type": "text/plain"}}).want(t, http.StatusUnsupportedMediaType)
}

func TestOfTwoPatchesOfOneVersionOneWins(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, _ := w.client(`{"client_name":"ci"}`)
		var wg sync.WaitGroup
		statuses := make([]int, 8)
		for i := range statuses {
			wg.Go(func() {
				statuses[i] = w.patch("/clients/"+id, `"1"`, `{"owner":"`+string(rune('a'+i))+`"}`).StatusCode
			})
		}
		wg.Wait()
		count := map[int]int{}
		for _, status := range statuses {
			count[status]++
		}
		if diff := cmp.Diff(map[int]int{http.StatusOK: 1, http.StatusPreconditionFailed: 7}, count); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	})
}

func TestAPatchChangesWhatItNamesAndNothingElse(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, _ := w.client(`{"client_name":"ci","owner":"ops","scope":"mcp:write","access_token_lifespan":60,"expires_at":"2999-01-01T00:00:00Z","metadata":{"a":1,"b":{"c":2,"d":3}}}`)
		path := "/clients/" + id
		changed := w.patch(path, "*", `{"scope":null,"access_token_lifespan":null,"expires_at":null,"metadata":{"a":null,"b":{"c":5}},"status":"disabled"}`).want(t, http.StatusOK)
		want := map[string]any{
			"client_name": "ci", "owner": "ops", "scope": "mcp:search", "access_token_lifespan": nil, "expires_at": nil,
			"metadata": map[string]any{"b": map[string]any{"c": 5.0, "d": 3.0}}, "status": "disabled",
		}
		for _, answer := range []*reply{changed, w.get(path)} {
			for member, value := range want {
				if diff := cmp.Diff(value, answer.json[member]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", member, diff)
				}
			}
		}
		same := w.patch(path, "*", `{"owner":"ops"}`).want(t, http.StatusOK)
		if same.Header.Get("ETag") != changed.Header.Get("ETag") {
			t.Error("a patch that changes nothing makes a new version")
		}
		events := w.get("/audit?action=client.changed").items()
		if len(events) != 1 {
			t.Fatalf("%d events, want 1: a patch that changes nothing is none", len(events))
		}
		wantChanges := map[string]any{
			"scope":                 map[string]any{"before": "mcp:write", "after": "mcp:search"},
			"access_token_lifespan": map[string]any{"before": 60.0, "after": nil},
			"expires_at":            map[string]any{"before": "2999-01-01T00:00:00.000Z", "after": nil},
			"metadata":              map[string]any{"before": map[string]any{"a": 1.0, "b": map[string]any{"c": 2.0, "d": 3.0}}, "after": want["metadata"]},
			"status":                map[string]any{"before": "active", "after": "disabled"},
		}
		if diff := cmp.Diff(wantChanges, events[0]["changes"]); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
	})
}

func TestPatchesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	for body, want := range map[string]map[string]string{
		`{"client_name":null}`:                   {"/client_name": "required"},
		`{"client_id":"other"}`:                  {"/client_id": "read_only"},
		`{"client_secret":"x"}`:                  {"/client_secret": "read_only"},
		`{"grant_types":["authorization_code"]}`: {"/redirect_uris": "required"},
		`{"status":"deleted"}`:                   {"/status": "invalid"},
		// The client has a secret, which neither method has any use for.
		`{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a.example/jwks"}`:                                {"/token_endpoint_auth_method": "conflict"},
		`{"token_endpoint_auth_method":"none","grant_types":["authorization_code"],"redirect_uris":["https://a.example/cb"]}`: {"/token_endpoint_auth_method": "conflict"},
	} {
		refused := w.patch("/clients/"+id, "*", body).want(t, http.StatusBadRequest)
		if diff := cmp.Diff(want, refused.problems()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
	if got := w.get("/clients/" + id).Header.Get("ETag"); got != `"1"` {
		t.Errorf("a refused patch left version %s", got)
	}
}

func TestAClientWithoutSecretsCanBecomePublic(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	secret := w.get("/clients/" + id + "/secrets").items()[0]["id"].(string)
	w.delete("/clients/"+id+"/secrets/"+secret).want(t, http.StatusNoContent)
	public := w.patch("/clients/"+id, "*", `{"token_endpoint_auth_method":"none","grant_types":["authorization_code"],"redirect_uris":["com.example.app:/cb"]}`).want(t, http.StatusOK)
	if diff := cmp.Diff([]any{"code"}, public.json["response_types"]); diff != "" {
		t.Errorf("response_types follow from grant_types (-want +got):\n%s", diff)
	}
	w.post("/clients/"+id+"/secrets", "").want(t, http.StatusConflict)
}

// A row from before the rule can still be changed, and cannot get another redirect URI that breaks it.
func TestARedirectURIFromBeforeTheRuleMayStayButNotBeReplacedByItsLike(t *testing.T) {
	w := newWorld(t)
	old := &client.Client{
		ID: "old", Name: "old", TokenEndpointAuthMethod: "none", GrantTypes: []string{"authorization_code"}, ResponseTypes: []string{"code"},
		RedirectURIs: []string{"https://a.example/x/../cb"},
	}
	if err := w.store.Clients().Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	w.patch("/clients/old", "*", `{"owner":"ops"}`).want(t, http.StatusOK)
	w.patch("/clients/old", "*", `{"redirect_uris":["https://a.example/y/../cb"]}`).want(t, http.StatusBadRequest)
	w.patch("/clients/old", "*", `{"redirect_uris":["https://a.example/cb"]}`).want(t, http.StatusOK)
}

func TestWhoHasAVersionDoesNotGetItAgain(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	path := "/clients/" + id
	for condition, status := range map[string]int{
		`"1"`: http.StatusNotModified, `W/"1"`: http.StatusNotModified, `"1-gzip"`: http.StatusNotModified, `"7", W/"1-br"`: http.StatusNotModified,
		`*`: http.StatusNotModified, `"2"`: http.StatusOK, `W/"2"`: http.StatusOK, `1`: http.StatusOK, `"7", "8"`: http.StatusOK,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			answer := w.do(call{method: method, path: path, header: map[string]string{"If-None-Match": condition}}).want(t, status)
			if got := answer.Header.Get("ETag"); got != `"1"` || status == http.StatusNotModified && answer.text != "" {
				t.Errorf("%s, %s: ETag %s, body %q", method, condition, got, answer.text)
			}
		}
		if status == http.StatusNotModified { // RFC 9110 §13.1.2: a change is not made
			w.do(call{method: "DELETE", path: path, header: map[string]string{"If-None-Match": condition}}).want(t, http.StatusPreconditionFailed)
			w.do(call{method: "POST", path: path + "/disable", header: map[string]string{"If-Match": "*", "If-None-Match": condition}}).want(t, http.StatusPreconditionFailed)
		}
	}
	w.do(call{method: "GET", path: "/clients/nobody", header: map[string]string{"If-None-Match": "*"}}).want(t, http.StatusNotFound)
	w.do(call{method: "DELETE", path: path, header: map[string]string{"If-Match": `W/"1-gzip"`, "If-None-Match": `"2"`}}).want(t, http.StatusNoContent)
}
