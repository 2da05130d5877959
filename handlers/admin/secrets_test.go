package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage"

	"github.com/google/go-cmp/cmp"
)

// works tells which of the secrets get a token.
func (w *world) works(id string, secrets ...string) []bool {
	w.t.Helper()
	var works []bool
	for _, secret := range secrets {
		_, problem := w.token(id, secret, false)
		if problem != "" && problem != "invalid_client" {
			w.t.Errorf("the token endpoint says %q", problem)
		}
		works = append(works, problem == "")
	}
	return works
}

func (w *world) wantWorking(id, when string, secrets []string, want ...bool) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.works(id, secrets...)); diff != "" {
		w.t.Errorf("%s: which secrets work (-want +got):\n%s", when, diff)
	}
}

func TestRotationEndsTheOtherSecretsAfterAWhile(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, first := w.client(`{"client_name":"ci"}`)
		token := w.mustToken(id, first)
		made := w.post("/clients/"+id+"/secrets", `{"expires_previous_in":60}`).want(t, http.StatusCreated)
		secrets := []string{first, made.str("client_secret")}
		w.wantWorking(id, "at once", secrets, true, true)
		w.clock.advance(59 * time.Second)
		w.wantWorking(id, "after 59 seconds", secrets, true, true)
		w.clock.advance(time.Second)
		w.wantWorking(id, "after 60 seconds", secrets, false, true)
		if !w.active(token) {
			t.Error("the rotation has ended a token")
		}
	})
}

func TestRotationEndsTheOtherSecretsAtTheFirstUseOfTheNewOne(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, first := w.client(`{"client_name":"ci"}`)
		w.clock.advance(time.Second)
		made := w.post("/clients/"+id+"/secrets", `{"end_previous_on_first_use":true}`).want(t, http.StatusCreated)
		w.clock.advance(time.Second)
		newest := w.post("/clients/"+id+"/secrets", `{}`).want(t, http.StatusCreated)
		secrets := []string{first, made.str("client_secret"), newest.str("client_secret")}
		w.wantWorking(id, "before the first use", secrets[:1], true)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { w.mustToken(id, secrets[1]) })
		}
		wg.Wait()
		w.wantWorking(id, "after the first use", secrets, false, true, true)
		if events := w.get("/audit?action=secret.previous_ended").items(); len(events) != 1 || events[0]["client_id"] != id {
			t.Errorf("events %v, want one about the end of the first secret", events)
		}
	})
}

func TestRotationAtOnce(t *testing.T) {
	w := newWorld(t)
	id, first := w.client(`{"client_name":"ci"}`)
	made := w.post("/clients/"+id+"/secrets", `{"expires_previous_in":0,"expires_in":3600}`).want(t, http.StatusCreated)
	secrets := []string{first, made.str("client_secret")}
	w.wantWorking(id, "at once", secrets, false, true)
	w.clock.advance(time.Hour)
	w.wantWorking(id, "after an hour", secrets, false, false)
}

const week = 7 * 24 * time.Hour

// Without a word about the others, a new secret stands beside them, but not for ever: else the secret that somebody
// rotated away works on, and so do all before it.
func TestARotationThatSaysNothingEndsTheOthersAfterAWeek(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, first := w.client(`{"client_name":"ci"}`)
		path := "/clients/" + id + "/secrets"
		end := w.clock.Now().Add(week).Format("2006-01-02T15:04:05.000Z")
		second := w.do(call{method: "POST", path: path}).want(t, http.StatusCreated)
		if second.json["previous_expire_at"] != end || second.json["tokens_revoked"] != false {
			t.Errorf("the answer is %v; want previous_expire_at %s and no tokens revoked", second.json, end)
		}
		w.clock.advance(time.Second)
		third := w.post(path, `{"expires_in":31536000,"expires_previous_in":null}`).want(t, http.StatusCreated)
		secrets := []string{first, second.str("client_secret"), third.str("client_secret")}
		w.wantWorking(id, "at once", secrets, true, true, true)
		w.clock.advance(week - time.Second)
		w.wantWorking(id, "a week after the first rotation", secrets, false, true, true)
		w.clock.advance(time.Second)
		w.wantWorking(id, "a week after the second one", secrets, false, false, true)
	})
}

