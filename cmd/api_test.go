package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/config"

	"github.com/google/go-cmp/cmp"
)

// fakeAPI is an admin API that answers as it is told, and the terminal of a command that talks to it.
func fakeAPI(t *testing.T, handler http.HandlerFunc) (api *apiclient.Admin, out *terminal.Terminal, stdout *bytes.Buffer) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "admin.key")
	if err := os.WriteFile(file, []byte("the-admin-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api, err := apiclient.NewAdmin(config.Default(), &apiclient.Flags{URL: server.URL, KeyFile: file})
	if err != nil {
		t.Fatal(err)
	}
	stdout = new(bytes.Buffer)
	return api, &terminal.Terminal{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: io.Discard}, stdout
}

func answerJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", map[bool]string{true: "application/problem+json", false: "application/json"}[status >= 400])
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func TestAnUpdateThatIsLateChangesNothingAndSaysSo(t *testing.T) {
	var methods []string
	api, out, stdout := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		methods = append(methods, r.Method+" "+r.Header.Get("If-Match"))
		if r.Header.Get("Authorization") != "Bearer the-admin-key" {
			t.Error("the admin key is not sent")
		}
		if r.Method == http.MethodGet {
			w.Header().Set("ETag", `"7"`)
			answerJSON(w, 200, `{"client_id":"ci"}`)
			return
		}
		answerJSON(w, 412, `{"title":"The client has changed"}`)
	})
	err := updateClient(t.Context(), out, api, "ci", map[string]any{"owner": "me"})
	if err == nil || !strings.Contains(err.Error(), "somebody else changed client ci at the same moment; nothing was changed") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]string{"GET ", `PATCH "7"`}, methods); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout: %s", stdout)
	}
}

func TestASecretThatCannotBeKeptIsNotPrinted(t *testing.T) {
	api, out, stdout := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 201, `{"client_id":"ci","client_secret":"mcp_cs_secret"}`)
	})
	file := filepath.Join(t.TempDir(), "secret")
	if err := (&app{Terminal: *out}).createClient(t.Context(), api, map[string]any{}, file); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil || string(content) != "mcp_cs_secret\n" {
		t.Errorf("file %q, %v", content, err)
	}
	output, err := terminal.CreateSecretFile(filepath.Join(t.TempDir(), "closed"))
	if err != nil {
		t.Fatal(err)
	}
	output.Discard()
	secret := "mcp_cs_secret"
	_, err = storeSecret(out, output, "ci", &secret, []byte("{}"))
	if err == nil || !strings.Contains(err.Error(), "fosite-mcp client rotate ci") || strings.Contains(err.Error(), "mcp_cs_") {
		t.Errorf("error %v", err)
	}
	if strings.Contains(stdout.String(), "mcp_cs_") {
		t.Errorf("stdout: %s", stdout)
	}
}

func TestAllPagesAreReadAndAServerThatGoesInCirclesIsNoticed(t *testing.T) {
	pages := map[string]string{"": `{"items":[1,2],"next_cursor":"a"}`, "a": `{"items":[3],"next_cursor":"b"}`, "b": `{"items":[]}`}
	api, out, stdout := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 200, pages[r.URL.Query().Get("cursor")])
	})
	out.JSON = true
	list := &apiclient.ListFlags{Limit: 2, All: true}
	query, err := list.Query()
	if err != nil {
		t.Fatal(err)
	}
	call := apiclient.Call{Method: http.MethodGet, Path: []string{"clients"}, Query: query}
	if err := printList[tokenView](t.Context(), out, api, call, list.All); err != nil {
		t.Fatal(err)
	}
	if got := stdout.String(); got != `{"items":[1,2,3]}`+"\n" {
		t.Errorf("stdout %s", got)
	}
	pages["b"] = `{"items":[],"next_cursor":"b"}`
	query.Del("cursor")
	if err := printList[tokenView](t.Context(), out, api, call, list.All); err == nil {
		t.Error("an endless list ends without an error")
	}
}

func TestFollowingTheAuditLogGoesOnAfterTheLastEvent(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked []string
	api, out, stdout := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("after"))
		switch len(asked) {
		case 1:
			answerJSON(w, 200, `{"items":[{"id":7}]}`)
		case 2:
			answerJSON(w, 503, `{"title":"Service unavailable"}`)
		case 3:
			answerJSON(w, 200, `{"items":[{"id":8}]}`)
		default:
			cancel()
			answerJSON(w, 200, `{"items":[]}`)
		}
	})
	out.JSON = true
	f := &auditFlags{follow: true, list: apiclient.ListFlags{Limit: 50}, interval: time.Millisecond}
	query, err := f.query(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := newAuditLog(out, api, query).print(ctx, f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"", "7", "7", "8"}, asked); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	if got := stdout.String(); got != "{\"id\":7}\n{\"id\":8}\n" {
		t.Errorf("stdout %s", got)
	}
}

