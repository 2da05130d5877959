package test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// roundsVariable says how often scripts/rolling-restart restarts each replica. The time of the drain is real, so the suite leaves
// this test out.
const roundsVariable = "FOSITE_MCP_TEST_ROLLING_RESTARTS"

// Two replicas are restarted one after the other behind a proxy, with its configuration of docs/deploy: every request is answered.
func TestRollingRestart(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv(roundsVariable))
	if rounds == 0 || !withPostgres() {
		t.Skip("scripts/rolling-restart runs this")
	}
	for _, proxy := range debianProxies[:2] {
		t.Run(proxy.name, func(t *testing.T) {
			front := freeAddress(t)
			replicas := newReplicas(t, newPostgresDatabase(t), 2, "FOSITE_MCP_PUBLIC_URL=https://"+front,
				"FOSITE_MCP_BEHIND_PROXY=true", "FOSITE_MCP_CLIENT_IP_HEADER=X-Forwarded-For")
			startTogether(replicas...)
			program := debianProgram(t, proxy.program, proxy.packages...)
			config, folder := deployed(t, proxy, front, replicas[0].public, replicas[1].public)
			log := new(lockedBuffer)
			command := exec.Command(program, proxy.arguments(config, folder)...)
			command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
			command.Stdout, command.Stderr = log, log
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = command.Process.Signal(os.Interrupt); _ = command.Wait() })
			scheme := "https://"
			if proxy.name == "caddy" {
				scheme = "http://"
			}
			load := newLoad(t, scheme+front, replicas[0], log)
			load.run(8)
			for range rounds {
				for _, replica := range replicas {
					began := time.Now()
					if err := replica.stop(); err != nil {
						t.Errorf("%v\n%s", err, replica.stderr)
					}
					t.Logf("a replica was gone %s after SIGTERM", time.Since(began).Round(10*time.Millisecond))
					replica.start()
					if proxy.name == "caddy" {
						time.Sleep(3 * time.Second) // it asks once a second
					}
				}
			}
			load.end()
			if len(load.wrong) > 0 {
				t.Errorf("wrong answers:\n%s", strings.Join(load.wrong[:min(10, len(load.wrong))], "\n"))
				for line := range strings.Lines(log.String()) {
					if !strings.Contains(strings.ToLower(line), "connection refused") { // the other replica was asked
						t.Log(proxy.name, ": ", line)
					}
				}
				for _, replica := range replicas {
					t.Log(replica.stderr) // since its last start
				}
			}
			t.Logf("%d answers, %d of them wrong", load.answers, len(load.wrong))
		})
	}
}

// deployed is the proxy's configuration of docs/deploy for other addresses, and a folder for its files.
func deployed(t *testing.T, proxy debianProxy, front, first, second string) (config, folder string) {
	t.Helper()
	folder = t.TempDir()
	certificate, key := filepath.Join(folder, "certificate"), filepath.Join(folder, "key")
	writeCertificate(t, certificate, key)
	for _, name := range []string{"body", "fastcgi", "proxy", "scgi", "uwsgi"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config = filepath.Join(folder, proxy.config)
	text := readRepositoryFile(t, "docs/deploy/"+proxy.config)
	for _, change := range [][2]string{ // each of them must be there
		{"10.0.0.11:8080", first}, {"10.0.0.12:8080", second},
		{"listen 443 ssl", "listen " + front + " ssl"}, {"/etc/nginx/tls/auth.example.com.crt", certificate}, {"/etc/nginx/tls/auth.example.com.key", key},
		{"http {", "http {\naccess_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; scgi_temp_path scgi; uwsgi_temp_path uwsgi;"},
		{"auth.example.com {", "{\n\tadmin off\n}\nhttp://" + front + " {"}, // it would look for a certificate
	} {
		ofCaddy, ofBoth := strings.HasPrefix(change[0], "auth"), strings.HasPrefix(change[0], "10.")
		if !ofBoth && ofCaddy != (proxy.name == "caddy") {
			continue
		}
		if !strings.Contains(text, change[0]) {
			t.Fatalf("%s does not say %q", proxy.config, change[0])
		}
		text = strings.Replace(text, change[0], change[1], 1)
	}
	writeFile(t, config, strings.ReplaceAll(text, "X-Real-IP $remote_addr", "X-Forwarded-For $remote_addr"))
	return config, folder
}

// checkDeployed lets the program check its configuration of docs/deploy.
func checkDeployed(t *testing.T, proxy debianProxy, program string) {
	t.Helper()
	config, folder := deployed(t, proxy, freeAddress(t), "127.0.0.1:1", "127.0.0.1:2")
	arguments := []string{"validate", "--config", config, "--adapter", "caddyfile"}
	if proxy.name == "nginx" {
		arguments = append([]string{"-t"}, proxy.arguments(config, folder)...)
	}
	command := exec.Command(program, arguments...)
	command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("docs/deploy/%s: %v\n%s", proxy.config, err, output)
	}
}

