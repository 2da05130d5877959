package test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// stop ends the server as an operator does, and returns how it ended.
func (s *server) stop() error {
	s.t.Helper()
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	return s.command.Wait()
}

// Whatever a server is doing when it is told to stop, its housekeeping at the start included: a stop is no failure.
func TestAStopIsNoError(t *testing.T) {
	t.Parallel()
	s := startServer(t, binaries)
	id, secret := s.register(map[string]any{"client_name": "ci"})
	for range 12 {
		token := s.token(id, secret)
		if !s.active(id, secret, token) {
			t.Error("a fresh token is inactive")
		}
		if err := s.stop(); err != nil {
			t.Errorf("a stop: %v", err)
		}
		if log := s.stderr.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "level=WARN") {
			t.Errorf("the log of a server that was stopped:\n%s", log)
		}
		s.start()
	}
	status, answer := send(t, adminRequest(t, s, http.MethodGet, "/clients/"+id))
	if status != http.StatusOK || answer["last_used_at"] == nil {
		t.Errorf("the client was last used at %v (%d)", answer["last_used_at"], status)
	}
}

func adminRequest(t *testing.T, s *server, method, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.admin+"/admin/v1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.adminKey())
	return r
}
