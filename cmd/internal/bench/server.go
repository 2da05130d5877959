package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"fosite-mcp/config"

	"go.yaml.in/yaml/v3"
)

// server is the server that is measured.
type server struct {
	command func() *exec.Cmd
	process *process
	said    tail
	heard   chan struct{} // closed when it will say nothing more
	dataDir string
	public  string // host:port of the public listener
	admin   string // origin of the admin listener
}

// Names that stay when the server starts again, on other ports.
const (
	issuer   = "http://127.0.0.1"
	resource = issuer + "/authed/mcp"
)

// settings are the configuration of the server: the defaults, but for names, files, and limits that no caller may meet here, where
// all of them have one address.
func settings(dataDir string, database config.DatabaseURL) map[string]any {
	return map[string]any{
		"issuer":    issuer,
		"resources": map[string]any{resource: map[string]any{"scopes": []string{"mcp:search"}}},
		"listen":    "127.0.0.1:0",
		"admin":     map[string]any{"listen": "127.0.0.1:0"},
		"data_dir":  dataDir,
		"database":  map[string]any{"url": database.Reveal()},
		"rate_limits": map[string]any{
			"client_per_hour": 0, "address_per_hour": 0, "client_failures_per_minute": 0, "address_failures_per_minute": 0,
		},
	}
}

// startServer runs the server with a configuration file in the folder, and waits until it serves.
func startServer(ctx context.Context, o Options, folder string, database config.DatabaseURL) (*server, error) {
	s := &server{dataDir: filepath.Join(folder, "data")}
	file := filepath.Join(folder, "fosite-mcp.yaml")
	content, err := yaml.Marshal(settings(s.dataDir, database))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, err
	}
	s.command = func() *exec.Cmd {
		command := o.Program("serve", "--config", file)
		command.Env = slices.DeleteFunc(slices.Clone(o.Environ), func(entry string) bool { return strings.HasPrefix(entry, "FOSITE_MCP_") })
		return command
	}
	return s, s.start(ctx)
}

// startLimit is how long the server may take to start.
const startLimit = time.Minute

// start runs the process.
func (s *server) start(ctx context.Context) (err error) {
	s.heard = make(chan struct{})
	command := s.command()
	output, input := io.Pipe()
	command.Stderr = input
	serving := make(chan []string, 1)
	go s.listen(output, serving)
	if s.process, err = start(command); err != nil {
		return errors.Join(fmt.Errorf("start the server: %w", err), input.Close())
	}
	go func() { <-s.process.ended; _ = input.Close() }()
	select {
	case addresses := <-serving:
		s.public, s.admin = addresses[1], addresses[2]
		return nil
	case <-s.process.ended:
		err = errors.New("the server does not start")
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startLimit):
		err = errors.New("the server does not start in " + startLimit.String())
	}
	s.stop()
	return s.explain(err)
}

// servingLine is what serve says when it accepts connections.
var servingLine = regexp.MustCompile(`serving http://(\S+) \(admin API: (http://\S+)\)`)

// listen reads what the server says, to its end.
func (s *server) listen(output io.Reader, serving chan<- []string) {
	defer close(s.heard)
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadString('\n')
		_, _ = s.said.Write([]byte(line))
		if found := servingLine.FindStringSubmatch(line); found != nil {
			serving <- found
			break
		}
		if err != nil {
			break
		}
	}
	_, _ = io.Copy(&s.said, lines) // an error is the end
}

// stop ends the process, if it runs.
func (s *server) stop() {
	if s.process == nil {
		return
	}
	s.process.stop(syscall.SIGTERM)
	<-s.heard
}

// explain adds to an error what the server has said.
func (s *server) explain(err error) error {
	if said := s.said.String(); said != "" && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w\nThe server said:\n%s", err, said)
	}
	return err
}

// request is a request to one of the OAuth endpoints.
func (s *server) request(endpoint string, c *credentials, form url.Values) []byte {
	body := form.Encode()
	return fmt.Appendf(nil, "POST %s/%s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s",
		config.Default().BasePath, endpoint, s.public, c.basic(), len(body), body)
}
