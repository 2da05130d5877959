package admin_test

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/storage/audit"

	"github.com/google/go-cmp/cmp"
)

func TestEveryChangeIsOneEvent(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci","owner":"ops"}`)
		token := w.mustToken(id, secret)
		w.patch("/clients/"+id, "*", `{"owner":"dev"}`).want(t, http.StatusOK)
		w.post("/clients/"+id+"/disable", "").want(t, http.StatusOK)
		w.post("/clients/"+id+"/enable", "").want(t, http.StatusOK)
		made := w.post("/clients/"+id+"/secrets", `{"expires_previous_in":60}`).want(t, http.StatusCreated)
		w.delete("/clients/"+id+"/secrets/"+made.str("id")).want(t, http.StatusNoContent)
		w.post("/tokens/revoke", `{"token":"`+token+`"}`).want(t, http.StatusNoContent)
		w.post("/clients/"+id+"/tokens/revoke", `{"all":true}`).want(t, http.StatusNoContent)
		w.delete("/clients/"+id).want(t, http.StatusNoContent)
		// None of these changes anything.
		w.post("/clients", `{}`).want(t, http.StatusBadRequest)
		w.delete("/clients/"+id).want(t, http.StatusNotFound)

		want := []string{
			"admin_key.created", "client.registered", "client.changed", "client.disabled", "client.enabled", "secret.created", "secret.deleted",
			"token.revoked", "tokens.revoked", "client.deleted",
		}
		var got []string
		text := w.get("/audit").text
		for _, event := range w.get("/audit").items() {
			got = append(got, event["action"].(string))
			if event["action"] != want[0] && (event["client_id"] != id || event["actor"] != "admin" || event["outcome"] != "success" || event["ip"] == nil || event["request_id"] == nil) {
				t.Errorf("event %v", event)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("actions (-want +got):\n%s", diff)
		}
		for _, hidden := range []string{secret, made.str("client_secret"), token, "sha256"} {
			if strings.Contains(text, hidden) {
				t.Errorf("the audit log holds %s", hidden)
			}
		}
		if count, firstBad, err := w.store.Audit().Verify(t.Context(), nil); count != int64(len(want)) || firstBad != 0 || err != nil {
			t.Errorf("%d events verified, first bad %d: %v", count, firstBad, err)
		}
	})
}

func TestTheAuditLogIsFilteredPagedAndFollowed(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		a, _ := w.client(`{"client_name":"a"}`)
		w.clock.advance(time.Hour)
		middle := w.clock.Now().Format(time.RFC3339Nano)
		b, _ := w.client(`{"client_name":"b"}`)
		w.post("/clients/"+a+"/disable", "").want(t, http.StatusOK)
		for query, want := range map[string][]float64{
			"":                                      {1, 2, 3, 4},
			"?client_id=" + a:                       {2, 4},
			"?client_id=" + b:                       {3},
			"?client_id=nobody":                     {},
			"?action=client.registered":             {2, 3},
			"?actor=admin&action=client.disabled":   {4},
			"?actor=system":                         {1},
			"?since=" + middle:                      {3, 4},
			"?until=" + middle:                      {1, 2},
			"?since=" + middle + "&until=" + middle: {},
			"?after=2":                              {3, 4},
			"?order=asc":                            {1, 2, 3, 4},
			"?order=desc":                           {4, 3, 2, 1},
			"?order=desc&after=2":                   {4, 3},
			"?order=desc&since=" + middle:           {4, 3},
			"?after=4":                              {},
			"?after=1&since=" + middle:              {3, 4},
			"?since=2999-01-01T00:00:00Z":           {},
			"?since=2020-01-01T00:00:00%2B02:00":    {1, 2, 3, 4},
		} {
			got := []float64{}
			for _, event := range w.get("/audit"+query).want(t, http.StatusOK).items() {
				got = append(got, event["id"].(float64))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", query, diff)
			}
		}
		first := w.get("/audit?limit=3").want(t, http.StatusOK)
		second := w.get("/audit?limit=3&cursor="+first.str("next_cursor")).want(t, http.StatusOK)
		if len(first.items()) != 3 || len(second.items()) != 1 || second.str("next_cursor") != "" {
			t.Errorf("pages of %d and %d events", len(first.items()), len(second.items()))
		}
		first = w.get("/audit?order=desc&limit=3").want(t, http.StatusOK)
		second = w.get("/audit?order=desc&limit=3&cursor="+first.str("next_cursor")).want(t, http.StatusOK)
		if items := second.items(); len(items) != 1 || items[0]["id"] != 1.0 || second.str("next_cursor") != "" {
			t.Errorf("newest first, the last page is %v", items)
		}
		w.get("/audit?order=newest").want(t, http.StatusBadRequest)
	})
}

