package authserver

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// oauth is the URL of an endpoint.
func (s *runningServer) oauth(name string) string { return s.PublicURL + "/authed/mcp/oauth/" + name }

// send sends a form, with a header if it has a name, and returns the answer and its body.
func send(t *testing.T, client *http.Client, address string, form url.Values, name, value string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if name != "" {
		request.Header.Set(name, value)
	}
	return answerTo(t, client, request)
}

func answerTo(t *testing.T, client *http.Client, request *http.Request) (*http.Response, string) {
	t.Helper()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// admin calls the admin API and decodes the answer, where there is one.
func (s *runningServer) admin(t *testing.T, method, path, body string, answer any) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.AdminURL+"/admin/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.adminKey)
	request.Header.Set("Content-Type", "application/json")
	response, text := answerTo(t, http.DefaultClient, request)
	if answer != nil {
		if err := json.Unmarshal([]byte(text), answer); err != nil {
			t.Fatalf("%s %s: %d %s", method, path, response.StatusCode, text)
		}
	}
	return response.StatusCode
}

// visitor is a browser at the login page.
func (s *runningServer) visitor(t *testing.T) (*http.Client, url.Values) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.oauth("login"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, page := answerTo(t, browser, request)
	csrf := regexp.MustCompile(`name="csrf" value="([^"]*)"`).FindStringSubmatch(page)
	if csrf == nil {
		t.Fatalf("no form in the page:\n%s", page)
	}
	return browser, url.Values{"csrf": {csrf[1]}, "continue": {""}, "method": {"password"}}
}

// proxyHeaders are ways in which a proxy names the client 2001:db8:0:n::7.
var proxyHeaders = map[string]func(n int) string{
	"X-Forwarded-For": func(n int) string { return fmt.Sprintf("10.0.0.1, [2001:db8:0:%x::7]:5678", n) },
	"Forwarded":       func(n int) string { return fmt.Sprintf(`for=10.0.0.1, for="[2001:db8:0:%x::7]:4711";proto=https`, n) },
	"X-Real-IP":       func(n int) string { return fmt.Sprintf("2001:db8:0:%x::7", n) },
}

func TestTheAuditLogNamesTheClientAndNotTheProxy(t *testing.T) {
	for header, value := range proxyHeaders {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			s := runServer(t, "BEHIND_PROXY=true", "CLIENT_IP_HEADER="+header)
			wrong := url.Values{"grant_type": {"client_credentials"}, "client_id": {"ci"}, "client_secret": {"wrong"}}
			send(t, http.DefaultClient, s.oauth("token"), wrong, header, value(7))
			send(t, http.DefaultClient, s.oauth("token"), wrong, header, "garbage")
			send(t, http.DefaultClient, s.oauth("token"), wrong, "", "")
			var log struct{ Items []struct{ IP string } }
			s.admin(t, http.MethodGet, "/audit?action=client.login_failed", "", &log)
			want := []string{"2001:db8:0:7::7", "127.0.0.1", "127.0.0.1"}
			if len(log.Items) != len(want) {
				t.Fatalf("%d events, want %d", len(log.Items), len(want))
			}
			for i, event := range log.Items {
				if event.IP != want[i] {
					t.Errorf("event %d names %s, want %s", i, event.IP, want[i])
				}
			}
		})
	}
}

func TestWrongPasswordsAreLimitedHoweverTheProxyNamesTheClient(t *testing.T) {
	for name, c := range map[string]struct{ header, sent string }{
		"in X-Forwarded-For with a port": {"X-Forwarded-For", proxyHeaders["X-Forwarded-For"](7)},
		"in Forwarded":                   {"Forwarded", proxyHeaders["Forwarded"](7)},
		"not at all":                     {"X-Forwarded-For", ""},
		"in no header that is set":       {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := []string{"BEHIND_PROXY=true", "RATE_LIMITS_ADDRESS_FAILURES_PER_MINUTE=5"} // each one computes a slow hash
			if c.header != "" {
				settings = append(settings, "CLIENT_IP_HEADER="+c.header)
			}
			s := runServer(t, settings...)
			browser, form := s.visitor(t)
			form.Set("password", "wrong password 1")
			limited := false
			for i := 0; i < 10 && !limited; i++ {
				form.Set("username", fmt.Sprint("user", i))
				response, page := send(t, browser, s.oauth("login"), form, c.header, c.sent)
				limited = response.StatusCode == http.StatusTooManyRequests
				if !limited && response.StatusCode != http.StatusForbidden {
					t.Fatalf("status %d:\n%s", response.StatusCode, page)
				}
			}
			if !limited {
				t.Error("10 wrong passwords passed without one 429")
			}
		})
	}
}

func TestTheStartSaysThatNoHeaderNamesTheClient(t *testing.T) {
	const text = "client_ip_header is not set"
	for name, c := range map[string]struct {
		settings []string
		want     bool
	}{
		"behind a proxy":               {[]string{"BEHIND_PROXY=true"}, true},
		"behind a proxy with a header": {[]string{"BEHIND_PROXY=true", "CLIENT_IP_HEADER=X-Forwarded-For"}, false},
		"without a proxy":              {nil, false},
	} {
		s := runServer(t, c.settings...)
		said := s.logged() + strings.Join(s.notices, "\n") // both are on the console
		if times := strings.Count(said, text); (times == 1) != c.want || times > 1 {
			t.Errorf("%s: said %d times: %s", name, times, said)
		}
	}
}
