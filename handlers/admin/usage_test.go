package admin_test

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"fosite-mcp/handlers/failures"
	"fosite-mcp/storage/audit"

	"github.com/google/go-cmp/cmp"
)

// usesOf are lines of the usage, as what, secret, count, active and revoked.
func usesOf(answer *reply) (uses []string) {
	for _, use := range answer.items() {
		uses = append(uses, fmt.Sprint(use["what"], " ", use["secret_id"], " ", use["count"], " ", use["active"], " ", use["revoked"]))
	}
	return uses
}

func TestTheUsageOfASecretTellsItsTokensAndEvents(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci","owner":"ops"}`)
		first := w.get("/clients/" + id + "/secrets").items()[0]["id"].(string)
		made := w.post("/clients/"+id+"/secrets", `{}`).want(t, http.StatusCreated)
		second := made.str("id")
		w.clock.advance(time.Hour)
		since := w.clock.Now().Format(time.RFC3339Nano)
		w.mustToken(id, secret)
		revoked := w.mustToken(id, secret)
		w.mustToken(id, made.str("client_secret"))
		w.post("/tokens/revoke", `{"token":"`+revoked+`"}`).want(t, http.StatusNoContent)
		w.patch("/clients/"+id, "*", `{"owner":"dev"}`).want(t, http.StatusOK)
		w.patch("/clients/"+id, "*", `{"owner":"sec"}`).want(t, http.StatusOK)
		other, otherSecret := w.client(`{"client_name":"other"}`)
		w.mustToken(other, otherSecret)

		answer := w.get("/clients/"+id+"/usage?since="+since+"&secret_id="+first).want(t, http.StatusOK)
		want := []string{
			"secret " + first + " 1 <nil> <nil>", "tokens " + first + " 2 1 1", "client.changed <nil> 2 <nil> <nil>", "token.revoked <nil> 1 <nil> <nil>",
		}
		if diff := cmp.Diff(want, usesOf(answer)); diff != "" {
			t.Errorf("usage of the first secret (-want +got):\n%s", diff)
		}
		if answer.json["truncated"] != false || answer.json["complete_since"] != nil || answer.json["events_since"] != nil || answer.str("owner") != "sec" {
			t.Errorf("%v", answer.json)
		}
		changed := answer.items()[2]
		if changed["detail"] != "owner" || changed["actor"] != "admin" {
			t.Errorf("%v", changed)
		}
		all := usesOf(w.get("/clients/"+id+"/usage").want(t, http.StatusOK))
		for _, want := range []string{"tokens " + first + " 2 1 1", "tokens " + second + " 1 1 0", "secret.created " + second + " 1 <nil> <nil>", "client.registered <nil> 1 <nil> <nil>"} {
			if !strings.Contains(strings.Join(all, "\n"), want) {
				t.Errorf("no %q in %q", want, all)
			}
		}
		if cut := w.get("/clients/"+id+"/usage?limit=1").want(t, http.StatusOK); cut.json["truncated"] != true {
			t.Errorf("%v", cut.json)
		}
		w.clock.advance(15 * 24 * time.Hour)
		after := w.clock.Now().Format(time.RFC3339Nano)
		if got := usesOf(w.get("/clients/" + id + "/usage?secret_id=" + first + "&since=" + after)); len(got) != 1 {
			t.Errorf("tokens that had expired count: %q", got)
		}
	})
}

// Whoever deletes a client at once, because its secret has leaked, can still ask what was done with it.
func TestTheUsageOfADeletedClientIsKnown(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci"}`)
		w.mustToken(id, secret)
		w.delete("/clients/"+id).want(t, http.StatusNoContent)
		answer := w.get("/clients/"+id+"/usage").want(t, http.StatusOK)
		uses := strings.Join(usesOf(answer), "\n")
		if answer.str("status") != "deleted" || !strings.Contains(uses, "tokens cs_") || !strings.Contains(uses, " 1 0 1\n") || !strings.Contains(uses, "client.deleted") {
			t.Errorf("%v", answer.json)
		}
		w.get("/clients/nobody/usage").want(t, http.StatusNotFound)
		w.get("/clients/"+id+"/usage?secret_id=cs_nothing").want(t, http.StatusBadRequest)
		w.get("/clients/"+id+"/usage?secret_id=").want(t, http.StatusBadRequest)
		w.get("/clients/"+id+"/usage?since=monday").want(t, http.StatusBadRequest)
	})
}

