package admin_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

// listed are the ids on all pages of a list, of two items each.
func (w *world) listed(query string) (ids []string) {
	w.t.Helper()
	for cursor := ""; ; {
		page := w.get("/clients?limit=2"+query+cursor).want(w.t, http.StatusOK)
		for _, item := range page.items() {
			ids = append(ids, item["client_id"].(string))
		}
		next := page.str("next_cursor")
		if next == "" {
			return ids
		}
		cursor = "&cursor=" + next
	}
}

func (w *world) wantListed(query string, want ...string) {
	w.t.Helper()
	got := w.listed(query)
	slices.Sort(got) // clients of the same millisecond are in the order of their ids
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", query, diff)
	}
}

func TestAListIsFilteredByOwner(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		for i, owner := range []string{"a", "b", "a", "A", "a b", "a", "a"} {
			w.client(fmt.Sprintf(`{"client_id":"c%d","client_name":"ci","owner":"%s"}`, i, owner))
		}
		w.wantListed("&owner=a", "c0", "c2", "c5", "c6")
		w.wantListed("&owner=a%20b", "c4")
		w.wantListed("&owner=%25")
		w.post("/clients/c2/disable", "")
		w.wantListed("&owner=a&status=active", "c0", "c5", "c6")
	})
}

func TestAListTellsWhichClientsAreUnused(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		secrets := map[string]string{}
		for _, id := range []string{"never", "long_ago", "lately"} {
			_, secrets[id] = w.client(`{"client_id":"` + id + `","client_name":"ci"}`)
		}
		w.mustToken("long_ago", secrets["long_ago"])
		w.clock.advance(90 * 24 * time.Hour)
		w.mustToken("lately", secrets["lately"])
		if err := w.store.FlushUsage(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.wantListed("&unused_for=90d")
		w.clock.advance(time.Second)
		w.client(`{"client_id":"fresh","client_name":"ci"}`)
		w.wantListed("&unused_for=90d", "never", "long_ago")
		w.wantListed("&unused_for=7776000", "never", "long_ago")
		w.clock.advance(time.Hour)
		w.wantListed("&unused_for=30m", "never", "long_ago", "lately", "fresh")
	})
}

func TestAListTellsWhatExpiresSoon(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		day := func(n int) string { return w.clock.Now().Add(time.Duration(n) * 24 * time.Hour).Format(time.RFC3339) }
		w.client(`{"client_id":"lasting","client_name":"ci"}`)
		w.client(`{"client_id":"client_5","client_name":"ci","expires_at":"` + day(5) + `"}`)
		w.client(`{"client_id":"secret_5","client_name":"ci","secret_expires_at":"` + day(5) + `"}`)
		w.client(`{"client_id":"later","client_name":"ci","expires_at":"` + day(50) + `","secret_expires_at":"` + day(40) + `"}`)
		w.client(`{"client_id":"deleted","client_name":"ci","secret_expires_in":3600}`)
		w.client(`{"client_id":"rotated","client_name":"ci","secret_expires_in":3600}`)
		w.post("/clients/rotated/secrets", `{"leaked":true}`).want(t, http.StatusCreated)
		w.delete("/clients/deleted")
		w.wantListed("&expires_within=4d")
		w.wantListed("&expires_within=6d", "client_5", "secret_5")
		w.wantListed("&expires_within=41d", "client_5", "secret_5", "later")
		w.clock.advance(5 * 24 * time.Hour)
		w.wantListed("&expires_within=30d")
		w.wantListed("&status=expired", "client_5")
		w.wantListed("&status=active", "lasting", "secret_5", "later", "rotated")
	})
}

func TestFiltersThatAreNoneAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, query := range []string{
		"unused_for=", "unused_for=0", "unused_for=-1d", "unused_for=1w", "unused_for=d", "unused_for=1.5h", "unused_for=3651d", "unused_for=9223372036854775807d",
		"unused_for=99999999999999999999", "expires_within=soon", "expires_within=%2B5", "status=deleted", "status=Expired", "owned_by=me",
	} {
		name, _, _ := strings.Cut(query, "=")
		if got := w.get("/clients?"+query).want(t, http.StatusBadRequest).problems(); got["?"+name] == "" {
			t.Errorf("%s: %v", query, got)
		}
	}
	w.get("/clients?unused_for=3650d&expires_within=315360000").want(t, http.StatusOK)
}

// A filter that a host's table does not know would show too much.
func TestAHostsTableIsAskedForNoFilterThatItMayNotKnow(t *testing.T) {
	w := newHost(t, sqliteIn(t))
	for _, query := range []string{"owner=a", "unused_for=1d", "expires_within=1d", "status=expired"} {
		w.get("/clients?"+query).want(t, http.StatusBadRequest)
	}
	w.get("/clients?status=active").want(t, http.StatusOK)
}

func TestAnExpiredClientSaysSo(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci","expires_at":"` + w.clock.Now().Add(time.Hour).Format(time.RFC3339) + `"}`)
		token := w.mustToken(id, secret)
		before := w.get("/clients/"+id).want(t, http.StatusOK)
		w.clock.advance(time.Hour)
		after := w.get("/clients/"+id).want(t, http.StatusOK)
		if before.str("status") != "active" || after.str("status") != "expired" || w.get("/clients").items()[0]["status"] != "expired" {
			t.Errorf("status %s, then %s", before.str("status"), after.str("status"))
		}
		if before.Header.Get("ETag") != after.Header.Get("ETag") {
			t.Error("the ETag has changed, and nothing that can be written has")
		}
		if w.active(token) {
			t.Error("its token is active")
		}
		// What is shown is not stored: the client goes on as it was.
		w.patch("/clients/"+id, "*", `{"status":"expired"}`).want(t, http.StatusBadRequest)
		if got := w.patch("/clients/"+id, "*", `{"owner":"me"}`).want(t, http.StatusOK).str("status"); got != "expired" {
			t.Errorf("changed: %s", got)
		}
		if got := w.patch("/clients/"+id, "*", `{"expires_at":null}`).want(t, http.StatusOK).str("status"); got != "active" {
			t.Errorf("without an end: %s", got)
		}
		w.mustToken(id, secret)
		if changes := fmt.Sprint(w.get("/audit?client_id=" + id).items()); strings.Contains(changes, string(client.Expired)) {
			t.Errorf("the audit log tells of a change of status: %s", changes)
		}
		w.post("/clients/"+id+"/disable", "").want(t, http.StatusOK)
		w.wantListed("&status=disabled", id)
	})
}

