package authserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// drained is a server that can be told to drain, and whose clock is the test's.
type drained struct {
	Addresses
	drain, ended chan struct{}
	over         chan time.Time // ends the drain
	waits        chan time.Duration
	stop         context.CancelFunc
	log          bytes.Buffer // read it after ended
	err          error
}

func runDrained(t *testing.T, settings ...string) *drained {
	t.Helper()
	s := &drained{drain: make(chan struct{}), ended: make(chan struct{}), over: make(chan time.Time), waits: make(chan time.Duration, 1)}
	ready := make(chan Addresses, 1)
	server := &Instance{
		Config: testConfig(t, settings...), Log: slog.New(slog.NewTextHandler(&s.log, nil)), Ready: func(at Addresses) { ready <- at }, Drain: s.drain,
		after: func(wait time.Duration) <-chan time.Time {
			s.waits <- wait
			return s.over
		},
	}
	ctx, stop := context.WithCancel(t.Context())
	s.stop = stop
	go func() {
		defer close(s.ended)
		s.err = server.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-s.ended
	})
	select {
	case s.Addresses = <-ready:
	case <-s.ended:
		t.Fatal(s.err)
	}
	return s
}

// ask asks and tells whether the connection ends with the answer.
func (s *drained) ask(t *testing.T, url string) (status int, says string, last bool) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Status string }
	_ = json.NewDecoder(response.Body).Decode(&answer)
	return response.StatusCode, answer.Status, response.Close
}

// endInTime ends the drain, and sends a request on a connection that the server has taken before.
func (s *drained) endInTime(t *testing.T) {
	conn, err := net.Dial("tcp", s.Public)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.over <- time.Time{}
	select {
	case wait := <-s.waits:
		if wait != arriving {
			t.Errorf("it waits %s for requests that are on their way", wait)
		}
	case <-s.ended:
		t.Fatal("it does not wait for requests that are on their way")
	}
	if _, err := conn.Write([]byte("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("a request that was on its way: %d, connection ends: %v", response.StatusCode, response.Close)
	}
	close(s.over)
}

// The server says that it leaves, and serves until the time of the setting is over.
func TestServerDrains(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *drained, t *testing.T){
		"the time is over": (*drained).endInTime,
		"a second signal":  func(s *drained, _ *testing.T) { s.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			s := runDrained(t, "FOSITE_MCP_SHUTDOWN_DRAIN=7s")
			metadata := s.PublicURL + "/.well-known/oauth-authorization-server"
			for _, url := range []string{s.PublicURL + "/readyz", s.AdminURL + "/readyz", metadata} {
				if status, _, last := s.ask(t, url); status != http.StatusOK || last {
					t.Errorf("%s before: %d, connection ends: %v", url, status, last)
				}
			}
			close(s.drain)
			if wait := <-s.waits; wait != 7*time.Second {
				t.Errorf("it drains for %s", wait)
			}
			// The answers that follow are of a server that has begun to drain: it says so before it waits.
			for _, url := range []string{s.PublicURL + "/readyz", s.AdminURL + "/readyz"} {
				if status, says, last := s.ask(t, url); status != http.StatusServiceUnavailable || says != "draining" || !last {
					t.Errorf("%s: %d %q, connection ends: %v", url, status, says, last)
				}
			}
			for _, url := range []string{s.PublicURL + "/livez", metadata} {
				if status, _, last := s.ask(t, url); status != http.StatusOK || !last {
					t.Errorf("%s: %d, connection ends: %v", url, status, last)
				}
			}
			end(s, t)
			<-s.ended
			log := s.log.String()
			if s.err != nil || !strings.Contains(log, "draining") || !strings.Contains(log, "stopping") || strings.Contains(log, "level=WARN") {
				t.Errorf("%v\n%s", s.err, log)
			}
			if _, err := http.Get(metadata); err == nil {
				t.Error("it still listens")
			}
		})
	}
}

// Where nobody stands in front there is nothing to wait for.
func TestServerWithoutAProxyEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := runDrained(t)
	close(s.drain)
	<-s.ended
	if s.err != nil || len(s.waits) > 0 || strings.Contains(s.log.String(), "draining") {
		t.Errorf("%v\n%s", s.err, s.log.String())
	}
}
