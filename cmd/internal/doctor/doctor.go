// Package doctor looks for what is wrong with a deployment, and says how to mend it. Call [Examine]. It changes nothing.
package doctor

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"time"

	"fosite-mcp/config"
	"fosite-mcp/storage"

	"gorm.io/gorm"
)

// Status says how bad a finding is.
type Status string

// The statuses, from good to bad.
const (
	OK      Status = "ok"
	Warning Status = "warning" // the server works, and somebody should look
	Problem Status = "problem" // the server does not start, or somebody is refused who should not be
)

// Finding is what one check has found.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"`
}

// Options say what to examine.
type Options struct {
	Config  config.Config
	Offline bool             // the server does not run: nothing is fetched from it
	HTTP    *http.Client     // nil: one that trusts what this machine trusts
	Now     func() time.Time // nil: time.Now
}

// need is what a check cannot do without.
type need int

const (
	noNeed    need = iota
	aDatabase      // that answers
	aSchema        // that is this program's
	aServer        // that runs
)

// checks are all checks, in the order in which their findings are told.
var checks = []struct {
	name  string
	needs need
	run   func(context.Context, *examination) []Finding
}{
	{"files", noNeed, checkFiles},
	{"tls", noNeed, checkTLS},
	{"database", noNeed, checkReachable},
	{"schema", aDatabase, checkSchema},
	{"role", aDatabase, checkRole},
	{"durability", aDatabase, checkDurability},
	{"connections", aDatabase, checkConnections},
	{"disk", noNeed, checkDisk},
	{"clock", aDatabase, checkClock},
	{"issuer", aSchema, checkIssuer},
	{"system_secret", aSchema, checkSecrets},
	{"signing_keys", aSchema, checkSigningKeys},
	{"admin_keys", aSchema, checkAdminKeys},
	{"clients", aSchema, checkClients},
	{"traces", noNeed, checkTraces},
	{"well_known", aServer, checkWellKnown},
}

// examination is what checks share.
type examination struct {
	Options
	has   [aServer + 1]bool
	db    *gorm.DB
	pool  *sql.DB
	store *storage.Store
	why   error // there is no database
}

func (e *examination) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// checkLimit bounds the wait for one check.
const checkLimit = 20 * time.Second

// Examine runs all checks. What a check needs and is not there has a finding of its own.
func Examine(ctx context.Context, o Options) (findings []Finding) {
	e := &examination{Options: o}
	e.has[noNeed], e.has[aServer] = true, !o.Offline
	e.open()
	if e.pool != nil {
		defer e.pool.Close()
	}
	for _, check := range checks {
		if !e.has[check.needs] {
			continue
		}
		within, cancel := context.WithTimeout(ctx, checkLimit)
		found := check.run(within, e)
		cancel()
		for _, finding := range found {
			finding.Check = check.name
			findings = append(findings, finding)
		}
	}
	return findings
}

// Worst is the worst status of the findings.
func Worst(findings []Finding) Status {
	worst := OK
	for _, finding := range findings {
		if finding.Status == Problem || finding.Status == Warning && worst == OK {
			worst = finding.Status
		}
	}
	return worst
}

func ok(found string, args ...any) []Finding {
	return []Finding{{Status: OK, Found: fmt.Sprintf(found, args...)}}
}

func warning(remedy, found string, args ...any) []Finding {
	return []Finding{{Status: Warning, Found: fmt.Sprintf(found, args...), Remedy: remedy}}
}

func problem(remedy, found string, args ...any) []Finding {
	return []Finding{{Status: Problem, Found: fmt.Sprintf(found, args...), Remedy: remedy}}
}

// unreadable is a check that could not be done.
func unreadable(err error) []Finding {
	return problem("look at the database's log; the role of database.url needs the rights of docs/operations.md (PostgreSQL)", "this cannot be checked: %v", err)
}

// day prints a time without its seconds.
func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