func TestAnotherSecretLeavesTheOthersAlone(t *testing.T) {
	w := newWorld(t)
	id, first := w.client(`{"client_name":"ci"}`)
	made := w.post("/clients/"+id+"/secrets", `{"keep_previous":true}`).want(t, http.StatusCreated)
	members := []string{"client_secret", "created_at", "expires_at", "hint", "id", "previous_expire_at", "tokens_revoked"}
	if diff := cmp.Diff(members, sortedKeys(made.json)); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	second := made.str("client_secret")
	if made.str("hint") != second[len(second)-4:] {
		t.Errorf("the hint is %q", made.str("hint"))
	}
	w.wantWorking(id, "at once", []string{first, second}, true, true)
	w.clock.advance(100 * week)
	w.wantWorking(id, "years later", []string{first, second}, true, true)
}

// One call is the whole remedy for a leaked secret: it, those rotated away before it and every token that was issued
// with one of them are dead when the answer comes, and the answer says so.
func TestALeakedSecretEndsWithItsTokens(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, first := w.client(`{"client_name":"ci"}`)
		other, otherSecret := w.client(`{"client_name":"other"}`)
		path := "/clients/" + id + "/secrets"
		second := w.post(path, `{"expires_previous_in":3600}`).want(t, http.StatusCreated).str("client_secret")
		tokens := []string{w.mustToken(id, first), w.mustToken(id, second)}
		untouched := w.mustToken(other, otherSecret)
		w.clock.advance(time.Hour) // the first has ended; its token lives
		now := w.clock.Now().Format("2006-01-02T15:04:05.000Z")
		made := w.post(path, `{"leaked":true}`).want(t, http.StatusCreated)
		if made.json["tokens_revoked"] != true || made.json["previous_expire_at"] != now {
			t.Errorf("the answer is %v; want tokens_revoked and previous_expire_at %s", made.json, now)
		}
		third := made.str("client_secret")
		w.wantWorking(id, "at once", []string{first, second, third}, false, false, true)
		for i, token := range tokens {
			if w.active(token) {
				t.Errorf("the token of secret %d lives", i+1)
			}
		}
		if !w.active(untouched) || !w.active(w.mustToken(id, third)) {
			t.Error("a token of another client, or of the new secret, is dead")
		}
		events := w.get("/audit?action=secret.created&client_id=" + id).items()
		if changes := fmt.Sprint(events[len(events)-1]["changes"]); !strings.Contains(changes, "tokens_revoked:map[after:true") {
			t.Errorf("the audit event says %s", changes)
		}
	})
}

// A client that is full of secrets is not told to delete one first when they have leaked.
func TestALeakNeedsNoRoom(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	for range client.MaxSecrets - 1 {
		w.post("/clients/"+id+"/secrets", `{}`).want(t, http.StatusCreated)
	}
	w.post("/clients/"+id+"/secrets", `{}`).want(t, http.StatusConflict)
	w.post("/clients/"+id+"/secrets", `{"leaked":true}`).want(t, http.StatusCreated)
	if n := len(w.get("/clients/" + id + "/secrets").items()); n != 1 {
		t.Errorf("%d secrets are listed, want the new one alone", n)
	}
}

func TestDeletingASecretCanEndItsTokens(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		for query, dies := range map[string]bool{"": false, "?revoke_tokens=false": false, "?revoke_tokens=true": true} {
			id, first := w.client(`{"client_name":"ci"}`)
			second := w.post("/clients/"+id+"/secrets", `{}`).str("client_secret")
			ofFirst, ofSecond := w.mustToken(id, first), w.mustToken(id, second)
			firstID := ""
			for _, item := range w.get("/clients/" + id + "/secrets").items() {
				if item["hint"] == first[len(first)-4:] {
					firstID = item["id"].(string)
				}
			}
			path := "/clients/" + id + "/secrets/" + firstID
			w.delete(path+query).want(t, http.StatusNoContent)
			w.delete(path+query).want(t, http.StatusNotFound)
			w.wantWorking(id, query, []string{first, second}, false, true)
			if w.active(ofFirst) == dies || !w.active(ofSecond) {
				t.Errorf("%q: the token of the first secret is active: %v; of the second: %v", query, w.active(ofFirst), w.active(ofSecond))
			}
			if n := len(w.get("/clients/" + id + "/secrets").items()); n != 1 {
				t.Errorf("%d secrets are listed, want 1", n)
			}
		}
	})
}

