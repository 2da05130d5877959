package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
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
	process *process
	said    tail
	heard   chan struct{} // closed when it will say nothing more
	dataDir string
	origin  string // of the public listener
	public  string // host:port of it
	admin   string // origin of the admin listener
}

// settings are the configuration of the server: the defaults, but for addresses, files, and limits that no caller may meet
// here, where all of them have one address.
func settings(folder string, database config.DatabaseURL) map[string]any {
	return map[string]any{
		"listen":   "127.0.0.1:0",
		"admin":    map[string]any{"listen": "127.0.0.1:0"},
		"data_dir": filepath.Join(folder, "data"),
		"database": map[string]any{"url": database.Reveal()},
		"rate_limits": map[string]any{
			"client_per_hour": 0, "address_per_hour": 0, "client_failures_per_minute": 0, "address_failures_per_minute": 0,
		},
	}
}

// startLimit is how long the server may take to start.
const startLimit = time.Minute

// startServer runs the server with a configuration file in the folder, and waits until it serves.
func startServer(ctx context.Context, o Options, folder string, database config.DatabaseURL) (*server, error) {
	file := filepath.Join(folder, "fosite-mcp.yaml")
	content, err := yaml.Marshal(settings(folder, database))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, err
	}
	s := &server{dataDir: filepath.Join(folder, "data"), heard: make(chan struct{})}
	command := o.Program("serve", "--config", file)
	command.Env = slices.DeleteFunc(slices.Clone(o.Environ), func(entry string) bool { return strings.HasPrefix(entry, "FOSITE_MCP_") })
	output, input := io.Pipe()
	command.Stderr = input
	serving := make(chan []string, 1)
	go s.listen(output, serving)
	if s.process, err = start(command); err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), input.Close())
	}
	go func() { <-s.process.ended; _ = input.Close() }()
	select {
	case addresses := <-serving:
		s.origin, s.admin = addresses[1], addresses[2]
		s.public = strings.TrimPrefix(s.origin, "http://")
		return s, nil
	case <-s.process.ended:
		err = errors.New("the server does not start")
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startLimit):
		err = errors.New("the server does not start in " + startLimit.String())
	}
	s.stop()
	return nil, s.explain(err)
}

// servingLine is what serve says when it accepts connections.
var servingLine = regexp.MustCompile(`serving (http://\S+) \(admin API: (http://\S+)\)`)

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

func (s *server) stop() {
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