// refusal is what the token endpoint tells whoever sends these credentials.
func (w *world) refusal(id, secret string) string {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, secret)
	_, err := w.provider.NewAccessRequest(r.Context(), r, provider.NewSession())
	known := fosite.ErrorToRFC6749Error(err)
	if known.ErrorField != "invalid_client" || known.CodeField != http.StatusUnauthorized {
		w.t.Errorf("%s: %v", id, err)
	}
	return known.GetDescription()
}

// Only the client itself hears why it gets no token.
func TestAnExpiredClientIsToldWhy(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		end := w.clock.Now().Add(time.Hour).Format(time.RFC3339)
		id, secret := w.client(`{"client_name":"ci","expires_at":"` + end + `"}`)
		disabled, itsSecret := w.client(`{"client_name":"ci","expires_at":"` + end + `"}`)
		w.post("/clients/"+disabled+"/disable", "")
		w.clock.advance(time.Hour)
		why := "The client has expired at " + end
		for range 2 { // read, and remembered
			if got := w.refusal(id, secret); !strings.Contains(got, why) {
				t.Errorf("the client hears %q", got)
			}
		}
		unknown := w.refusal("nobody", secret)
		for name, credentials := range map[string][2]string{"a wrong secret": {id, "wrong"}, "no secret": {id, ""}, "a disabled client": {disabled, itsSecret}} {
			if got := w.refusal(credentials[0], credentials[1]); got != unknown {
				t.Errorf("%s hears %q, want what an unknown client hears: %q", name, got, unknown)
			}
		}
		if err := w.store.FlushUsage(t.Context()); err != nil {
			t.Fatal(err)
		}
		if used := w.get("/clients/" + id).json["last_used_at"]; used != nil {
			t.Errorf("it counts as used: %v", used)
		}
		w.delete("/clients/" + id)
		if got := w.refusal(id, secret); got != unknown {
			t.Errorf("a deleted client hears %q", got)
		}
	})
}

func TestTheFirstSecretMayExpire(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		end := w.clock.Now().Add(90 * 24 * time.Hour)
		for _, body := range []string{`"secret_expires_in":7776000`, `"secret_expires_at":"` + end.Format(time.RFC3339Nano) + `"`} {
			created := w.post("/clients", `{"client_name":"ci",`+body+`}`).want(t, http.StatusCreated)
			if at := created.json["client_secret_expires_at"]; at != float64(end.Unix()) {
				t.Errorf("client_secret_expires_at %v, want %d", at, end.Unix())
			}
			id, secret := created.str("client_id"), created.str("client_secret")
			shown := w.get("/clients/" + id + "/secrets").items()[0]["expires_at"]
			if shown != end.Format("2006-01-02T15:04:05.000Z") {
				t.Errorf("expires_at %v", shown)
			}
			w.mustToken(id, secret)
			registered := w.get("/audit?action=client.registered&client_id=" + id).items()[0]
			if !strings.Contains(fmt.Sprint(registered["changes"]), "secret_expires_at:map[after:"+fmt.Sprint(shown)) {
				t.Errorf("the audit event says %v", registered["changes"])
			}
		}
		w.clock.advance(90 * 24 * time.Hour)
		for _, id := range w.listed("") {
			if _, problem := w.token(id, "wrong", true); problem != "invalid_client" {
				t.Errorf("problem %q", problem)
			}
			if n := len(w.get("/clients/" + id + "/secrets").items()); n != 1 {
				t.Errorf("%d secrets", n)
			}
		}
	})
}

func TestAnExpiredSecretGetsNoToken(t *testing.T) {
	w := newWorld(t)
	id, secret := w.client(`{"client_name":"ci","secret_expires_in":60}`)
	w.clock.advance(59 * time.Second)
	w.wantWorking(id, "before its end", []string{secret}, true)
	w.clock.advance(time.Second)
	w.wantWorking(id, "from its end on", []string{secret}, false)
}

func TestEndsOfAFirstSecretThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for body, want := range map[string][]string{
		`"secret_expires_in":0`:                                            {"/secret_expires_in"},
		`"secret_expires_in":315360001`:                                    {"/secret_expires_in"},
		`"secret_expires_in":"90d"`:                                        {"/secret_expires_in"},
		`"secret_expires_at":"2020-01-01T00:00:00Z","owner":7`:             {"/owner", "/secret_expires_at"},
		`"secret_expires_in":5,"secret_expires_at":"2999-01-01T00:00:00Z"`: {"/secret_expires_in"},
		`"secret_expires_in":5,"token_endpoint_auth_method":"none","redirect_uris":["https://a.example/cb"]`: {"/token_endpoint_auth_method"},
		`"client_secret_expires_at":0`: {"/client_secret_expires_at"},
	} {
		refused := w.post("/clients", `{"client_name":"ci",`+body+`}`).want(t, http.StatusBadRequest).problems()
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(refused))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}
