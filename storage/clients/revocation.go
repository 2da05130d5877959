package clients

import (
	"fmt"
	"time"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// Revocations of a client are also noted in the table client_revocations. A store made with storage.WithClients knows nothing
// else of its clients, and [Registry.Create] begins with what is noted there. Package storage uses these statements, too.

const laterRevokedBefore = `revoked_before = CASE WHEN {client_revocations}.revoked_before > excluded.revoked_before
	THEN {client_revocations}.revoked_before ELSE excluded.revoked_before END`

// NoteRevoked is the statement that ends what was issued to a client up to the time at. A host's client does not know its
// epoch; it is read when a token is stored, so requests that authenticated before are reached by their time.
func NoteRevoked(id string, at time.Time) (statement string, args []any) {
	return `INSERT INTO {client_revocations} (id, epoch, revoked_before) VALUES (?, 1, ?)
		ON CONFLICT (id) DO UPDATE SET epoch = {client_revocations}.epoch + 1, ` + laterRevokedBefore, []any{id, model.Millis(at)}
}

// NoteRevokedBefore is the same for what was issued before the time t.
func NoteRevokedBefore(id string, t time.Time) (statement string, args []any) {
	return `INSERT INTO {client_revocations} (id, revoked_before) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET ` + laterRevokedBefore,
		[]any{id, wholeMillis(t)}
}

// NoteAllRevoked and NoteAllRevokedBefore are NoteRevoked and NoteRevokedBefore for all clients. They take the time. SQLite
// needs a WHERE before ON CONFLICT.
const (
	NoteAllRevoked = `INSERT INTO {client_revocations} (id, epoch, revoked_before) SELECT id, 1, CAST(? AS BIGINT) FROM {clients} WHERE status <> 'deleted'
		ON CONFLICT (id) DO UPDATE SET epoch = {client_revocations}.epoch + 1, ` + laterRevokedBefore
	NoteAllRevokedBefore = `INSERT INTO {client_revocations} (id, revoked_before) SELECT id, CAST(? AS BIGINT) FROM {clients} WHERE status <> 'deleted'
		ON CONFLICT (id) DO UPDATE SET ` + laterRevokedBefore
)

// NoteChanged is the statement that has the feed of revocations tell of a client, of whom nothing is revoked.
const NoteChanged = `INSERT INTO {client_revocations} (id) VALUES (?) ON CONFLICT (id) DO UPDATE SET epoch = {client_revocations}.epoch`

// wholeMillis is t in milliseconds, rounded up: a token is as old as its millisecond.
func wholeMillis(t time.Time) int64 { return model.Millis(t.Add(time.Millisecond - 1)) }

func note(tx *database.Tx, statement string, args []any) error {
	if _, err := tx.Run(statement, args...); err != nil {
		return fmt.Errorf("storage: note what is revoked of a client: %w", err)
	}
	return nil
}

// noteRevoked is NoteRevoked within tx.
func noteRevoked(tx *database.Tx, id string, at time.Time) error {
	statement, args := NoteRevoked(id, at)
	return note(tx, statement, args)
}

// noteRevokedBefore is NoteRevokedBefore within tx.
func noteRevokedBefore(tx *database.Tx, id string, t time.Time) error {
	statement, args := NoteRevokedBefore(id, t)
	return note(tx, statement, args)
}

// readEarlierRevocations has a new client begin with what was revoked of its id before.
func readEarlierRevocations(tx *database.Tx, row *model.Client) error {
	var noted model.ClientRevocation
	if err := tx.Where("id = ?", row.ID).Limit(1).Find(&noted).Error; err != nil {
		return fmt.Errorf("storage: read what was revoked of a client: %w", err)
	}
	row.Epoch, row.RevokedBefore = noted.Epoch, noted.RevokedBefore
	return nil
}
