package storage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
)

// MaxSecrets bounds how many secrets of one client work at the same time: each failed authentication tries them all.
const MaxSecrets = 10

// ErrTooManySecrets says that the client has [MaxSecrets] that work.
var ErrTooManySecrets = fmt.Errorf("storage: the client has %d secrets that work; delete one first", MaxSecrets)

// fastHash is how hashes of generated secrets start. All others take long to compare.
const fastHash = "$sha256$"

func insertSecret(ctx context.Context, tx *database.Tx, clientID string, secret *ClientSecret, now time.Time) error {
	if secret.ID == "" {
		secret.ID = newID("cs_")[:15]
	}
	secret.CreatedAt = now
	slow := len(secret.Hash) > 0 && !strings.HasPrefix(string(secret.Hash), fastHash)
	_, err := tx.Run(`INSERT INTO {client_secrets} (id, client_id, hash, hint, created_at, expires_at, ends_others, slow)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, secret.ID, clientID, string(secret.Hash), secret.Hint, millis(now), nullMillis(secret.ExpiresAt),
		bit(secret.EndsOthers), bit(slow))
	if err != nil {
		return fmt.Errorf("storage: store a client secret: %w", err)
	}
	return nil
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// AddSecret gives a client another secret and fills in its ID and CreatedAt. The secrets the client has go on working,
// or until endPrevious if that is not zero; with secret.EndsOthers until the new one is first used, see SecretUsed.
// Secrets that have expired are erased. It answers [fosite.ErrNotFound] and [ErrTooManySecrets].
func (s *Store) AddSecret(ctx context.Context, clientID string, secret *ClientSecret, endPrevious time.Time) error {
	return s.addSecret(ctx, clientID, secret, func(ctx context.Context, tx *database.Tx) error {
		if endPrevious.IsZero() {
			return nil
		}
		return endSecrets(ctx, tx, clientID, "", millis(endPrevious))
	})
}

// ReplaceSecrets gives a client a secret in place of all that it has and ever had, because they may have leaked: they
// are erased, and with them ends every token that was issued with one (see [Store.RevokeSecret]), in one step.
func (s *Store) ReplaceSecrets(ctx context.Context, clientID string, secret *ClientSecret) error {
	return s.addSecret(ctx, clientID, secret, func(ctx context.Context, tx *database.Tx) error {
		_, err := tx.Run(`UPDATE {client_secrets} SET hash = '', slow = 0, deleted_at = COALESCE(deleted_at, ?), epoch = epoch + 1
			WHERE client_id = ?`, millis(s.now()), clientID)
		if err != nil {
			return fmt.Errorf("storage: end the secrets of a client and their tokens: %w", err)
		}
		return nil
	})
}

// addSecret stores another secret, after endPrevious has done away with those that are there.
func (s *Store) addSecret(ctx context.Context, clientID string, secret *ClientSecret, endPrevious func(context.Context, *database.Tx) error) error {
	now := s.now().UTC().Truncate(time.Millisecond)
	return s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		// Locks the client: of two that add the last permitted secret, one is refused.
		n, err := tx.Run(`UPDATE {clients} SET version = version WHERE id = ? AND status IN ('active', 'disabled')`, clientID)
		if err != nil {
			return fmt.Errorf("storage: lock a client: %w", err)
		}
		if n == 0 {
			return fosite.ErrNotFound
		}
		if err := endPrevious(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Run(eraseSecrets+` AND client_id = ? AND expires_at <= ?`, millis(now), clientID, millis(now)); err != nil {
			return fmt.Errorf("storage: erase expired secrets: %w", err)
		}
		var working int
		err = tx.QueryRow(`SELECT COUNT(*) FROM {client_secrets} WHERE client_id = ? AND deleted_at IS NULL`, clientID).Scan(&working)
		if err != nil {
			return fmt.Errorf("storage: count the secrets of a client: %w", err)
		}
		if working >= MaxSecrets {
			return ErrTooManySecrets
		}
		return insertSecret(ctx, tx, clientID, secret, now)
	})
}

// eraseSecrets forgets hashes. The rows stay, because tokens refer to them.
const eraseSecrets = `UPDATE {client_secrets} SET hash = '', slow = 0, deleted_at = ? WHERE deleted_at IS NULL`

// endSecrets makes the client's secrets expire at end, if they don't before; those that are newer than the secret
// called except, if any, are left alone like itself.
func endSecrets(ctx context.Context, tx *database.Tx, clientID, except string, end int64) error {
	_, err := tx.Run(`UPDATE {client_secrets} SET expires_at = ? WHERE client_id = ? AND id <> ? AND deleted_at IS NULL
		AND (expires_at IS NULL OR expires_at > ?)
		AND created_at <= COALESCE((SELECT n.created_at FROM {client_secrets} n WHERE n.id = ?), created_at)`, end, clientID, except, end, except)
	if err != nil {
		return fmt.Errorf("storage: end the secrets of a client: %w", err)
	}
	return nil
}

// DeleteSecret makes a secret of the client useless and erases its hash; with revokeTokens it also ends every token
// that was issued with it (see [Store.RevokeSecret]). It answers [fosite.ErrNotFound] for one that does not exist or was deleted.
func (s *Store) DeleteSecret(ctx context.Context, clientID, secretID string, revokeTokens bool) error {
	n, err := s.db.Run(ctx, `UPDATE {client_secrets} SET hash = '', slow = 0, deleted_at = ?, epoch = epoch + ?
		WHERE id = ? AND client_id = ? AND deleted_at IS NULL`, millis(s.now()), bit(revokeTokens), secretID, clientID)
	if err != nil {
		return fmt.Errorf("storage: delete a client secret: %w", err)
	}
	if n == 0 {
		return fosite.ErrNotFound
	}
	return nil
}

// RevokeSecret ends every token that was issued with this secret of the client. The secret itself goes on working.
//
// A token knows its secret if the client was authenticated by provider.ClientAuthenticator, or by what calls
// [Client.AuthenticatedWith] and [Store.SecretUsed] as that does. fosite's own authentication does not: end the tokens of
// such a composition by [Store.RevokeClient].
func (s *Store) RevokeSecret(ctx context.Context, clientID, secretID string) error {
	n, err := s.db.Run(ctx, `UPDATE {client_secrets} SET epoch = epoch + 1 WHERE id = ? AND client_id = ?`, secretID, clientID)
	if err != nil {
		return fmt.Errorf("storage: revoke the tokens of a secret: %w", err)
	}
	if n == 0 {
		return fosite.ErrNotFound
	}
	return nil
}

// SecretUsed says that the client has proved its identity with the secret behind hash (nil: with a key). Call it
// before anything is issued, as provider.ClientAuthenticator does; fosite's own authentication does not. It only notes
// the time in memory, except for the first use of a secret that is to end the ones before it: when it returns nil, they
// have ended.
func (s *Store) SecretUsed(ctx context.Context, client fosite.Client, hash []byte) error {
	c := own(client)
	if c == nil {
		return nil
	}
	now := millis(s.now())
	s.usage.note(usedClients, c.ID, now)
	i := slices.IndexFunc(c.Secrets, func(secret ClientSecret) bool { return slices.Equal(secret.Hash, hash) })
	if i < 0 {
		return nil
	}
	s.usage.note(usedSecrets, c.Secrets[i].ID, now)
	if !c.Secrets[i].EndsOthers {
		return nil
	}
	secretID := c.Secrets[i].ID
	return s.Atomically(ctx, func(ctx context.Context) error {
		n, err := s.db.Run(ctx, `UPDATE {client_secrets} SET ends_others = 0 WHERE id = ? AND ends_others = 1`, secretID)
		if err != nil {
			return fmt.Errorf("storage: note the first use of a secret: %w", err)
		}
		if n == 0 {
			return nil // somebody else was first
		}
		err = s.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return endSecrets(ctx, tx, c.ID, secretID, now) })
		if err != nil {
			return err
		}
		changes, err := json.Marshal(map[string]map[string]string{"secret_id": {"after": secretID}})
		if err != nil {
			return fmt.Errorf("storage: encode an audit event: %w", err)
		}
		return s.log.Append(ctx, audit.Event{Action: "secret.previous_ended", ClientID: c.ID, Changes: changes})
	})
}

// EachSlowSecret calls each for every hash of active clients that takes long to compare, those of one client one after
// the other: provider.ClientAuthenticator makes each refusal take as long as the dearest of them.
func (s *Store) EachSlowSecret(ctx context.Context, each func(clientID string, hash []byte)) error {
	if s.clients != nil {
		return nil
	}
	rows, err := s.db.Read(ctx).Query(`SELECT s.client_id, s.hash FROM {client_secrets} s JOIN {clients} c ON c.id = s.client_id
		WHERE s.slow = 1 AND s.deleted_at IS NULL AND c.status = 'active' ORDER BY s.client_id`)
	if err != nil {
		return fmt.Errorf("storage: read the slow hashes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, hash string
		if err := rows.Scan(&id, &hash); err != nil {
			return fmt.Errorf("storage: read the slow hashes: %w", err)
		}
		each(id, []byte(hash))
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("storage: read the slow hashes: %w", err)
	}
	return nil
}