// Nobody takes the last 24 hours for all there is.
func TestTheAuditLogSaysThatOlderEventsAreLeftOut(t *testing.T) {
	for name, test := range map[string]struct {
		older string
		given bool
		want  bool
	}{
		"there are older ones":    {`{"items":[{"id":1}]}`, false, true},
		"there are none":          {`{"items":[]}`, false, false},
		"it was asked for a time": {`{"items":[{"id":1}]}`, true, false},
	} {
		api, out, _ := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
			answer := `{"items":[{"id":7}]}`
			if query := r.URL.Query(); query.Has("until") {
				if answer = test.older; query.Get("until") != "2026-11-25T10:00:00Z" || query.Has("since") || query.Get("limit") != "1" || query.Get("client_id") != "ci" {
					t.Errorf("asked for %v", query)
				}
			}
			answerJSON(w, 200, answer)
		})
		messages := new(bytes.Buffer)
		out.Stderr = messages
		f := &auditFlags{since: "24h", sinceGiven: test.given, clientID: "ci", list: apiclient.ListFlags{Limit: 50}}
		query, err := f.query(time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC))
		if err != nil {
			t.Fatal(err)
		}
		if err := newAuditLog(out, api, query).print(t.Context(), f); err != nil || strings.Contains(messages.String(), "--since 30d") != test.want {
			t.Errorf("%s: %v, told %q", name, err, messages)
		}
	}
}

// Ctrl-C tells where to go on. What an earlier run has told is checked, again after each outage: a restored database gives ids out
// a second time.
func TestFollowingTheAuditLogResumesAndNoticesARestore(t *testing.T) {
	const cursor = "7-1795689000000"
	seventh := `{"items":[{"id":7,"time":"2026-11-26T10:30:00Z","action":"a"}]}`
	for name, test := range map[string]struct {
		answers []string // a status, or a body
		want    string   // of the error
		out     string
	}{
		"goes on":            {[]string{seventh, `{"items":[{"id":8,"time":"2026-11-26T10:30:01Z","action":"=b"}]}`, "stop"}, "", "8,2026-11-26T10:30:01.000Z,,'=b,,,,,,\r\n"},
		"deleted by age":     {[]string{`{"items":[{"id":9}]}`, `{"items":[]}`, "stop"}, "", ""},
		"another event":      {[]string{`{"items":[{"id":7,"time":"2026-11-26T10:30:01Z"}]}`}, "restored from a backup", ""},
		"a shorter log":      {[]string{`{"items":[]}`}, "restored from a backup", ""},
		"after an outage":    {[]string{seventh, `{"items":[]}`, "502", "503", seventh, `{"items":[]}`, "stop"}, "", ""},
		"restored meanwhile": {[]string{seventh, `{"items":[]}`, "503", `{"items":[]}`}, "restored from a backup", ""},
		"a key that ended":   {[]string{seventh, `{"items":[]}`, "401"}, "refuses the key", ""},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		api, out, stdout := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
			answer := "stop"
			if asked < len(test.answers) {
				answer = test.answers[asked]
			}
			asked++
			switch answer {
			case "stop":
				cancel()
				answerJSON(w, 200, `{"items":[]}`)
			case "401", "503":
				status, _ := strconv.Atoi(answer)
				answerJSON(w, status, `{"title":"no"}`)
			case "502":
				http.Error(w, "<html>", http.StatusBadGateway)
			default:
				answerJSON(w, 200, answer)
			}
		})
		messages := new(bytes.Buffer)
		out.Stderr = messages
		f := &auditFlags{follow: true, csv: true, after: cursor, list: apiclient.ListFlags{Limit: 50}, interval: time.Microsecond}
		query, err := f.query(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		err = newAuditLog(out, api, query).print(ctx, f)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || stdout.String() != test.out || asked != len(test.answers) {
			t.Errorf("%s: %v after %d requests, want %q after %d; stdout %q", name, err, asked, test.want, len(test.answers), stdout)
		}
		if err == nil && !strings.Contains(messages.String(), "go on with --after "+map[bool]string{true: "8-1795689001000", false: cursor}[test.out != ""]) {
			t.Errorf("%s: told %q", name, messages)
		}
		cancel()
	}
}

func TestIntrospectionAudienceIsTextOrList(t *testing.T) {
	for body, want := range map[string]string{`"a"`: "a", `["a","b"]`: "a b", `null`: "", `[]`: ""} {
		var aud any
		if err := json.Unmarshal([]byte(body), &aud); err != nil {
			t.Fatal(err)
		}
		if got := joined(aud); got != want {
			t.Errorf("aud %s: %q, want %q", body, got, want)
		}
	}
}

func TestIntrospectionShowsWhatIsKnownOfAPerson(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 200, `{"active":true,"sub":"user_1","groups":["docs","staff"],"auth_time":1795299540}`)
	}))
	defer server.Close()
	stdout := new(bytes.Buffer)
	out := &terminal.Terminal{Environ: []string{apiclient.ClientSecretVariable + "=s"}, Stdout: stdout, Stderr: io.Discard}
	endpoint, err := apiclient.NewEndpoint(t.Context(), out, config.Config{PublicURL: server.URL}, &apiclient.CallerFlags{ClientID: "docs"}, "introspect")
	if err != nil {
		t.Fatal(err)
	}
	if err := introspect(t.Context(), out, endpoint, "token", true); err != nil {
		t.Fatal(err)
	}
	const want = "active     true\nsub        user_1\ngroups     docs staff\nauth_time  2026-11-21T22:19:00Z\n"
	if stdout.String() != want {
		t.Errorf("stdout\n%s\nwant\n%s", stdout, want)
	}
}
