// Package people keeps who logs in: local accounts, what people have allowed clients to do in their name, and browsers that
// are logged in. Those of a store are storage.Store.Users, Consents and LoginSessions; handlers/login takes all three.
package people

import (
	"context"
	"time"

	"gorm.io/gorm/clause"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Access is what the store of tokens knows of the access that people have granted.
type Access struct {
	// Granted returns who has granted access to which client, in a span; a subject or client that is not empty is the only one.
	Granted func(ctx context.Context, only Parties, span *Span) ([]Consent, error)
	// Revoke ends what a person has granted, to all clients or to one, and tells how many grants that were.
	Revoke func(ctx context.Context, subject, clientID string) (int64, error)
}

// people is what the types of this package have in common.
type people struct {
	db     *database.DB
	now    func() time.Time
	log    *audit.Log
	access Access
}

// New makes the parts of a store. What they change is put on record in log.
func New(db *database.DB, now func() time.Time, log *audit.Log, access Access) (*Users, *Consents, *Sessions) {
	p := people{db, now, log, access}
	return &Users{p}, &Consents{p}, &Sessions{p}
}

// record appends an event that has no state before it.
func (p *people) record(ctx context.Context, event audit.Event, after map[string]any) (err error) {
	if event.Changes, err = audit.After(after); err != nil {
		return err
	}
	return p.log.Append(ctx, event)
}

// lock reads the account for which where holds, or nil, and keeps everybody else from changing it until the transaction
// ends. SQLite has one writer at a time and needs no lock.
func lock(tx *database.Tx, where string, args ...any) (*model.User, error) {
	query := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where(where, args...)
	return database.FindOne[model.User](query, "lock an account")
}
