package migration

import (
	"embed"
	"fmt"
	"path"
	"strings"
	"text/template"
	"time"
	"unicode"

	"gorm.io/gorm/schema"

	"fosite-mcp/storage/internal/model"
)

//go:embed tokens clients audit people client_triggers.sql
var files embed.FS

// A Step is one file. It may not change once it is released.
type Step struct {
	Version   int64 // the part's place in [model.Parts], times 1000, and the number of the file
	Name      string
	AppliedAt time.Time // zero: it was not

	part model.Part
}

// perPart keeps the versions of parts apart.
const perPart = 1000

// lastLegacy is the last version of the time before parts, when a version meant the files of that number of all parts.
const lastLegacy = 4

// legacy is the version that applied this step in the time before parts, or 0.
func (s Step) legacy() int64 {
	if n := s.Version % perPart; n <= lastLegacy {
		return n
	}
	return 0
}

// allSteps are the steps of all parts, by version.
var allSteps = readSteps()

func readSteps() (all []Step) {
	for i, part := range model.Parts() {
		entries, err := files.ReadDir(string(part))
		if err != nil {
			panic(err) // every part has a directory in the program
		}
		for _, entry := range entries {
			var number int64
			if _, err := fmt.Sscanf(entry.Name(), "%d_", &number); err != nil {
				panic(err) // every file in it begins with a number
			}
			all = append(all, Step{Version: int64(i+1)*perPart + number, Name: path.Join(string(part), entry.Name()), part: part})
		}
	}
	return all
}

// circumstances are what steps depend on, besides the engine.
type circumstances struct {
	Clients      bool // there is a table of the store's own clients, with rows perhaps
	Tokens       bool // the tokens are here, or come with the same migration
	ClientsFirst bool // the triggers of the clients' tables could not be made before, because the tokens were not here
}

// clientTriggers write the feed of revocations. A step of either part makes them: the one that comes last.
const clientTriggers = "clients/00008_revocations.sql"

// statements are those of a step, each with the comment before it.
func (d dialect) statements(step Step, about circumstances) ([]string, error) {
	parsed, err := template.New("").Funcs(d.functions()).ParseFS(files, "client_triggers.sql", step.Name)
	if err != nil {
		return nil, err
	}
	var script strings.Builder
	if err := parsed.ExecuteTemplate(&script, path.Base(step.Name), about); err != nil {
		return nil, err
	}
	return split(script.String()), nil
}

// functions are what templates call.
func (d dialect) functions() template.FuncMap {
	return template.FuncMap{
		"table":      d.table,
		"index":      func(table, index string) string { return quote(model.IndexName(d.names[table], index)) },
		"unique":     func(table, column string) string { return quote(d.namer.UniqueName(d.names[table], column)) },
		"foreignKey": d.foreignKey,
		"bytes":      func() string { return d.choose("BLOB", "BYTEA") },
		"zeros":      d.zeros,
		"now":        func() string { return fmt.Sprint(time.Now().UnixMilli()) },
		"postgres":   func() bool { return d.postgres },
		"function":   func(name string) string { return d.qualified("revocations", "_"+name) },
		"clock":      d.clock,
		"next":       d.nextPosition,
		"first":      d.firstPosition,
		"digest": func(text string) string {
			return fmt.Sprintf(d.choose("CAST(%s AS BLOB)", "sha256(convert_to(%s, 'UTF8'))"), text)
		},
		"withoutRowid": func() string { return d.choose(" WITHOUT ROWID", "") },
	}
}

// split takes a script apart where a line ends with a semicolon. It leaves out comments within a statement, which SQLite
// keeps with the table and GORM's AutoMigrate cannot read. No literal of ours holds "--".
func split(script string) []string {
	var all []string
	var statement strings.Builder
	for line := range strings.Lines(script) {
		code, _, commented := strings.Cut(line, "--")
		if code = strings.TrimRight(code, " \n"); code == "" && commented {
			code = strings.TrimRight(line, "\n")
		}
		statement.WriteString(code + "\n")
		if strings.HasSuffix(code, ";") {
			all = append(all, strings.TrimSpace(statement.String()))
			statement.Reset()
		}
	}
	return all
}

// dialect is an engine's SQL, with a host's names in it.
type dialect struct {
	postgres bool
	namer    schema.Namer
	names    map[string]string // those that the tables have by default → the host's
}

// longestName is PostgreSQL's limit. It cuts longer names off, and two that begin alike become one.
const longestName = 63

