package audit_test

import (
	"testing"
	"time"

	"gorm.io/gorm"

	"fosite-mcp/storage"
	"fosite-mcp/storage/internal/enginetest"
)

// fixture is a store on a new database.
type fixture struct {
	*storage.Store
	db *gorm.DB
}

type engine struct {
	dialector func(t *testing.T) func() gorm.Dialector
}

var onSQLite = engine{enginetest.SQLite}

func onEachEngine(t *testing.T, test func(t *testing.T, e engine)) {
	enginetest.OnEach(t, func(t *testing.T, _ string, dialector func(t *testing.T) func() gorm.Dialector) {
		test(t, engine{dialector})
	})
}

func (e engine) store(t *testing.T, options ...storage.Option) *fixture {
	t.Helper()
	db := enginetest.Open(t, e.dialector(t)())
	store := storage.New(db, options...)
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &fixture{store, db}
}

func wantChain(t *testing.T, s *fixture, wantCount, wantBad int64) {
	t.Helper()
	count, bad, err := s.Audit().Verify(t.Context(), nil)
	if count != wantCount || bad != wantBad || err != nil {
		t.Errorf("%d events verified, first bad %d (%v); want %d and %d", count, bad, err, wantCount, wantBad)
	}
}

// testClock is moved by hand.
type testClock struct{ at time.Time }

func newTestClock() *testClock { return &testClock{time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)} }

func (c *testClock) now() time.Time          { return c.at }
func (c *testClock) forward(d time.Duration) { c.at = c.at.Add(d) }
