package clients

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"fosite-mcp/internal/reqinfo"
	"fosite-mcp/provider/client"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// ErrTooManySecrets says that the client has [client.MaxSecrets] that work.
var ErrTooManySecrets = fmt.Errorf("storage: the client has %d secrets that work; delete one first", client.MaxSecrets)

// ErrUsesNoSecret says that the client proves who it is with a key, or not at all.
var ErrUsesNoSecret = errors.New("storage: the client has no use for a secret; change its token_endpoint_auth_method first")

// insertSecret stores secret and fills in its ID and CreatedAt.
func insertSecret(tx *database.Tx, clientID string, secret *client.Secret, now time.Time) error {
	if secret.ID == "" {
		secret.ID = newID("cs_")[:15]
	}
	secret.CreatedAt = now
	err := tx.Create(&model.ClientSecret{
		ID: secret.ID, ClientID: clientID, Hash: string(secret.Hash), Hint: secret.Hint, CreatedAt: model.At(now),
		ExpiresAt: model.At(secret.ExpiresAt), EndsOthers: model.Flag(secret.EndsOthers),
		Slow: model.Flag(len(secret.Hash) > 0 && !client.IsFastHash(secret.Hash)),
	}).Error
	if err != nil {
		return fmt.Errorf("storage: store a client secret: %w", err)
	}
	return nil
}

func secretFromRow(row *model.ClientSecret) client.Secret {
	return client.Secret{
		ID: row.ID, Hash: []byte(row.Hash), Hint: row.Hint, Epoch: row.Epoch, CreatedAt: row.CreatedAt.Time,
		ExpiresAt: row.ExpiresAt.Time, LastUsedAt: row.LastUsedAt.Time, EndsOthers: bool(row.EndsOthers),
	}
}

// erased is what becomes of a secret whose hash is forgotten. The row stays, because tokens refer to it.
func erased(now time.Time) map[string]any {
	return map[string]any{"hash": "", "slow": 0, "deleted_at": model.At(now)}
}

// raised is a column that becomes one more.
func raised(column string) clause.Expr { return gorm.Expr(column + " + 1") }

// AddSecret gives a client another secret and fills in its ID and CreatedAt. The secrets the client has go on working,
// or until endPrevious if that is not zero; with secret.EndsOthers until the new one is first used, see SecretUsed.
// Secrets that have expired are erased. It answers [fosite.ErrNotFound], [ErrUsesNoSecret] and [ErrTooManySecrets].
func (r *Registry) AddSecret(ctx context.Context, clientID string, secret *client.Secret, endPrevious time.Time) error {
	return r.addSecret(ctx, clientID, secret, func(tx *database.Tx) error {
		if endPrevious.IsZero() {
			return nil
		}
		return endSecrets(tx, clientID, "", endPrevious)
	})
}

// ReplaceSecrets gives a client a secret in place of all that it has and ever had, because they may have leaked: they
// are erased, and with them ends every token that was issued with one (see [Registry.RevokeSecret]), in one step.
func (r *Registry) ReplaceSecrets(ctx context.Context, clientID string, secret *client.Secret) error {
	return r.addSecret(ctx, clientID, secret, func(tx *database.Tx) error {
		ended := erased(r.now())
		ended["deleted_at"], ended["epoch"] = gorm.Expr("COALESCE(deleted_at, ?)", ended["deleted_at"]), raised("epoch")
		if err := tx.Model(&model.ClientSecret{}).Where("client_id = ?", clientID).Updates(ended).Error; err != nil {
			return fmt.Errorf("storage: end the secrets of a client and their tokens: %w", err)
		}
		return noteSecretRevoked(tx, clientID, r.now())
	})
}

