package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// TestAFloodAtOneDoorClosesNoOther logs in 100 invented people in parallel, again and again, while wrong secrets arrive for
// an imported client and for clients that do not exist. Everybody else goes on: each token request of the other clients is
// answered, those with a bcrypt hash included, and in about the time that it takes without a flood.
//
// FOSITE_MCP_TEST_FLOOD sets the number of wrong secrets, and then the time must stay below twice that without a flood.
// Without it the test runs beside others, which make times of their own.
func TestAFloodAtOneDoorClosesNoOther(t *testing.T) {
	wrongSecrets, bound := 500, 2*time.Second
	if text := os.Getenv("FOSITE_MCP_TEST_FLOOD"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("FOSITE_MCP_TEST_FLOOD is %q; set it to a number of requests", text)
		}
		wrongSecrets, bound = n, 0
	}
	f := newFlood(t)
	quiet := f.others(t, f.while(t.Context(), 2*time.Second))

	ctx, over := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for i := range 100 {
		group.Go(func() { f.logInAsNobody(ctx, i) })
	}
	var ada adaSeen
	group.Go(func() { ada = f.logInAsAda(ctx, t) })
	group.Go(func() {
		f.sendWrongSecrets(ctx, wrongSecrets)
		over()
	})
	flood := f.others(t, ctx)
	over()
	group.Wait()
	quiet = append(quiet, f.others(t, f.while(t.Context(), 2*time.Second))...)

	before, during := percentile(quiet, .99), percentile(flood, .99)
	t.Logf("token requests of others: p50 %v, p99 %v without a flood (%d); p50 %v, p99 %v in it (%d)",
		percentile(quiet, .5), before, len(quiet), percentile(flood, .5), during, len(flood))
	t.Logf("the flood: %d bogus logins and %d wrong secrets; the right password was let in %d times, %d times it was too busy",
		f.logins.Load(), f.secrets.Load(), ada.letIn, ada.busy)
	if during > max(2*before, bound) {
		t.Errorf("p99 of other clients' token requests went from %v to %v", before, during)
	}
	if status, page, err := f.logIn(t.Context(), newPerson(t, "ada", adaPassword)); status != http.StatusSeeOther {
		t.Errorf("after the flood the right password is answered %d (%v):\n%s", status, err, page)
	}
}

// flood is a server with accounts and clients that somebody floods, and others who want to go on.
type flood struct {
	*server
	client          *http.Client
	clients         []tenant
	logins, secrets atomic.Int64
}

const adaPassword = "correct horse battery"

func newFlood(t *testing.T) *flood {
	f := &flood{
		server: startServer(t, binaries, `FOSITE_MCP_LOGIN_METHODS=["local"]`),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}},
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(adaPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	f.run("", "user", "create", "--username", "ada", "--password-file", file)
	for i := range 2 {
		id, secret := f.register(map[string]any{"client_name": fmt.Sprint("generated", i)})
		f.clients = append(f.clients, tenant{id: id, secret: secret})
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("sesame"), bcrypt.DefaultCost)
	if err != nil {
		t.Fatal(err)
	}
	var imported []map[string]any
	for _, id := range []string{"imported0", "imported1", "victim"} {
		imported = append(imported, map[string]any{"client_id": id, "client_name": id, "client_secret": string(hash),
			"grant_types": []string{"client_credentials"}, "scope": "mcp:search"})
		if id != "victim" {
			f.clients = append(f.clients, tenant{id: id, secret: "sesame"})
		}
	}
	text, err := json.Marshal(imported)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "clients.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f.run("", "client", "import", file, "--apply")
	for _, c := range f.clients {
		f.token(c.id, c.secret)
	}
	return f
}

func (f *flood) while(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(ctx, d)
	f.t.Cleanup(cancel)
	return ctx
}

// others sends token requests of the clients at a steady pace until ctx ends, and returns how long each took.
func (f *flood) others(t *testing.T, ctx context.Context) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	var group sync.WaitGroup
	tick := time.NewTicker(6 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			group.Wait()
			return took
		case <-tick.C:
		}
		c := f.clients[i%len(f.clients)]
		group.Go(func() {
			start := time.Now()
			status, err := f.askForToken(t.Context(), c.id, c.secret)
			if status != http.StatusOK {
				t.Errorf("the token request of %s is answered %d (%v)", c.id, status, err)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(start))
		})
	}
}

func (f *flood) askForToken(ctx context.Context, id, secret string) (status int, err error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.endpoints+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := f.client.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// sendWrongSecrets sends them from 100 places, half of them for a client with a bcrypt hash.
func (f *flood) sendWrongSecrets(ctx context.Context, number int) {
	var group sync.WaitGroup
	var sent atomic.Int64
	for range 100 {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(sent.Add(1))
				if i > number {
					return
				}
				id := "victim"
				if i%2 == 0 {
					id = fmt.Sprint("invented", i)
				}
				if status, err := f.askForToken(ctx, id, fmt.Sprint("wrong", i)); err == nil && status < http.StatusBadRequest {
					f.t.Errorf("a wrong secret is answered %d", status)
				}
				f.secrets.Add(1)
			}
		})
	}
	group.Wait()
}

// logInAsNobody tries one invented account after the other.
func (f *flood) logInAsNobody(ctx context.Context, number int) {
	for i := 0; ctx.Err() == nil; i++ {
		status, _, err := f.logIn(ctx, newPerson(f.t, fmt.Sprintf("nobody%dx%d", number, i), "a wrong password"))
		if err == nil && status < http.StatusBadRequest {
			f.t.Errorf("a bogus login is answered %d", status)
		}
		f.logins.Add(1)
	}
}

// adaSeen is what a person with the right password got.
type adaSeen struct{ letIn, busy int }

func (f *flood) logInAsAda(ctx context.Context, t *testing.T) (seen adaSeen) {
	for ctx.Err() == nil {
		switch status, page, err := f.logIn(ctx, newPerson(t, "ada", adaPassword)); {
		case err != nil:
		case status == http.StatusSeeOther:
			seen.letIn++
		case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
			seen.busy++
		default:
			t.Errorf("the right password is answered %d:\n%s", status, page)
		}
	}
	return seen
}

func (f *flood) logIn(ctx context.Context, p *person) (status int, page string, err error) {
	p.client.Transport = f.client.Transport
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.endpoints+"/login", nil)
	if err != nil {
		return 0, "", err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	if request, err = p.fillIn(ctx, response); err != nil {
		return 0, "", err
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

func percentile(took []time.Duration, share float64) time.Duration {
	if len(took) == 0 {
		return 0
	}
	took = slices.Sorted(slices.Values(took))
	return took[int(share*float64(len(took)-1))].Round(10 * time.Microsecond)
}
