package authserver

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"fosite-mcp/cmd/internal/observe"
)

// metrics is what /metrics says, by name and labels.
func (s *runningServer) metrics(t *testing.T) map[string]string {
	t.Helper()
	response, err := http.Get(s.AdminURL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, line := range strings.Split(string(body), "\n") {
		if name, value, ok := strings.Cut(line, " "); ok && name != "#" {
			values[name] = value
		}
	}
	return values
}

// Everything that somebody should look at is on record, with where it came from, and counted.
func TestAlarmsAreOnRecordAndCounted(t *testing.T) {
	s := runServer(t, `LOGIN_METHODS=["local"]`, "BEHIND_PROXY=true", "CLIENT_IP_HEADER=X-Forwarded-For")
	counter := func(action, outcome string) string {
		return s.metrics(t)[fmt.Sprintf(`fosite_mcp_audit_events_total{action="%s",outcome="%s"}`, action, outcome)]
	}
	for _, alarm := range observe.Alarms {
		if got := counter(alarm.Action, alarm.Outcome); got != "0" {
			t.Errorf("%s is %q before the first one, want 0: an alert must see it", alarm.Action, got)
		}
	}
	var client struct {
		Secret string `json:"client_secret"`
	}
	s.admin(t, http.MethodPost, "/clients", `{"client_id":"ci","client_name":"ci"}`, &client)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"ci"}, "client_secret": {client.Secret}}
	_, body := send(t, http.DefaultClient, s.oauth("token"), form, "", "")
	_, token, _ := strings.Cut(body, `"access_token":"`)
	token, _, _ = strings.Cut(token, `"`)
	revoke := url.Values{"token": {token}, "client_id": {"ci"}, "client_secret": {client.Secret}}
	for range 3 {
		send(t, http.DefaultClient, s.oauth("revoke"), revoke, "X-Forwarded-For", "192.0.2.7")
	}
	form.Set("client_secret", "wrong")
	for range 70 { // more than the sample
		send(t, http.DefaultClient, s.oauth("token"), form, "X-Forwarded-For", "192.0.2.8")
	}
	browser, login := s.visitor(t)
	login.Set("username", "nobody")
	login.Set("password", "wrong password 1")
	send(t, browser, s.oauth("login"), login, "X-Forwarded-For", "192.0.2.9")

	for action, want := range map[string]struct{ outcome, count, ip string }{
		"token.revoked":       {"success", "1", "192.0.2.7"},
		"client.login_failed": {"failure", "70", "192.0.2.8"},
		"user.login_failed":   {"failure", "1", "192.0.2.9"},
	} {
		if got := counter(action, want.outcome); got != want.count {
			t.Errorf("%s: counted %q, want %s", action, got, want.count)
		}
		var log struct {
			Items []struct {
				IP        string
				RequestID string `json:"request_id"`
			}
		}
		s.admin(t, http.MethodGet, "/audit?action="+action, "", &log)
		if len(log.Items) == 0 || log.Items[0].IP != want.ip || log.Items[0].RequestID == "" {
			t.Errorf("%s: on record as %+v", action, log.Items)
		}
	}
}