// addSecret stores another secret, after endPrevious has done away with those that are there.
func (r *Registry) addSecret(ctx context.Context, clientID string, secret *client.Secret, endPrevious func(tx *database.Tx) error) error {
	if !model.Storable(clientID) {
		return fosite.ErrNotFound
	}
	now := r.now().UTC().Truncate(time.Millisecond)
	return r.db.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		// Locks the client: of two that add the last permitted secret, one is refused, and its method stays what it is.
		var row model.Client
		found := tx.Select("id", "token_endpoint_auth_method").Clauses(clause.Locking{Strength: "UPDATE"}).
			Where("id = ? AND status IN ?", clientID, alive).Limit(1).Find(&row)
		if found.Error != nil {
			return fmt.Errorf("storage: lock a client: %w", found.Error)
		}
		if found.RowsAffected == 0 {
			return fosite.ErrNotFound
		}
		if !(&client.Client{TokenEndpointAuthMethod: row.TokenEndpointAuthMethod}).UsesSecret() {
			return ErrUsesNoSecret
		}
		if err := endPrevious(tx); err != nil {
			return err
		}
		err := tx.Model(&model.ClientSecret{}).Where("client_id = ? AND deleted_at IS NULL AND expires_at <= ?", clientID, model.At(now)).Updates(erased(now)).Error
		if err != nil {
			return fmt.Errorf("storage: erase expired secrets: %w", err)
		}
		var working int64
		if err := tx.Model(&model.ClientSecret{}).Where("client_id = ? AND deleted_at IS NULL", clientID).Count(&working).Error; err != nil {
			return fmt.Errorf("storage: count the secrets of a client: %w", err)
		}
		if working >= client.MaxSecrets {
			return ErrTooManySecrets
		}
		return insertSecret(tx, clientID, secret, now)
	})
}

// endSecrets makes the client's secrets expire at end, if they don't before; those that are newer than the secret
// called except, if any, are left alone like itself.
func endSecrets(tx *database.Tx, clientID, except string, end time.Time) error {
	newest := tx.Model(&model.ClientSecret{}).Select("created_at").Where("id = ?", except)
	err := tx.Model(&model.ClientSecret{}).
		Where("client_id = ? AND id <> ? AND deleted_at IS NULL", clientID, except).
		Where("(expires_at IS NULL OR expires_at > ?)", model.At(end)).
		Where("created_at <= COALESCE((?), created_at)", newest).
		Updates(map[string]any{"expires_at": model.At(end)}).Error
	if err != nil {
		return fmt.Errorf("storage: end the secrets of a client: %w", err)
	}
	return nil
}

// DeleteSecret makes a secret of the client useless and erases its hash; with revokeTokens it also ends every token
// that was issued with it (see [Registry.RevokeSecret]). It answers [fosite.ErrNotFound] for one that does not exist or was deleted.
func (r *Registry) DeleteSecret(ctx context.Context, clientID, secretID string, revokeTokens bool) error {
	changes := erased(r.now())
	if revokeTokens {
		changes["epoch"] = raised("epoch")
	}
	return r.changeSecret(ctx, "delete a client secret", clientID, secretID, changes, "id = ? AND client_id = ? AND deleted_at IS NULL")
}

// RevokeSecret ends every token that was issued with this secret of the client. The secret itself goes on working.
//
// A token knows its secret if the client was authenticated by provider.ClientAuthenticator, or by what calls
// [client.Client.AuthenticatedWith] and [Registry.SecretUsed] as that does. fosite's own authentication does not: end the tokens of
// such a composition by [Registry.Revoke].
func (r *Registry) RevokeSecret(ctx context.Context, clientID, secretID string) error {
	changes := map[string]any{"epoch": raised("epoch")}
	return r.changeSecret(ctx, "revoke the tokens of a secret", clientID, secretID, changes, "id = ? AND client_id = ?")
}

func (r *Registry) changeSecret(ctx context.Context, what, clientID, secretID string, changes map[string]any, where string) error {
	return r.change(ctx, what, []string{clientID, secretID}, func(tx *database.Tx) *gorm.DB {
		return tx.Model(&model.ClientSecret{}).Where(where, secretID, clientID).Updates(changes)
	}, func(tx *database.Tx) error {
		if changes["epoch"] == nil {
			return nil
		}
		return noteSecretRevoked(tx, clientID, r.now())
	})
}

