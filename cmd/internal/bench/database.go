package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/database"
	"fosite-mcp/config"
)

// scratch is the database of the run.
type scratch struct {
	dialect
	url        config.DatabaseURL
	place      string // what was made on a server: database NAME, or schema NAME
	postmaster int    // process; 0: unknown, or no PostgreSQL
	pool       *sql.DB
	remove     []func() error // what to undo at the end, the last one first
}

// dialect is what the engines differ in.
type dialect struct {
	engine    string
	version   string // query
	durable   func(ctx context.Context, pool *sql.DB) (bool, string, error)
	size      string   // query: bytes of all tables
	objects   string   // query: the table of tokens and its indexes, with their bytes
	fast      []string // statements that make filling fast
	fill      func(columns []string) string
	settle    []string // statements
	maySettle []string // statements that the role may not be allowed
}

// open connects to the database, after the server has made the tables.
func (d *scratch) open(ctx context.Context) error {
	pool, err := connect(d.url)
	if err != nil {
		return err
	}
	d.pool = pool
	d.remove = append(d.remove, pool.Close)
	if d.url.IsPostgres() {
		d.postmaster = findPostmaster(ctx, pool)
	}
	return nil
}

func (d *scratch) close() (err error) {
	for _, undo := range slices.Backward(d.remove) {
		err = errors.Join(err, undo())
	}
	return err
}

func (d *scratch) number(ctx context.Context, query string) (n int64, err error) {
	err = d.pool.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

func (d *scratch) size(ctx context.Context) (int64, error) {
	n, err := d.number(ctx, d.dialect.size)
	return n, wrap("measure the size of the database", err)
}

// tokens counts the live ones.
func (d *scratch) tokens(ctx context.Context) (int, error) {
	n, err := d.number(ctx, "SELECT count(*) FROM access_tokens WHERE revoked_at IS NULL")
	return int(n), wrap("count the tokens", err)
}

// objects are the table of tokens and its indexes; nil where the engine cannot tell.
func (d *scratch) objects(ctx context.Context, tokens int) (objects []Object) {
	rows, err := d.pool.QueryContext(ctx, d.dialect.objects)
	if err != nil {
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var o Object
		if rows.Scan(&o.Name, &o.BytesPerToken) != nil {
			return nil
		}
		o.BytesPerToken /= float64(tokens)
		objects = append(objects, o)
	}
	if rows.Err() != nil {
		return nil
	}
	return objects
}

// describe tells people what database this is. Its files are in the folder, if there is one.
func (d *scratch) describe(ctx context.Context, folder string) (described Database, err error) {
	described.Engine = d.engine
	if err := d.pool.QueryRowContext(ctx, d.version).Scan(&described.Version); err != nil {
		return described, wrap("ask the database for its version", err)
	}
	if described.Durable, described.Durability, err = d.durable(ctx, d.pool); err != nil {
		return described, wrap("ask whether commits are durable", err)
	}
	if folder == "" {
		return described, nil
	}
	if inMemory(folder) {
		described.Durable, described.Durability = false, "the folder of temporary files is in memory; name one on a disk with TMPDIR"
	}
	described.SyncTime, err = syncTime(folder)
	return described, err
}

// syncTime is how many milliseconds the disk takes to make 4 KiB durable, the median of several times.
func syncTime(folder string) (*float64, error) {
	file, err := os.CreateTemp(folder, "sync-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var times []float64
	for range 25 {
		began := time.Now()
		if _, err := file.WriteAt(make([]byte, 4096), 0); err != nil {
			return nil, err
		}
		if err := file.Sync(); err != nil {
			return nil, err
		}
		times = append(times, time.Since(began).Seconds()*1000)
	}
	return new(middle(times)), nil
}

// settle finishes what the database would do in the background sooner or later.
func (d *scratch) settle(ctx context.Context) error {
	for _, statement := range d.dialect.settle {
		if _, err := d.pool.ExecContext(ctx, statement); err != nil {
			return wrap(statement, err)
		}
	}
	for _, statement := range d.maySettle {
		_, _ = d.pool.ExecContext(ctx, statement)
	}
	return nil
}

// fillBatch is how many rows are put into the table at once.
const fillBatch = 100_000

// fill adds tokens: copies of those that there are, with keys of their own, issued from first to last.
func (d *scratch) fill(ctx context.Context, rows int, first, last time.Time, progress func(done int)) error {
	conn, err := d.pool.Conn(ctx)
	if err != nil {
		return wrap("fill the table", err)
	}
	defer conn.Close()
	for _, statement := range d.fast {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return wrap(statement, err)
		}
	}
	columns, err := columnsOf(ctx, conn)
	if err != nil {
		return wrap("read the columns of the table", err)
	}
	for from := 0; from < rows; from += fillBatch {
		to := min(rows, from+fillBatch)
		if _, err := conn.ExecContext(ctx, d.dialect.fill(columns), from, to, first.UnixMilli(), last.Sub(first).Milliseconds(), rows); err != nil {
			return wrap("fill the table", err)
		}
		progress(to)
	}
	return nil
}

func columnsOf(ctx context.Context, conn *sql.Conn) ([]string, error) {
	rows, err := conn.QueryContext(ctx, "SELECT * FROM access_tokens WHERE 1 = 0")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	return columns, errors.Join(err, rows.Err())
}

// insert is the beginning of a statement that copies tokens: the columns in own get the values there, the others are copied.
func insert(columns []string, own map[string]string) string {
	values := make([]string, len(columns))
	for i, column := range columns {
		if values[i] = column; own[column] != "" {
			values[i] = own[column]
		}
	}
	return "INSERT INTO access_tokens (" + strings.Join(columns, ", ") + ")\nSELECT " + strings.Join(values, ", ")
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// connect opens a database with the settings that the server has.
func connect(url config.DatabaseURL) (*sql.DB, error) {
	_, pool, err := database.Open(config.Database{URL: url, MaxConnections: 2})
	return pool, err
}
