package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/openid"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"fosite-mcp/storage/audit"

	"fosite-mcp/provider/client"
)

// everyCall calls every method through which fosite reaches the store, and those that end tokens; each token and key
// it names starts with prefix.
func everyCall(ctx context.Context, s *Store, prefix string) map[string]error {
	request := newTestRequest("machine")
	pushed := &fosite.AuthorizeRequest{Request: *request}
	errs := map[string]error{}
	call := func(name string, err error) { errs[name] = err }
	_, err := s.GetClient(ctx, "machine")
	call("GetClient", err)
	_, err = s.GetClient(ReadAhead(ctx, prefix+"access"), "machine")
	call("GetClient, and a token ahead", err)
	call("ClientAssertionJWTValid", s.ClientAssertionJWTValid(ctx, prefix+"jti"))
	call("SetClientAssertionJWT", s.SetClientAssertionJWT(ctx, prefix+"jti", time.Now().Add(time.Hour)))
	_, err = s.IsJWTUsed(ctx, prefix+"jti2")
	call("IsJWTUsed", err)
	call("MarkJWTUsedForTime", s.MarkJWTUsedForTime(ctx, prefix+"jti2", time.Now().Add(time.Hour)))
	call("CreateAuthorizeCodeSession", s.CreateAuthorizeCodeSession(ctx, prefix+"code", request))
	_, err = s.GetAuthorizeCodeSession(ctx, prefix+"code", nil)
	call("GetAuthorizeCodeSession", err)
	call("InvalidateAuthorizeCodeSession", s.InvalidateAuthorizeCodeSession(ctx, prefix+"code"))
	call("CreatePKCERequestSession", s.CreatePKCERequestSession(ctx, prefix+"pkce", request))
	_, err = s.GetPKCERequestSession(ctx, prefix+"pkce", nil)
	call("GetPKCERequestSession", err)
	call("CreateAccessTokenSession", s.CreateAccessTokenSession(ctx, prefix+"access", request))
	_, err = s.GetAccessTokenSession(ctx, prefix+"access", nil)
	call("GetAccessTokenSession", err)
	call("CreateRefreshTokenSession", s.CreateRefreshTokenSession(ctx, prefix+"refresh", prefix+"access", request))
	_, err = s.GetRefreshTokenSession(ctx, prefix+"refresh", nil)
	call("GetRefreshTokenSession", err)
	call("RotateRefreshToken", s.RotateRefreshToken(ctx, request.ID, prefix+"refresh"))
	call("CreateOpenIDConnectSession", s.CreateOpenIDConnectSession(ctx, prefix+"openid", request))
	_, err = s.GetOpenIDConnectSession(ctx, prefix+"openid", request)
	call("GetOpenIDConnectSession", err)
	call("DeleteOpenIDConnectSession", s.DeleteOpenIDConnectSession(ctx, prefix+"openid"))
	call("CreatePARSession", s.CreatePARSession(ctx, prefix+"par", pushed))
	_, err = s.GetPARSession(ctx, prefix+"par")
	call("GetPARSession", err)
	call("DeletePARSession", s.DeletePARSession(ctx, prefix+"par"))
	call("DeleteAccessTokenSession", s.DeleteAccessTokenSession(ctx, prefix+"access"))
	call("DeleteRefreshTokenSession", s.DeleteRefreshTokenSession(ctx, prefix+"refresh"))
	call("RevokeRefreshToken", s.RevokeRefreshToken(ctx, request.ID))
	call("RevokeAccessToken", s.RevokeAccessToken(ctx, request.ID))
	call("RevokeGrant", s.RevokeGrant(ctx, request.ID))
	_, err = s.RevokeReused(ctx, "refresh_token.reused", request, prefix+"refresh")
	call("RevokeReused", err)
	_, err = s.RevokeOwnToken(ctx, fosite.AccessToken, prefix+"access", "machine")
	call("RevokeOwnToken", err)
	call("AppendAudit", s.Audit().Append(ctx, audit.Event{Action: "x"}))
	call("RevokeClient", s.RevokeClient(ctx, "machine"))
	call("RevokeClientBefore", s.RevokeClientBefore(ctx, "machine", time.Now()))
	if s.external == nil {
		call("RevokeSecret", s.Clients().RevokeSecret(ctx, "machine", "secret-of-machine"))
	}
	_, err = s.RevokeSubject(ctx, "ada", "")
	call("RevokeSubject", err)
	call("RevokeTokenID", s.RevokeTokenID(ctx, "machine", TokenID(prefix+"access")))
	_, _, err = s.RevokeSignature(ctx, fosite.AccessToken, prefix+"access")
	call("RevokeSignature", err)
	call("InTransaction", s.Atomically(ctx, func(context.Context) error { return nil }))
	call("Ping", s.Ping(ctx))
	return errs
}