// noteSecretRevoked notes that tokens of one of the client's secrets have ended. Without the secrets, nobody can tell them from
// the client's others, so that all end there that were issued up to now.
func noteSecretRevoked(tx *database.Tx, clientID string, now time.Time) error {
	return noteRevokedBefore(tx, clientID, now.Add(time.Millisecond))
}

// change runs a statement that must find a row by ids, and then note in the same transaction.
func (r *Registry) change(ctx context.Context, what string, ids []string, statement func(tx *database.Tx) *gorm.DB, note func(tx *database.Tx) error) error {
	for _, id := range ids {
		if !model.Storable(id) {
			return fosite.ErrNotFound
		}
	}
	return r.db.Write(ctx, func(_ context.Context, tx *database.Tx) error {
		changed := statement(tx)
		if changed.Error != nil {
			return fmt.Errorf("storage: %s: %w", what, changed.Error)
		}
		if changed.RowsAffected == 0 {
			return fosite.ErrNotFound
		}
		return note(tx)
	})
}

// SecretUsed says that the client has proved its identity with the secret behind hash (nil: with a key). Call it
// before anything is issued, as provider.ClientAuthenticator does; fosite's own authentication does not. It only notes
// the time in memory, except for the first use of a secret that is to end the ones before it: when it returns nil, they
// have ended.
func (r *Registry) SecretUsed(ctx context.Context, registered fosite.Client, hash []byte) error {
	c := client.Of(registered)
	if c == nil {
		return nil
	}
	now := r.now()
	if c.RegisteredBy == "" { // who registers itself counts as used once somebody has consented: see Used
		r.used.Note(c.ID, now)
	}
	i := slices.IndexFunc(c.Secrets, func(secret client.Secret) bool { return slices.Equal(secret.Hash, hash) })
	if i < 0 {
		return nil
	}
	secretID := c.Secrets[i].ID
	reqinfo.Note(ctx).Secret = secretID
	r.secretsUsed.Note(secretID, now)
	if !c.Secrets[i].EndsOthers {
		return nil
	}
	return r.db.InTransaction(ctx, func(ctx context.Context, _ *gorm.DB) error {
		first, err := r.db.Exec(ctx, func(tx *database.Tx) *gorm.DB {
			return tx.Model(&model.ClientSecret{}).Where("id = ? AND ends_others = 1", secretID).Updates(map[string]any{"ends_others": 0})
		})
		if err != nil {
			return fmt.Errorf("storage: note the first use of a secret: %w", err)
		}
		if first == 0 {
			return nil // somebody else was first
		}
		err = r.db.Write(ctx, func(_ context.Context, tx *database.Tx) error { return endSecrets(tx, c.ID, secretID, now) })
		if err != nil {
			return err
		}
		changes, err := audit.After(map[string]any{"secret_id": secretID})
		if err != nil {
			return err
		}
		return r.log.Append(ctx, audit.Event{Action: "secret.previous_ended", ClientID: c.ID, Changes: changes})
	})
}

// Used notes that a person's token was issued to the client. It costs no database access.
func (r *Registry) Used(id string) { r.used.Note(id, r.now()) }

// FlushUsage writes the times of last use of clients and secrets that were noted since the last call. What cannot be written
// waits for the next call.
func (r *Registry) FlushUsage(ctx context.Context) error {
	return errors.Join(r.used.Write(ctx), r.secretsUsed.Write(ctx))
}

// EachSlowSecret calls each for every hash of active clients that takes long to compare, those of one client one after
// the other: provider.ClientAuthenticator makes each refusal take as long as the costliest of them.
func (r *Registry) EachSlowSecret(ctx context.Context, each func(clientID string, hash []byte)) error {
	rows, err := r.db.Query(ctx, `SELECT s.client_id, s.hash FROM {client_secrets} s JOIN {clients} c ON c.id = s.client_id
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
