package resource

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script is a transport that answers one request after the other: with a
// status, 0 for a broken connection, -1 for none until the time is up.
type script struct {
	statuses   []int
	retryAfter string
	requests   int
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.requests++
	status := s.statuses[min(s.requests, len(s.statuses))-1]
	switch status {
	case 0:
		return nil, errors.New("connection reset by peer")
	case -1:
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	if s.retryAfter != "" {
		w.Header().Set("Retry-After", s.retryAfter)
	}
	w.WriteHeader(status)
	if status == http.StatusOK {
		w.WriteString(activeAnswer)
	}
	return w.Result(), nil
}

func scripted(t *testing.T, s *script, edit ...func(*Config)) *Introspector {
	t.Helper()
	config := Config{Endpoint: issuer + "/introspect", ClientID: "docs", ClientSecret: secret, Resource: here, HTTPClient: &http.Client{Transport: s}}
	for _, e := range edit {
		e(&config)
	}
	v, err := NewIntrospector(config)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWhatIsAskedTwice(t *testing.T) {
	for name, tc := range map[string]struct {
		script   script
		requests int
		ok       bool
	}{
		"a broken connection":          {script{statuses: []int{0, 200}}, 2, true},
		"two of them":                  {script{statuses: []int{0, 0, 200}}, 2, false},
		"a bad gateway":                {script{statuses: []int{502, 200}}, 2, true},
		"busy":                         {script{statuses: []int{503, 200}}, 2, true},
		"busy for a second":            {script{statuses: []int{503, 200}, retryAfter: "1"}, 2, true},
		"busy for longer":              {script{statuses: []int{503, 200}, retryAfter: "2"}, 1, false},
		"a gateway that has waited":    {script{statuses: []int{504, 200}}, 2, true},
		"an internal error":            {script{statuses: []int{500, 200}}, 1, false},
		"too many requests":            {script{statuses: []int{429, 200}}, 1, false},
		"refused credentials":          {script{statuses: []int{401, 200}}, 1, false},
		"silence":                      {script{statuses: []int{-1, 200}}, 1, false},
		"a connection, then a silence": {script{statuses: []int{0, -1}}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, err := scripted(t, &tc.script).Verify(t.Context(), goodAT)
				if (err == nil) != tc.ok || errors.Is(err, ErrInactive) || tc.script.requests != tc.requests {
					t.Errorf("error %v after %d requests, want %d", err, tc.script.requests, tc.requests)
				}
				if took := time.Since(began); took > defaultTimeout {
					t.Errorf("it took %s, want %s at most", took, defaultTimeout)
				}
			})
		})
	}
}

func TestServerThatFailsIsLeftAloneForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{statuses: []int{500}}
		v := scripted(t, s)
		for range 100 {
			if _, err := v.Verify(t.Context(), goodAT); err == nil || errors.Is(err, ErrInactive) || !strings.Contains(err.Error(), "500") {
				t.Fatalf("error %v", err)
			}
		}
		if s.requests != breakAfter {
			t.Errorf("%d requests reached the server, want %d", s.requests, breakAfter)
		}
		for range 3 {
			time.Sleep(breakFor)
			before := s.requests
			for range 10 {
				v.Verify(t.Context(), goodAT)
			}
			if s.requests != before+1 {
				t.Errorf("%d requests after the pause, want one", s.requests-before)
			}
		}
		s.statuses = []int{200}
		time.Sleep(breakFor)
		for range 10 {
			if _, err := v.Verify(t.Context(), goodAT); err != nil {
				t.Errorf("the server is back: %v", err)
			}
		}
	})
}

// Nobody can keep others out by a token that the server does not like, or by
// going away.
func TestTokensAndCallersDoNotOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{statuses: []int{400}}
		v := scripted(t, s)
		for range 20 {
			v.Verify(t.Context(), goodAT)
		}
		s.statuses = []int{-1}
		for range 20 {
			short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			v.Verify(short, goodAT)
			cancel()
		}
		s.statuses = []int{200}
		if _, err := v.Verify(t.Context(), goodAT); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusedCredentialsAreSaidOnceAMinute(t *testing.T) {
	for status, remedy := range map[int]string{401: "client id and secret", 403: "register this service as a resource server"} {
		synctest.Test(t, func(t *testing.T) {
			config, log := newAuthorization().config(t)
			v := scripted(t, &script{statuses: []int{status}}, func(c *Config) { c.Logger = config.Logger })
			for range 119 {
				if _, err := v.Verify(t.Context(), goodAT); err == nil || errors.Is(err, ErrInactive) {
					t.Fatalf("error %v, want an outage", err)
				}
				time.Sleep(time.Second)
			}
			if got := strings.Count(log.String(), "refuses this service itself"); got != 2 || !strings.Contains(log.String(), remedy) ||
				strings.Contains(log.String(), secret) || strings.Contains(log.String(), goodAT) {
				t.Errorf("said %d times in two minutes, want 2 with %q:\n%s", got, remedy, log)
			}
		})
	}
}