func TestEveryCallWorksBeforeTheOutage(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		for name, err := range everyCall(soon(t), e.storeWithClients(t), "") {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// wantOutages checks that no error can be taken for an answer: "inactive", "revoked", "already used".
func wantOutages(t *testing.T, errs map[string]error) {
	t.Helper()
	for name, err := range errs {
		if err == nil {
			t.Errorf("%s: succeeded during an outage", name)
		}
		for _, answer := range []error{
			fosite.ErrNotFound, fosite.ErrInactiveToken, fosite.ErrInvalidatedAuthorizeCode, fosite.ErrJTIKnown,
			fosite.ErrTokenExpired, openid.ErrNoSessionFound, fosite.ErrSerializationFailure,
		} {
			if errors.Is(err, answer) {
				t.Errorf("%s: an outage passes for %q", name, answer)
			}
		}
	}
}

func TestOutageIsNeverAnAnswer(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		t.Run("a closed database", func(t *testing.T) {
			s := e.storeWithClients(t)
			if err := poolOf(t, s).Close(); err != nil {
				t.Fatal(err)
			}
			wantOutages(t, everyCall(soon(t), s, ""))
		})
		t.Run("a database without tables", func(t *testing.T) {
			errs := everyCall(soon(t), New(openPool(t, e.dialector(t)())), "")
			delete(errs, "Ping")
			if e.name == "postgres" {
				delete(errs, "InTransaction") // opens one, and it is empty
			}
			wantOutages(t, errs)
		})
		t.Run("a caller who has gone", func(t *testing.T) {
			s := e.storeWithClients(t)
			if !s.db.Postgres { // somebody else writes: otherwise a write may still go through
				busy, err := s.BeginTX(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Rollback(busy) }()
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			wantOutages(t, everyCall(ctx, s, ""))
		})
	})
}

func TestOutageOfTheClientsIsNeverAnAnswer(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		ctx, clients := soon(t), newClientMap(&fosite.DefaultClient{ID: "machine"})
		s := e.store(t, WithClients(clients))
		for name, err := range everyCall(ctx, s, "") {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		clients.err = errors.New("no connection to the directory")
		all, reads := everyCall(ctx, s, "during "), map[string]error{}
		for _, name := range []string{"GetClient", "GetAccessTokenSession", "GetRefreshTokenSession", "GetAuthorizeCodeSession", "GetPKCERequestSession", "GetOpenIDConnectSession", "GetPARSession"} {
			reads[name] = all[name]
		}
		wantOutages(t, reads)
	})
}

func TestDatabaseThatCannotBeUsedSaysSoOnEveryCall(t *testing.T) {
	db := openPool(t, sqlite.Open("file:"+filepath.Join(t.TempDir(), "x.db")))
	db.Dialector = otherDialect{db.Dialector}
	for name, err := range everyCall(soon(t), New(db), "") {
		if err == nil || !strings.Contains(err.Error(), `"other" dialect is not supported`) {
			t.Errorf("%s: error = %v, want that the dialect is not supported", name, err)
		}
	}
}

type otherDialect struct{ gorm.Dialector }

func (otherDialect) Name() string { return "other" }

// TestNothingOfATokenIsPrintedOrStored looks for signatures wherever they could end up.
func TestNothingOfATokenIsPrintedOrStored(t *testing.T) {
	const mark = "signature-0123456789-"
	var printed bytes.Buffer
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := gorm.Open(sqlite.Open("file:"+path+sqliteSettings), &gorm.Config{
		Logger: logger.New(log.New(&printed, "", 0), logger.Config{LogLevel: logger.Info}), // the most talkative
	})
	if err != nil {
		t.Fatal(err)
	}
	s := New(db)
	t.Cleanup(func() { _ = poolOf(t, s).Close() })
	if err := s.Migrate(soon(t)); err != nil {
		t.Fatal(err)
	}
	printed.Reset() // a migration has the name of a scheme in its SQL
	if err := s.Clients().Create(soon(t), &client.Client{ID: "machine"}); err != nil {
		t.Fatal(err)
	}
	errs := everyCall(soon(t), s, mark)
	for name, err := range everyCall(soon(t), s, mark) { // everything a second time: most of it fails
		errs[name+" again"] = err
	}
	for name, err := range errs {
		if err != nil && strings.Contains(fmt.Sprintf("%+v", err), mark) {
			t.Errorf("%s: the error names the signature: %v", name, err)
		}
	}
	if text := printed.String(); strings.Contains(text, mark) || strings.Contains(text, fastHash) || strings.Contains(text, "machine") {
		t.Errorf("the host application's logger printed values:\n%s", text)
	}
	for _, statement := range []string{"INSERT INTO `access_tokens`", "UPDATE `grants`", "FROM `access_tokens`"} {
		if !strings.Contains(printed.String(), statement) {
			t.Errorf("the host application's logger was not told of %s", statement)
		}
	}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(mark)) {
			t.Errorf("a signature is in the file %s", filepath.Base(path+suffix))
		}
	}
}
