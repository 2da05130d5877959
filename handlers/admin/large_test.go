package admin_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fosite-mcp/storage/clients"

	"gorm.io/gorm"
)

// manyClients registers clients faster than anybody could one by one.
func manyClients(t testing.TB, w *world, many int) {
	t.Helper()
	err := w.db.Exec(`INSERT INTO clients (id, name, owner, scope, grant_types, token_endpoint_auth_method, created_at, updated_at)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		SELECT 'mcp_' || i, 'client number ' || i, 'team-' || (i % 100), 'mcp:search', 'client_credentials', 'client_secret_basic', 1700000000000 + i / 3, 1700000000000
		FROM n`, many).Error
	if err != nil {
		t.Fatal(err)
	}
}

// A page costs what it holds, wherever it is and however many clients there are: the database walks an index from the
// cursor on, and neither reads nor sorts the rest. BenchmarkListClients measures it.
func TestAPageOfALargeListReadsNoMoreThanThePage(t *testing.T) {
	w := newWorld(t)
	manyClients(t, w, 2000)
	var plans []string
	err := w.db.Callback().Query().After("gorm:query").Register("plan", func(tx *gorm.DB) {
		if tx.Statement.Table == "clients" {
			plans = append(plans, planOf(t, tx, tx.Statement.SQL.String(), tx.Statement.Vars))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"first": "/clients", "last": "/clients?limit=50&cursor=" + cursorBefore(t, w, 50)} {
		plans = nil
		page := w.get(path).want(t, http.StatusOK)
		if len(page.items()) != 50 || (page.str("next_cursor") == "") != (name == "last") {
			t.Errorf("%s page: %d clients, next_cursor %q", name, len(page.items()), page.str("next_cursor"))
		}
		if len(plans) != 1 || !strings.Contains(plans[0], "SEARCH clients USING INDEX") || strings.Contains(plans[0], "TEMP B-TREE") {
			t.Errorf("%s page: %q", name, plans)
		}
	}
	if items := w.get("/clients?q=number%201999").items(); len(items) != 1 || items[0]["client_id"] != "mcp_1999" {
		t.Errorf("the search finds %v", items)
	}
}

// planOf is how SQLite goes about a statement.
func planOf(t testing.TB, tx *gorm.DB, statement string, vars []any) string {
	t.Helper()
	rows, err := tx.Statement.ConnPool.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, vars...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "; ")
}

// cursorBefore is the cursor of the page that holds the last n clients.
func cursorBefore(t testing.TB, w *world, n int) string {
	t.Helper()
	var cursor clients.Cursor
	row := w.db.Raw(`SELECT id, created_at FROM clients ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET ?`, n).Row()
	if err := row.Scan(&cursor.ID, &cursor.CreatedAt); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(cursor)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(encoded)
}

// serve answers a GET, and looks at nothing.
func (w *world) serve(path string) {
	r := httptest.NewRequest(http.MethodGet, "/admin/v1"+path, nil)
	r.Header.Set("Authorization", "Bearer "+w.key)
	w.handler.ServeHTTP(httptest.NewRecorder(), r)
}

func BenchmarkListClients(b *testing.B) {
	w := newWorld(b)
	manyClients(b, w, 100_000)
	lastPage := "/clients?limit=50&cursor=" + cursorBefore(b, w, 50)
	for name, path := range map[string]string{"first": "/clients", "last": lastPage, "search": "/clients?q=nowhere"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				w.serve(path)
			}
		})
	}
}
