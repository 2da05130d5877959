package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"gorm.io/gorm"
)

// cost is what a request may cost: statements that reach the database, and allocations on SQLite, under the race detector a
// little more. That one lets pools forget at random, so a count varies by five; there is room for that. A change that makes a
// request dearer has to say so here. `make bench` measures time.
type cost struct{ sqlite, postgres, allocations int }

var costs = map[string]cost{
	"token":      {2, 2, 266},
	"introspect": {1, 1, 254},
	"revoke":     {4, 2, 255},
}

func TestARequestCostsNoMoreThanItDid(t *testing.T) {
	engines := map[string]func(t *testing.T) *fixture{"SQLite": func(t *testing.T) *fixture { return newFixture(t) }}
	if server := os.Getenv("FOSITE_MCP_TEST_POSTGRES"); server != "" {
		engines["PostgreSQL"] = func(t *testing.T) *fixture {
			return newFixture(t, func(f *fixture) { f.open(throwAwaySchema(t, server)) })
		}
	}
	for engine, open := range engines {
		t.Run(engine, func(t *testing.T) {
			f := open(t)
			ci, service := f.client("ci"), f.client("docs", introspects(docs))
			tokens := make([]string, 0, 250)
			for range cap(tokens) {
				tokens = append(tokens, f.token("ci", ci))
			}
			f.do(post("/introspect", "token", tokens[0]).basic("docs", service)) // what the first request reads is remembered
			f.do(post("/revoke", "token", tokens[0]).basic("ci", ci))
			next := 0
			requests := map[string]func() *request{
				"token":      func() *request { return post("/token", "grant_type", "client_credentials").basic("ci", ci) },
				"introspect": func() *request { return post("/introspect", "token", tokens[len(tokens)-1]).basic("docs", service) },
				"revoke": func() *request {
					next++
					return post("/revoke", "token", tokens[next]).basic("ci", ci)
				},
			}
			statements := countStatements(t, f.db)
			for _, name := range []string{"token", "introspect", "revoke"} {
				send := func() {
					r := requests[name]()
					req := httptest.NewRequest(r.method, r.path, strings.NewReader(r.body))
					req.Header = r.header
					req.Header.Set("Content-Type", r.contentType)
					w := httptest.NewRecorder()
					f.router.ServeHTTP(w, req)
					if w.Code != http.StatusOK {
						t.Fatalf("%s: %d %s", name, w.Code, w.Body)
					}
				}
				*statements = 0
				send()
				want := costs[name].sqlite
				if engine == "PostgreSQL" {
					want = costs[name].postgres
				}
				if *statements != want {
					t.Errorf("%s: %d statements, want %d", name, *statements, want)
				}
				if engine == "SQLite" {
					if got := testing.AllocsPerRun(100, send); int(got) > costs[name].allocations {
						t.Errorf("%s: %.0f allocations, want no more than %d", name, got, costs[name].allocations)
					}
				}
			}
		})
	}
}

// countStatements counts what reaches the database through GORM, but for the statement by which a transaction takes SQLite's lock.
func countStatements(t *testing.T, db *gorm.DB) *int {
	t.Helper()
	counted := new(int)
	count := func(db *gorm.DB) {
		if !strings.HasSuffix(db.Statement.SQL.String(), " WHERE 0") {
			*counted++
		}
	}
	callbacks := db.Callback()
	for _, register := range []func(string, func(*gorm.DB)) error{
		callbacks.Create().After("*").Register, callbacks.Query().After("*").Register, callbacks.Update().After("*").Register,
		callbacks.Delete().After("*").Register, callbacks.Row().After("*").Register, callbacks.Raw().After("*").Register,
	} {
		if err := register("test:count", count); err != nil {
			t.Fatal(err)
		}
	}
	return counted
}