func TestASecretOfAnotherClientIsNotFound(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	other, secret := w.client(`{"client_name":"other"}`)
	secretID := w.get("/clients/" + other + "/secrets").items()[0]["id"].(string)
	w.delete("/clients/"+id+"/secrets/"+secretID).want(t, http.StatusNotFound)
	w.post("/clients/"+id+"/tokens/revoke", `{"secret_id":"`+secretID+`"}`).want(t, http.StatusNotFound)
	w.wantWorking(other, "afterwards", []string{secret}, true)
}

func TestTheNumberOfSecretsIsBounded(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, _ := w.client(`{"client_name":"ci"}`)
		path := "/clients/" + id + "/secrets"
		var wg sync.WaitGroup
		statuses := make(chan int, 16)
		for range cap(statuses) {
			wg.Go(func() { statuses <- w.post(path, `{"expires_in":60}`).StatusCode })
		}
		wg.Wait()
		close(statuses)
		count := map[int]int{}
		for status := range statuses {
			count[status]++
		}
		if diff := cmp.Diff(map[int]int{http.StatusCreated: client.MaxSecrets - 1, http.StatusConflict: 17 - client.MaxSecrets}, count); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		w.clock.advance(time.Minute)
		w.post(path, `{}`).want(t, http.StatusCreated) // those that have expired make room
	})
}

func TestRotationsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	for body, want := range map[string]map[string]string{
		`{"expires_in":0}`:                                        {"/expires_in": "invalid"},
		`{"expires_in":"1h"}`:                                     {"/expires_in": "wrong_type"},
		`{"expires_in":315360001}`:                                {"/expires_in": "invalid"},
		`{"expires_previous_in":-1}`:                              {"/expires_previous_in": "wrong_type"},
		`{"expires_previous_in":999999999999}`:                    {"/expires_previous_in": "wrong_type"},
		`{"expires_at":"2020-01-01T00:00:00Z"}`:                   {"/expires_at": "invalid"},
		`{"expires_at":"2999-01-01T00:00:00Z","expires_in":5}`:    {"/expires_in": "conflict"},
		`{"leaked":true,"keep_previous":true}`:                    {"/leaked": "conflict"},
		`{"leaked":true,"expires_previous_in":60}`:                {"/leaked": "conflict"},
		`{"leaked":true,"end_previous_on_first_use":true}`:        {"/leaked": "conflict"},
		`{"leaked":"yes"}`:                                        {"/leaked": "wrong_type"},
		`{"keep_previous":true,"expires_previous_in":60}`:         {"/keep_previous": "conflict"},
		`{"keep_previous":true,"end_previous_on_first_use":true}`: {"/keep_previous": "conflict"},
		`{"end_previous_on_first_use":"yes","secret":"mine"}`:     {"/end_previous_on_first_use": "wrong_type", "/secret": "unknown_member"},
	} {
		refused := w.post("/clients/"+id+"/secrets", body).want(t, http.StatusBadRequest)
		if diff := cmp.Diff(want, refused.problems()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestLastUseIsShown(t *testing.T) {
	onEveryEngine(t, func(t *testing.T, w *world) {
		id, secret := w.client(`{"client_name":"ci"}`)
		token := w.mustToken(id, secret)
		w.store.TokenUsed(storage.TokenID(w.provider.Strategy.AccessTokenSignature(t.Context(), token)))
		used := w.clock.Now().Format("2006-01-02T15:04:05.000Z")
		w.clock.advance(time.Second)
		if err := w.store.FlushUsage(t.Context()); err != nil {
			t.Fatal(err)
		}
		for place, got := range map[string]any{
			"client": w.get("/clients/" + id).json["last_used_at"],
			"secret": w.get("/clients/" + id + "/secrets").items()[0]["last_used_at"],
			"token":  w.get("/clients/" + id + "/tokens").items()[0]["last_used_at"],
		} {
			if got != used {
				t.Errorf("%s: last used at %v, want %s", place, got, used)
			}
		}
	})
}
