package authserver

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A server on PostgreSQL whose clock is off says so, and one whose clock is far off does not start.
func TestClockIsComparedAtStart(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, url string) {
		for _, c := range []struct {
			difference time.Duration
			warns      string // "": it does not
			refused    bool
		}{
			{0, "", false},
			{20 * time.Second, " ahead of the database's", false},
			{-20 * time.Second, " behind the database's", false},
			{20 * 24 * time.Hour, " ahead of the database's", true},
			{-2 * time.Minute, " behind the database's", true},
		} {
			if strings.HasPrefix(url, "sqlite") { // whose clock is the process's own
				c.warns, c.refused = "", false
			}
			says, log, err := startWithClock(t, url, func() time.Time { return time.Now().Add(c.difference) })
			if refused := err != nil; refused != c.refused || refused && (!strings.Contains(err.Error(), c.warns) || !strings.Contains(err.Error(), "NTP")) {
				t.Errorf("a clock that is %s ahead: error %v", c.difference, err)
			}
			if warned := strings.Contains(log, "level=WARN"); warned != (c.warns != "") || !strings.Contains(log, c.warns) {
				t.Errorf("a clock that is %s ahead: the log says\n%s", c.difference, log)
			}
			if !c.refused && (strings.Contains(says, "detail") != (c.warns != "") || !strings.Contains(says, c.warns) || !strings.Contains(says, `"status":"ok"`)) {
				t.Errorf("a clock that is %s ahead: /readyz says %s", c.difference, says)
			}
		}
	})
}

// startWithClock starts a server with a clock, asks it whether it is ready, and stops it.
func startWithClock(t *testing.T, url string, now func() time.Time) (says, log string, err error) {
	t.Helper()
	r := &replica{t: t}
	cfg := testConfig(t, "FOSITE_MCP_DATABASE_URL="+url, "FOSITE_MCP_ISSUER=http://127.0.0.1:9",
		"FOSITE_MCP_SYSTEM_SECRET="+clockSecret, "FOSITE_MCP_ADMIN_KEY="+rand.Text()+rand.Text())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ready, ended := make(chan Addresses, 1), make(chan error, 1)
	server := &Instance{Config: cfg, Log: slog.New(slog.NewTextHandler(r, nil)), now: now, Ready: func(at Addresses) { ready <- at }}
	go func() { ended <- server.Run(ctx) }()
	select {
	case at := <-ready:
		if _, public := ask(t, http.DefaultClient, http.MethodGet, "http://"+at.Public+"/readyz", "", nil); strings.Contains(public, "detail") {
			t.Errorf("the public listener says %s", public)
		}
		_, says = ask(t, http.DefaultClient, http.MethodGet, at.AdminURL+"/readyz", "", nil)
		cancel()
		err = <-ended
	case err = <-ended:
	}
	return says, r.said(), err
}

// clockSecret is shared, as the database is.
var clockSecret = rand.Text() + rand.Text()

// While a server runs it only tells: when the clocks come apart, and when they agree again.
func TestClockIsFollowed(t *testing.T) {
	r := &replica{t: t}
	var difference time.Duration
	var failure error
	c := &clock{log: slog.New(slog.NewTextHandler(r, nil)), compare: func(context.Context) (time.Duration, error) { return difference, failure }}
	for _, step := range []struct {
		difference time.Duration
		err        error
		lines      int
		detail     string
	}{
		{time.Second, nil, 0, ""},
		{7 * time.Second, nil, 1, "the clock of this machine is 7s ahead of the database's"},
		{time.Hour, nil, 1, "the clock of this machine is 1h0m0s ahead of the database's"},
		{0, errors.New("down"), 1, "the clock of this machine is 1h0m0s ahead of the database's"},
		{-7 * time.Second, nil, 1, "the clock of this machine is 7s behind the database's"},
		{5 * time.Second, nil, 2, ""},
		{0, nil, 2, ""},
	} {
		difference, failure = step.difference, step.err
		c.check(t.Context())
		if lines := strings.Count(r.said(), "\n"); lines != step.lines || c.detail() != step.detail {
			t.Errorf("%s, %v: %d lines, %q; want %d, %q", step.difference, step.err, lines, c.detail(), step.lines, step.detail)
		}
		if step.err == nil && c.Difference() != step.difference {
			t.Errorf("the figure is %s, want %s", c.Difference(), step.difference)
		}
	}
}
