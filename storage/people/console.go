package people

import (
	"context"
	"time"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
)

// ConsoleSessions is the browsers that administrators are logged in to the admin console with. They are in the table of
// [Sessions], under hashes of their own: no token of one kind finds a session of the other.
type ConsoleSessions struct{ sessions *Sessions }

// Console is the sessions of administrators.
func (s *Sessions) Console() *ConsoleSessions { return &ConsoleSessions{s} }

// ofConsole is what is hashed of a token. A cookie cannot hold the zero byte, so that nobody can send it as a person's token.
func ofConsole(token string) string { return "console\x00" + token }

// Create keeps that a browser, which holds token, is logged in by an admin key until expiresAt, and puts the login on record. data
// is the caller's.
func (c *ConsoleSessions) Create(ctx context.Context, token string, key *audit.AdminKey, data []byte, expiresAt time.Time) error {
	anybody := func(*database.Tx) error { return nil } // the key is looked at again at each request
	event := audit.Event{Actor: key.Name, Action: "admin.logged_in"}
	return c.sessions.create(ctx, anybody, ofConsole(token), "admin-key:"+key.ID, data, expiresAt, event, map[string]any{"key_id": key.ID})
}

// CreateForPerson is the same for somebody whom a provider has named. It answers [fosite.ErrAccessDenied] for somebody who is kept out:
// see [Users.KeepOut], which ends these sessions, too. username is for people to read.
func (c *ConsoleSessions) CreateForPerson(ctx context.Context, token, subject, username string, data []byte, expiresAt time.Time) error {
	allow := func(tx *database.Tx) error { return refuseOutsider(tx, subject) }
	event := audit.Event{Actor: subject, Action: "admin.logged_in"}
	told := map[string]any{"subject": subject, "username": username}
	return c.sessions.create(ctx, allow, ofConsole(token), subject, data, expiresAt, event, told)
}

// Find is [Sessions.Find].
func (c *ConsoleSessions) Find(ctx context.Context, token string) (data []byte, seenAt time.Time, err error) {
	return c.sessions.Find(ctx, ofConsole(token))
}

// Touch is [Sessions.Touch].
func (c *ConsoleSessions) Touch(ctx context.Context, token string) error {
	return c.sessions.Touch(ctx, ofConsole(token))
}

// Delete is [Sessions.Delete].
func (c *ConsoleSessions) Delete(ctx context.Context, token string) error {
	return c.sessions.Delete(ctx, ofConsole(token))
}
