package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

func TestReadyzSaysWhyNobodyShouldSendRequests(t *testing.T) {
	up := func(context.Context) error { return nil }
	down := func(context.Context) error { return errors.New("dial tcp 10.0.0.9:5432: connection refused") }
	late := func() string { return "the clock is late" }
	nothing := func() string { return "" }
	yes, no := func() bool { return true }, func() bool { return false }
	for name, c := range map[string]struct {
		health Health
		status int
		says   string
	}{
		"it serves":                 {Health{Ready: up}, http.StatusOK, `{"status":"ok"}`},
		"it serves, with a detail":  {Health{Ready: up, Detail: late}, http.StatusOK, `{"status":"ok","detail":"the clock is late"}`},
		"it serves, without one":    {Health{Ready: up, Detail: nothing}, http.StatusOK, `{"status":"ok"}`},
		"it drains, with a detail":  {Health{Ready: up, Draining: yes, Detail: late}, http.StatusServiceUnavailable, `{"status":"draining"}`},
		"it does not drain":         {Health{Ready: up, Draining: no}, http.StatusOK, `{"status":"ok"}`},
		"it drains":                 {Health{Ready: up, Draining: yes}, http.StatusServiceUnavailable, `{"status":"draining"}`},
		"it drains in an outage":    {Health{Ready: down, Draining: yes}, http.StatusServiceUnavailable, `{"status":"draining"}`},
		"the database is not there": {Health{Ready: down}, http.StatusServiceUnavailable, `{"status":"the database does not answer, or takes no writes"}`},
	} {
		t.Run(name, func(t *testing.T) {
			root := mux.NewRouter()
			c.health.Mount(root)
			answer := func(path string) *httptest.ResponseRecorder {
				w := httptest.NewRecorder()
				root.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
				return w
			}
			ready := answer("/readyz")
			if ready.Code != c.status || strings.TrimSpace(ready.Body.String()) != c.says {
				t.Errorf("%d %s", ready.Code, ready.Body)
			}
			if retry := ready.Header().Get("Retry-After"); (retry != "") != (c.status != http.StatusOK) {
				t.Errorf("Retry-After %q", retry)
			}
			if live := answer("/livez"); live.Code != http.StatusOK {
				t.Errorf("/livez: %d", live.Code)
			}
		})
	}
}
