package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// host starts servers, one at a time, which all have the same addresses and secrets.
type host struct {
	binary, data  string
	public, admin string
	systemSecret  string
	adminKey      string
}

// server is a running fosite-mcp.
type server struct {
	*host
	command *exec.Cmd
}

// population is who uses a database: values of the header Authorization, and tokens that are alive.
type population struct {
	machine, resource string
	tokens            []string
}

func newHost(binary, data string) (*host, error) {
	h := &host{binary: binary, data: data, systemSecret: rand.Text() + rand.Text(), adminKey: "mcp_ak_" + rand.Text() + rand.Text()}
	for _, address := range []*string{&h.public, &h.admin} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		*address = listener.Addr().String()
	}
	return h, nil
}

// serve runs a server on a database for as long as do takes.
func (h *host) serve(ctx context.Context, database string, do func(*server) error) (err error) {
	command := exec.CommandContext(ctx, h.binary, "serve")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.Env = append(os.Environ(), "FOSITE_MCP_LISTEN="+h.public, "FOSITE_MCP_ADMIN_LISTEN="+h.admin, "FOSITE_MCP_DATA_DIR="+h.data,
		"FOSITE_MCP_DATABASE_URL="+database, "FOSITE_MCP_SYSTEM_SECRET="+h.systemSecret, "FOSITE_MCP_ADMIN_KEY="+h.adminKey, "FOSITE_MCP_LOG_LEVEL=warn")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		return err
	}
	defer func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if waited := command.Wait(); err == nil {
			err = waited
		}
		if err != nil && stderr.Len() > 0 {
			err = fmt.Errorf("%w\nthe server said: %s", err, &stderr)
		}
	}()
	s := &server{host: h, command: command}
	if err := s.awaitReady(ctx); err != nil {
		return err
	}
	return do(s)
}

func (s *server) pid() int { return s.command.Process.Pid }

func (s *server) awaitReady(ctx context.Context) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && ctx.Err() == nil; pause(ctx, 20*time.Millisecond) {
		if response, err := http.Get("http://" + s.public + "/readyz"); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return errors.Join(ctx.Err(), errors.New("the server does not start"))
}

// populate registers a resource server and n machines, and gets a token for each machine.
func (s *server) populate(ctx context.Context, n int) (p *population, err error) {
	p = new(population)
	p.resource, err = s.register(ctx, fmt.Sprintf(`{"client_name":"resource","introspects":["http://%s/authed/mcp"]}`, s.public))
	for i := 0; i < n && err == nil; i++ {
		if p.machine, err = s.register(ctx, fmt.Sprintf(`{"client_name":"machine %d"}`, i)); err == nil {
			l := load{address: s.public, conns: 1, count: 1, requests: s.issuing(p)}
			_, err = l.run(ctx)
		}
	}
	return p, err
}

// register creates a client and returns how it authenticates.
func (s *server) register(ctx context.Context, body string) (authorization string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.admin+"/admin/v1/clients", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+s.adminKey)
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var client struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.NewDecoder(response.Body).Decode(&client); err != nil || client.Secret == "" {
		return "", fmt.Errorf("registration failed: %s %v", response.Status, err)
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(client.ID+":"+client.Secret)), nil
}

// issuing is the request for a token.
func (s *server) issuing(p *population) [][]byte {
	return [][]byte{s.post("/token", p.machine, "grant_type=client_credentials&scope=mcp%3Asearch")}
}

// introspecting are questions about tokens, by the resource server.
func (s *server) introspecting(p *population) (requests [][]byte) {
	for _, token := range p.tokens {
		requests = append(requests, s.post("/introspect", p.resource, "token="+url.QueryEscape(token)))
	}
	return requests
}

func (s *server) post(path, authorization, body string) []byte {
	return fmt.Appendf(nil, "POST /authed/mcp/oauth%s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		path, s.public, authorization, len(body), body)
}

var deletedRows = regexp.MustCompile(`(?m)^fosite_mcp_cleanup_deleted_rows_total\{table="access_tokens"\} (\S+)`)

// deletedRows is how many expired tokens this server has deleted.
func (s *server) deletedRows(ctx context.Context) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	match := deletedRows.FindSubmatch(metrics)
	if match == nil {
		return 0, nil
	}
	n, err := strconv.ParseFloat(string(match[1]), 64)
	return int(n), err
}

// processCPU is the CPU time of a process in seconds, by Linux's /proc; elsewhere 0.
func processCPU(pid int) float64 {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100 // USER_HZ
}

// stolenCPU begins to measure the share of the machine's CPU time that the host gives to others; what it returns ends the
// measurement. Elsewhere than on Linux it is 0.
func stolenCPU() func() float64 {
	before, allBefore := machineCPU()
	return func() float64 {
		stolen, all := machineCPU()
		if all <= allBefore {
			return 0
		}
		return (stolen - before) / (all - allBefore)
	}
}

// machineCPU reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
func machineCPU() (stolen, all float64) {
	stat, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(line) {
		if ticks, err := strconv.ParseFloat(field, 64); err == nil && i <= 8 {
			all += ticks
			if i == 8 {
				stolen = ticks
			}
		}
	}
	return stolen, all
}