// load is what clients of a deployment do all the time: get tokens, check them, revoke them.
type load struct {
	front, id, secret string
	client            *http.Client
	ended             chan struct{}
	working           sync.WaitGroup
	mu                sync.Mutex
	answers           int
	wrong             []string
}

// newLoad registers its client at s, and waits for the proxy.
func newLoad(t *testing.T, front string, s *server, log fmt.Stringer) *load {
	t.Helper()
	l := &load{front: front, ended: make(chan struct{}), client: &http.Client{
		Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, MaxIdleConnsPerHost: 8},
	}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.admin+"/admin/v1/clients", strings.NewReader(`{"client_name":"load"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+replicaKey)
	r.Header.Set("Content-Type", "application/json")
	status, answer := send(t, r)
	if status != http.StatusCreated {
		t.Fatal(status, answer)
	}
	l.id, l.secret = answer["client_id"].(string), answer["client_secret"].(string)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if l.once(); len(l.wrong) == 0 {
			return l
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%s", l.wrong, log)
		}
		l.wrong = nil
	}
}

func (l *load) run(workers int) {
	for range workers {
		l.working.Go(func() {
			for {
				select {
				case <-l.ended:
					return
				default:
					l.once()
				}
			}
		})
	}
}

func (l *load) end() {
	close(l.ended)
	l.working.Wait()
}

// once gets a token, checks it, revokes it and checks it again.
func (l *load) once() {
	issued := l.post("token", func(a map[string]any) bool { return a["access_token"] != nil }, "grant_type", "client_credentials")
	token, _ := issued["access_token"].(string)
	if token == "" {
		return
	}
	active := func(want bool) func(map[string]any) bool {
		return func(answer map[string]any) bool { return answer["active"] == want }
	}
	l.post("introspect", active(true), "token", token)
	l.post("revoke", func(map[string]any) bool { return true }, "token", token)
	l.post("introspect", active(false), "token", token)
	time.Sleep(10 * time.Millisecond) // the load is light
}

func (l *load) post(endpoint string, right func(map[string]any) bool, parameters ...string) (answer map[string]any) {
	form := url.Values{}
	for pair := range slices.Chunk(parameters, 2) {
		form.Set(pair[0], pair[1])
	}
	r, err := http.NewRequest(http.MethodPost, l.front+"/authed/mcp/oauth/"+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(l.id, l.secret)
	status, body := 0, []byte(nil)
	response, err := l.client.Do(r)
	if err == nil {
		status = response.StatusCode
		body, err = io.ReadAll(response.Body)
		response.Body.Close()
	}
	_ = json.Unmarshal(body, &answer)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers++
	if err != nil || status != http.StatusOK || !right(answer) {
		l.wrong = append(l.wrong, fmt.Sprint(time.Now().Format(time.TimeOnly), " ", endpoint, " ", status, " ", err))
	}
	return answer
}