func TestTheAuditLogComesInThreeFormats(t *testing.T) {
	w := newWorld(t)
	w.client(`{"client_name":"=cmd|' /C calc'!A0","owner":"a\"b,c"}`)
	if err := w.store.Audit().Append(t.Context(), audit.Event{Actor: "=1+1", Action: "@x", ClientID: "-2", RequestID: "+3", IP: "\t4"}); err != nil {
		t.Fatal(err)
	}
	accept := func(value string) call {
		return call{method: "GET", path: "/audit?limit=2", header: map[string]string{"Accept": value}}
	}
	for value, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "text/csv": "text/csv", "application/x-ndjson": "application/x-ndjson",
		"text/csv;q=0.5, application/x-ndjson": "application/x-ndjson", "text/html, */*;q=0.1": "application/json",
	} {
		if got := w.do(accept(value)).want(t, http.StatusOK).Header.Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("Accept %q: %s, want %s", value, got, want)
		}
	}
	w.do(accept("text/html")).want(t, http.StatusNotAcceptable)

	lines := w.do(accept("application/x-ndjson"))
	if n := strings.Count(lines.text, "\n"); n != 2 {
		t.Errorf("%d lines, want 2", n)
	}
	link := lines.Header.Get("Link")
	if !strings.HasPrefix(link, "</admin/v1/audit?") || !strings.HasSuffix(link, `>; rel="next"`) {
		t.Fatalf("Link %q", link)
	}
	next := strings.TrimPrefix(link[1:strings.Index(link, ">")], "/admin/v1")
	rest := w.do(call{method: "GET", path: next, header: map[string]string{"Accept": "text/csv"}}).want(t, http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(rest.text)).ReadAll()
	if err != nil || len(rows) != 2 {
		t.Fatalf("%v\n%s", err, rest.text)
	}
	if diff := cmp.Diff([]string{"'=1+1", "'@x", "'-2", "", "'+3", "?4"}, rows[1][2:8]); diff != "" {
		t.Errorf("cells that a spreadsheet might run (-want +got):\n%s", diff)
	}
	var event map[string]any
	if err := json.Unmarshal([]byte(strings.Split(lines.text, "\n")[1]), &event); err != nil || event["action"] != "client.registered" {
		t.Errorf("%v %v", event, err)
	}
}

func TestAChangeWithoutItsEventDoesNotHappen(t *testing.T) {
	w := newWorld(t)
	id, secret := w.client(`{"client_name":"ci"}`)
	token := w.mustToken(id, secret)
	if err := w.db.Exec("ALTER TABLE audit_events RENAME TO gone").Error; err != nil {
		t.Fatal(err)
	}
	w.post("/clients", `{"client_name":"x"}`).want(t, http.StatusServiceUnavailable)
	w.delete("/clients/"+id).want(t, http.StatusServiceUnavailable)
	w.post("/tokens/revoke", `{"token":"`+token+`"}`).want(t, http.StatusServiceUnavailable)
	w.patch("/clients/"+id, "*", `{"owner":"x"}`).want(t, http.StatusServiceUnavailable)
	if n := len(w.get("/clients").items()); n != 1 || !w.active(token) || w.get("/clients/"+id).str("owner") != "" {
		t.Error("a change that could not be put on record was made")
	}
}

// Part by part, and against a checkpoint that this server has signed.
func TestTheAuditLogIsVerifiedOverTheNetwork(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		w.client(`{"client_name":"a"}`)
		early := w.get("/audit/checkpoint").want(t, http.StatusOK)
		w.client(`{"client_name":"b"}`)
		verify := func(query string) *reply { t.Helper(); return w.get("/audit/verify"+query).want(t, http.StatusOK) }
		checkpoint := "?checkpoint=" + base64.RawURLEncoding.EncodeToString([]byte(early.text))
		events := float64(len(w.get("/audit").items()))
		if r := verify(""); r.json["intact"] != true || r.json["events"] != events || r.json["checkpoint"] != nil || r.json["next_cursor"] != nil {
			t.Errorf("answered %s", r.text)
		}
		if r := verify(checkpoint); r.json["intact"] != true || r.str("checkpoint") != "holds" {
			t.Errorf("with a checkpoint: %s", r.text)
		}
		part, err := w.store.Audit().VerifyPart(t.Context(), audit.Place{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		place, err := json.Marshal(struct {
			ID   int64  `json:"id"`
			Hash []byte `json:"hash"`
		}{part.Next.ID, part.Next.Hash})
		if err != nil {
			t.Fatal(err)
		}
		if r := verify("?cursor=" + base64.RawURLEncoding.EncodeToString(place)); r.json["intact"] != true || r.json["events"] != events-1 {
			t.Errorf("after the first event: %s", r.text)
		}
		for _, wrong := range []string{"?checkpoint=", "?checkpoint=x", "?cursor=x", "?limit=1",
			"?checkpoint=" + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(early.text, `"events":`, `"events":1`, 1)))} {
			w.get("/audit/verify"+wrong).want(t, http.StatusBadRequest)
		}
		if err := w.db.Exec("UPDATE audit_events SET actor = 'x' WHERE id = 2").Error; err != nil {
			t.Fatal(err)
		}
		if r := verify(""); r.json["intact"] != false || r.json["first_bad"] != 2.0 {
			t.Errorf("altered: %s", r.text)
		}
		for _, statement := range []string{"DELETE FROM audit_events", "UPDATE audit_chain SET last_id = 0, last_hash = pruned_hash"} {
			if err := w.db.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
		if r := verify(checkpoint); r.json["intact"] != false || r.json["first_bad"] != nil || r.str("checkpoint") != "missing" {
			t.Errorf("cut off, with an end to match: %s", r.text)
		}
		w.server.CheckpointKey = nil
		w.mount()
		w.document = nil
		if !strings.Contains(w.get("/openapi.json").text, "AuditVerification") || strings.Contains(w.get("/openapi.json").text, "AuditCheckpoint") {
			t.Error("the document does not say what there is without a key")
		}
	})
}