// Where each issued token is an event, the usage outlives the rows of the tokens, and tells the addresses.
func TestTheUsageCountsIssuedTokensThatAreOnRecord(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		since := w.clock.Now()
		if err := w.store.Settings().NoteIssuedTokens(t.Context(), true, since); err != nil {
			t.Fatal(err)
		}
		id, _ := w.client(`{"client_name":"ci"}`)
		own := w.get("/clients/" + id + "/secrets").items()[0]["id"].(string)
		for i, secretID := range []string{own, own, own, "cs_b", "cs_c"} {
			subject := map[string]string{own: "alice", "cs_b": "alice", "cs_c": own}[secretID]
			changes, err := audit.After(map[string]any{"secret_id": secretID, "scope": "mcp:search", "audience": []string{resource}, "subject": subject})
			if err != nil {
				t.Fatal(err)
			}
			event := audit.Event{Actor: "client:" + id, Action: "token.issued", ClientID: id, TokenID: fmt.Sprint(i), IP: "192.0.2.1", Changes: changes}
			if err := w.store.Audit().Append(t.Context(), event); err != nil {
				t.Fatal(err)
			}
		}
		answer := w.get("/clients/"+id+"/usage").want(t, http.StatusOK)
		if got := answer.str("complete_since"); got != since.Format("2006-01-02T15:04:05.000Z") {
			t.Errorf("complete since %q, want %s", got, since)
		}
		var issued []map[string]any
		for _, use := range answer.items() {
			if use["what"] == "token.issued" {
				issued = append(issued, use)
			}
		}
		if len(issued) != 3 || issued[2]["count"] != 3.0 || issued[2]["ip"] != "192.0.2.1" || issued[2]["subject"] != "alice" || issued[2]["scope"] != "mcp:search" ||
			fmt.Sprint(issued[2]["audience"]) != "["+resource+"]" {
			t.Errorf("%v", issued)
		}
		of := strings.Join(usesOf(w.get("/clients/"+id+"/usage?secret_id="+own)), "\n")
		if strings.Count(of, "token.issued") != 1 || !strings.Contains(of, "token.issued "+own+" 3 ") {
			t.Errorf("of one secret:\n%s", of)
		}
		if err := w.store.Settings().NoteIssuedTokens(t.Context(), false, since); err != nil {
			t.Fatal(err)
		}
		if got := w.get("/clients/" + id + "/usage").json["complete_since"]; got != nil {
			t.Errorf("complete since %v, though nothing more is on record", got)
		}
	})
}

func TestRefusalsAreAPartOfTheUsage(t *testing.T) {
	w := newWorld(t)
	id, secret := w.client(`{"client_name":"ci"}`)
	recorder := failures.NewRecorder(w.store, nil, w.clock.Now)
	for range 3 {
		recorder.AssertionRefused(t.Context(), id, "https://issuer.example", "=cmd", "it has expired")
	}
	w.mustToken(id, secret)
	answer := w.do(call{method: "GET", path: "/clients/" + id + "/usage", header: map[string]string{"Accept": "text/csv"}}).want(t, http.StatusOK)
	rows, err := csv.NewReader(strings.NewReader(answer.text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var refused []string
	for _, row := range rows {
		if row[0] == "assertion.refused" {
			refused = row
		}
	}
	if len(refused) == 0 || refused[2] != "'=cmd" || refused[7] != audit.OutcomeFailure || refused[8] != "it has expired" || refused[9] != "3" {
		t.Errorf("%q", rows)
	}
	ndjson := w.do(call{method: "GET", path: "/clients/" + id + "/usage", header: map[string]string{"Accept": "application/x-ndjson"}}).want(t, http.StatusOK)
	if lines := strings.Count(ndjson.text, "\n"); lines != len(rows)-1 {
		t.Errorf("%d lines of NDJSON, and %d rows of CSV", lines, len(rows))
	}
}
