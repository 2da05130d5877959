package storage

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
)

// fill makes the database full, and returns what makes room again.
func (e testEngine) fill(t *testing.T, s *Store) (makeRoom func()) {
	t.Helper()
	must := func(statement string) {
		t.Helper()
		if _, err := poolOf(t, s).ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if e.name == "sqlite" {
		poolOf(t, s).SetMaxOpenConns(1) // the limit belongs to a connection
		must("PRAGMA max_page_count = 1")
		return func() { must("PRAGMA max_page_count = 100000") }
	}
	must(`CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$`)
	for _, table := range []string{"authorize_sessions", "clients"} {
		must(`CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON ` + s.db.Table(table) + ` FOR EACH ROW EXECUTE FUNCTION no_room()`)
	}
	return func() { must("DROP FUNCTION no_room CASCADE") }
}

// While the disk is full reads work, and still the server is not ready: it would answer every token request with 503.
func TestAStoreThatTakesNoWritesIsNotReady(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		clock := newTestClock()
		s := e.storeWithClients(t, WithClock(clock.now))
		if err := s.CheckWrites(t.Context()); err != nil {
			t.Fatal(err)
		}
		makeRoom := e.fill(t, s)
		if err := s.Ping(t.Context()); err != nil {
			t.Fatalf("nothing was written so far: %v", err)
		}
		name := strings.Repeat("a large name ", 10_000) // whatever room there is in the pages
		ways := map[string]func() error{
			"a write": func() error { return s.Clients().Create(t.Context(), &client.Client{ID: "large", Name: name}) },
			"a transaction": func() error {
				ctx, err := s.BeginTX(t.Context())
				if err != nil {
					return err
				}
				return errors.Join(s.Clients().Create(ctx, &client.Client{ID: "large", Name: name}), s.Rollback(ctx))
			},
		}
		for way, write := range ways {
			s.db.WritesAgain()
			if err := write(); err == nil {
				t.Fatalf("%s succeeded on a full disk", way)
			}
			for range 3 {
				if err := s.Ping(t.Context()); err == nil {
					t.Errorf("ready after %s failed", way)
				}
			}
			clock.forward(time.Hour)
			if err := s.Ping(t.Context()); err == nil {
				t.Errorf("ready again although nothing has changed, after %s", way)
			}
		}
		if _, err := s.GetClient(t.Context(), "machine"); err != nil {
			t.Errorf("a read on a full disk: %v", err)
		}
		makeRoom()
		if err := s.Ping(t.Context()); err == nil {
			t.Error("each question writes")
		}
		clock.forward(retryWrites)
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("there is room again: %v", err)
		}
	})
}

// A statement that fails by itself says nothing about the others.
func TestOneFailedStatementDoesNotMakeAStoreUnready(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		s := e.storeWithClients(t)
		if err := s.Clients().Create(t.Context(), &client.Client{ID: "machine"}); !errors.Is(err, clients.ErrExists) {
			t.Fatalf("a second client: %v", err)
		}
		if _, err := s.db.Run(t.Context(), "UPDATE nothing SET x = 1"); err == nil {
			t.Fatal("a write without a table succeeded")
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("not ready: %v", err)
		}
	})
}

// Somebody who reads for long, a backup for instance, keeps SQLite from using its log again: it grows, and keeps its size.
func TestTheLogShrinksAfterALongReader(t *testing.T) {
	s := testEngine{"sqlite", newSQLiteFile}.storeWithClients(t)
	var file string
	if err := poolOf(t, s).QueryRowContext(t.Context(), "SELECT file FROM pragma_database_list").Scan(&file); err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		t.Helper()
		info, err := os.Stat(file + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	reader, err := poolOf(t, s).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := reader.ExecContext(t.Context(), "BEGIN DEFERRED"); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM "+s.db.Table("clients")).Scan(&n); err != nil {
		t.Fatal(err)
	}
	for size() <= 2*walLimit {
		if _, err := s.db.Run(t.Context(), "UPDATE {clients} SET name = hex(randomblob(500000)) WHERE id = 'machine'"); err != nil {
			t.Fatal(err)
		}
	}
	grown := size()
	if err := s.ShrinkLog(t.Context()); err != nil || size() != grown {
		t.Errorf("beside the reader: %d bytes of %d, error %v", size(), grown, err)
	}
	if _, err := reader.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := s.ShrinkLog(t.Context()); err != nil || size() != 0 {
		t.Errorf("after the reader: %d bytes of %d, error %v", size(), grown, err)
	}
	if err := s.CheckWrites(t.Context()); err != nil {
		t.Error(err)
	}
	if client, err := s.Clients().Find(t.Context(), "machine"); err != nil || len(client.Name) != 1_000_000 {
		t.Errorf("the client is not as it was written: %v", err)
	}
	var wait int
	for range 10 { // whichever connection
		if err := poolOf(t, s).QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&wait); err != nil || wait < 5000 {
			t.Errorf("a connection waits for %d ms only, error %v", wait, err)
		}
	}
}
