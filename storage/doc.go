// Package storage keeps what an OAuth 2.1 server must not forget, in SQLite or PostgreSQL, through GORM.
//
// Call [New] with any *gorm.DB, then [Store.Migrate] once, then hand the store to fosite:
//
//	store := storage.New(db, storage.WithSessions(&YourSession{}))
//	if err := store.Migrate(ctx); err != nil { … }
//	oauth := compose.Compose(config, store, strategy, compose.OAuth2ClientCredentialsGrantFactory, …)
//
// The store implements every storage interface of fosite v0.49: clients, access and refresh tokens,
// authorization codes, PKCE, OpenID Connect, pushed authorization requests, RFC 7523 keys and transactions.
// It takes any [fosite.Session] type ([WithSessions]) and any source of clients ([WithClients]). A rotated refresh token
// works for another minute, a few times, because clients lose answers; [WithRefreshGrace] changes that, 0 is what fosite's
// own store does.
//
// What it promises:
//
//   - A nil error means durable. On SQLite concurrent writes share one commit; the example shows the settings that the
//     database needs for it.
//   - Single use (codes, refresh rotation, assertions) is one conditional statement and its row count.
//   - A revocation is in force at the next read on every replica. Revoking all of a client's tokens is one
//     small statement however many there are.
//   - So is a change of a client. Registrations are remembered under their version, which each read asks for: SQL of your
//     own that changes the table of clients must raise it.
//   - Signatures are stored as their SHA-256, never as they are.
//   - [fosite.ErrNotFound] means that the row is not there. Any other failure is an error of its own and must
//     not be told to a caller as "inactive" or "revoked".
//
// Every quarter of a minute call [Housekeeping.Maintain], which does what is due: it deletes what has expired, writes times of last
// use and looks after the database; the example shows that too. Sessions are stored as JSON: what a session type does not encode (unexported
// fields) does not come back.
//
// [Store.Users], [Store.Consents] and [Store.LoginSessions] keep what the pages of handlers/login need.
//
// The package imports no database driver.
package storage
