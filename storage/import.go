package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ory/fosite"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// ImportedToken is a live token of another store.
type ImportedToken struct {
	Kind      fosite.TokenType // [fosite.AccessToken] or [fosite.RefreshToken]
	Signature string           // as the strategy gives it, and the other store has it
	// AccessSignature is that of the access token which was issued beside a refresh token and ends when that is rotated;
	// empty: none, or not known.
	AccessSignature string
	Request         fosite.Requester
	ExpiresAt       time.Time // zero: what the session of the request says
}

// importBatch keeps each transaction short: on SQLite all other writes wait for it.
const importBatch = 100

// ImportTokens takes over live tokens of another store and tells how many are new. From then on they introspect, refresh and
// revoke as if they had been issued here. Tokens that are here already, revoked ones included, are left alone, so that an
// interrupted import can be repeated. Tokens that have expired are left out. Import the clients first, and neither used nor
// revoked tokens.
func (s *Tokens) ImportTokens(ctx context.Context, tokens []ImportedToken) (imported int, err error) {
	for start := 0; start < len(tokens); start += importBatch {
		batch := tokenBatch{grants: make(map[string]*model.Grant)}
		for i, token := range tokens[start:min(start+importBatch, len(tokens))] {
			if err := s.addImported(&batch, token); err != nil {
				return imported, fmt.Errorf("storage: import token %d: %w", start+i, err)
			}
		}
		n := 0
		err := s.db.Write(ctx, func(_ context.Context, tx *database.Tx) (err error) {
			n, err = s.storeImported(tx, &batch)
			return err
		})
		if err != nil {
			return imported, fmt.Errorf("storage: import tokens: %w", err)
		}
		imported += n
	}
	return imported, nil
}

// tokenBatch is what one transaction imports.
type tokenBatch struct {
	grants  map[string]*model.Grant
	access  []model.AccessToken
	refresh []model.RefreshToken
}

func (s *Tokens) addImported(batch *tokenBatch, token ImportedToken) error {
	switch {
	case token.Signature == "":
		return errNoSignature
	case token.Request == nil || token.Request.GetClient() == nil:
		return errors.New("it has no request, or one without a client")
	case token.Kind != fosite.AccessToken && token.Kind != fosite.RefreshToken:
		return fmt.Errorf("its kind is %q; it must be %q or %q", token.Kind, fosite.AccessToken, fosite.RefreshToken)
	}
	r, err := s.newRequest(token.Request, token.Kind)
	if err != nil {
		return err
	}
	r.SecretID = "" // it was issued elsewhere
	if !token.ExpiresAt.IsZero() {
		r.ExpiresAt = model.At(token.ExpiresAt)
	}
	if !r.ExpiresAt.IsZero() && !s.now().Before(r.ExpiresAt.Time) {
		return nil // of one that was revoked here there may be no trace left
	}
	if token.Kind == fosite.AccessToken {
		batch.access = append(batch.access, model.AccessToken{Signature: accessTokenKey(token.Signature), Request: *r})
		if ofMachine(token.Request, r) {
			return nil
		}
	} else {
		refresh := model.RefreshToken{Signature: signatureHash(token.Signature), Request: *r}
		if token.AccessSignature != "" {
			refresh.AccessSignature = accessTokenKey(token.AccessSignature)
		}
		batch.refresh = append(batch.refresh, refresh)
	}
	grant := &model.Grant{ID: r.RequestID, ClientID: r.ClientID, Subject: string(r.Subject), CreatedAt: model.At(s.now()), ExpiresAt: r.ExpiresAt}
	if known := batch.grants[r.RequestID]; known == nil {
		batch.grants[r.RequestID] = grant
	} else if !known.ExpiresAt.IsZero() && (r.ExpiresAt.IsZero() || r.ExpiresAt.After(known.ExpiresAt.Time)) {
		known.ExpiresAt = r.ExpiresAt
	}
	return nil
}

// storeImported stores a batch and tells how many tokens are new.
func (s *Tokens) storeImported(tx *database.Tx, batch *tokenBatch) (n int, err error) {
	if err := s.currentEpochs(tx, batch); err != nil {
		return 0, err
	}
	if len(batch.grants) > 0 {
		grants := make([]*model.Grant, 0, len(batch.grants))
		for _, grant := range batch.grants {
			grants = append(grants, grant)
		}
		slices.SortFunc(grants, func(a, b *model.Grant) int { return cmp.Compare(a.ID, b.ID) }) // so that two imports do not lock each other out
		outlive := clause.OnConflict{
			Columns:   []clause.Column{{Name: "id"}},
			DoUpdates: clause.Assignments(map[string]any{"expires_at": gorm.Expr(s.db.SQL(laterExpiry))}),
		}
		if err := tx.Clauses(outlive).Create(&grants).Error; err != nil {
			return 0, err
		}
	}
	access, err := createNew(tx, batch.access)
	if err != nil {
		return 0, err
	}
	refresh, err := createNew(tx, batch.refresh)
	return access + refresh, err
}

// createNew stores the rows that are not there and tells how many those are.
func createNew[T any](tx *database.Tx, rows []T) (n int, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	result := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows)
	return int(result.RowsAffected), result.Error
}

// currentEpochs gives tokens the epochs that their clients are in.
func (s *Tokens) currentEpochs(tx *database.Tx, batch *tokenBatch) error {
	var requests []*model.Request
	for i := range batch.access {
		requests = append(requests, &batch.access[i].Request)
	}
	for i := range batch.refresh {
		requests = append(requests, &batch.refresh[i].Request)
	}
	epochs := make(map[string]int64)
	for _, r := range requests {
		epoch, known := epochs[r.ClientID]
		if !known {
			if err := tx.QueryRow(`SELECT `+s.clientEpoch(), r.ClientID).Scan(&epoch); err != nil {
				return err
			}
			epochs[r.ClientID] = epoch
		}
		r.Epoch = epoch
	}
	return nil
}