func newDialect(name string, namer schema.Namer) (dialect, error) {
	if name != "sqlite" && name != "postgres" {
		return dialect{}, fmt.Errorf("storage: the %q dialect is not supported; use sqlite or postgres", name)
	}
	d := dialect{postgres: name == "postgres", namer: namer, names: model.TableNames(namer)}
	for _, table := range d.names {
		inSchema, _, qualified := strings.Cut(table, ".")
		index := model.IndexName(table, "by_username") // the longest of our names of indexes
		switch {
		case qualified && !d.postgres:
			return d, fmt.Errorf("storage: SQLite has no schemas: the TablePrefix %q must not contain a dot", inSchema+".")
		case strings.Count(table, ".") > 1:
			return d, fmt.Errorf("storage: the table name %q has more than one dot; end the TablePrefix with the only one", table)
		case strings.ContainsAny(table, "\"'`@?"), strings.Contains(table, "--"), strings.ContainsFunc(table, unicode.IsControl):
			return d, fmt.Errorf("storage: the table name %q has a quote, @, ?, -- or a control character; choose another TablePrefix", table)
		case d.postgres && len(index) > longestName:
			return d, fmt.Errorf("storage: the name %q is longer than the %d bytes that PostgreSQL keeps; choose a shorter TablePrefix", index, longestName)
		}
	}
	return d, nil
}

func (d dialect) choose(sqlite, postgres string) string {
	if d.postgres {
		return postgres
	}
	return sqlite
}

// zeros is a byte string of length n.
func (d dialect) zeros(n int) string {
	return fmt.Sprintf(d.choose("zeroblob(%d)", "decode(repeat('00', %d), 'hex')"), n)
}

// clock is the time of the database in Unix milliseconds.
func (d dialect) clock() string {
	return d.choose("CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)", "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)")
}

// nextPosition is where a trigger puts a row into the feed of revocations. PostgreSQL has no order of commits, and readers
// compare the ids of transactions with their snapshots.
func (d dialect) nextPosition() string {
	return d.choose("(SELECT COALESCE(MAX(position), 0) + 1 FROM "+d.table("revocations")+")", "CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)")
}

// firstPosition is where a migration puts rows into the feed.
func (d dialect) firstPosition() string {
	return d.choose("(SELECT COALESCE(MAX(position), 0) FROM "+d.table("revocations")+") + ROW_NUMBER() OVER ()", "1")
}

// qualified quotes a name that begins like the host's name of a table and is in the same schema.
func (d dialect) qualified(table, suffix string) string {
	return quote(strings.Split(d.names[table]+suffix, ".")...)
}

// table quotes the host's name of a table.
func (d dialect) table(name string) string { return quote(strings.Split(d.names[name], ".")...) }

func quote(names ...string) string { return `"` + strings.Join(names, `"."`) + `"` }

// foreignKey is GORM's name for the constraint of a field, so that AutoMigrate finds it.
func (d dialect) foreignKey(table, field string) string {
	of := &schema.Schema{Table: d.names[table]}
	return quote(d.namer.RelationshipFKName(schema.Relationship{Name: field, Schema: of}))
}

// versions is the table that tells which steps have been applied. goose has made it, up to version 4.
func (d dialect) versions() string { return d.namer.JoinTableName("fosite_mcp_migrations") }

func (d dialect) quotedVersions() string { return quote(strings.Split(d.versions(), ".")...) }

func (d dialect) createVersions() string {
	return "CREATE TABLE IF NOT EXISTS " + d.quotedVersions() + d.choose(` (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL,
    is_applied INTEGER NOT NULL,
    tstamp     TIMESTAMP DEFAULT (datetime('now'))
);`, ` (
    id         INTEGER PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    version_id BIGINT NOT NULL,
    is_applied BOOLEAN NOT NULL,
    tstamp     TIMESTAMP NOT NULL DEFAULT now()
);`)
}

func (d dialect) insertVersion(version int64) string {
	return fmt.Sprintf("INSERT INTO %s (version_id, is_applied, tstamp) VALUES (%d, TRUE, %s);",
		d.quotedVersions(), version, d.choose("CURRENT_TIMESTAMP", "now() AT TIME ZONE 'UTC'"))
}

// splitLegacy records for a part what was recorded for all of them. An earlier program then finds the schema newer than
// itself.
func (d dialect) splitLegacy(step Step) string {
	return fmt.Sprintf("INSERT INTO %[1]s (version_id, is_applied, tstamp) SELECT %[2]d, is_applied, tstamp FROM %[1]s WHERE version_id = %[3]d",
		d.quotedVersions(), step.Version, step.legacy())
}

// SQL is what makes the tables of parts (all if none is named) in an empty database, the record of it included, for tools
// that run migrations of their own. It is one transaction, for whoever stops at the first error.
func SQL(dialectName string, namer schema.Namer, parts ...model.Part) (string, error) {
	m := newMigrator(dialectName, namer, parts)
	if m.err != nil {
		return "", m.err
	}
	d := m.dialect
	var script strings.Builder
	fmt.Fprintf(&script, "-- All of it or nothing, if it stops at the first error: %s\n\n%s\n\n-- Which steps have been applied.\n%s\n",
		d.choose("sqlite3 -bail DATABASE < FILE", "psql -v ON_ERROR_STOP=1 -f FILE"), d.choose("BEGIN IMMEDIATE;", "BEGIN;"), d.createVersions())
	for _, step := range m.steps {
		statements, err := d.statements(step, circumstances{Tokens: true})
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&script, "\n-- Step %s.\n\n%s\n\n%s\n", step.Name, strings.Join(statements, "\n\n"), d.insertVersion(step.Version))
	}
	script.WriteString("\nCOMMIT;\n")
	return script.String(), nil
}
