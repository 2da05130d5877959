package storagetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ory/fosite"
)

var clientCases = []testCase{
	{"a registered client is found by its id", func(t *testing.T, store Storage) {
		client, err := store.GetClient(context.Background(), clientID)
		must(t, err)
		if client.GetID() != clientID {
			t.Errorf("id = %q, want %q", client.GetID(), clientID)
		}
	}},
	{"a client that is not registered is ErrNotFound", func(t *testing.T, store Storage) {
		// Ids come from strangers: any bytes at all.
		for _, id := range []string{"nobody", "", strings.ToUpper(clientID), clientID + " ", "a\x00b", "\xff\xfe", "' OR 1=1 --", "%"} {
			_, err := store.GetClient(context.Background(), id)
			wantError(t, fmt.Sprintf("GetClient(%q)", id), err, fosite.ErrNotFound)
		}
	}},
	{"an assertion is single use until it expires", assertionIsSingleUse(jtiOfClient)},
}

var accessTokenCases = []testCase{
	{"what was never stored is ErrNotFound", func(t *testing.T, store Storage) {
		_, err := store.GetAccessTokenSession(context.Background(), newSignature(), emptySession())
		wantError(t, "get", err, fosite.ErrNotFound)
	}},
	{"what was stored comes back until it is deleted", func(t *testing.T, store Storage) {
		ctx, request, signature := context.Background(), newRequest(), newSignature()
		must(t, store.CreateAccessTokenSession(ctx, signature, request))
		got, err := store.GetAccessTokenSession(ctx, signature, emptySession())
		wantRequest(t, "get", got, err, request)
		must(t, store.DeleteAccessTokenSession(ctx, signature))
		wantActive(t, "after delete", activeAccess(t, store, signature), false)
	}},
	{"deleting one token leaves the others of the request", func(t *testing.T, store Storage) {
		ctx, request, first, second := context.Background(), newRequest(), newSignature(), newSignature()
		must(t, store.CreateAccessTokenSession(ctx, first, request))
		must(t, store.CreateAccessTokenSession(ctx, second, request))
		must(t, store.DeleteAccessTokenSession(ctx, first))
		wantActive(t, "the deleted one", activeAccess(t, store, first), false)
		wantActive(t, "the other one", activeAccess(t, store, second), true)
	}},
	{"an empty signature matches nothing", func(t *testing.T, store Storage) {
		ctx := context.Background()
		_ = store.CreateAccessTokenSession(ctx, "", newRequest()) // may be refused or ignored
		_, err := store.GetAccessTokenSession(ctx, "", emptySession())
		wantError(t, "get", err, fosite.ErrNotFound)
	}},
	{"signatures of hundreds of characters count to the last one", func(t *testing.T, store Storage) {
		ctx, request := context.Background(), newRequest()
		long := strings.Repeat(newSignature(), 20)
		must(t, store.CreateAccessTokenSession(ctx, long+"A", request))
		wantActive(t, "the same", activeAccess(t, store, long+"A"), true)
		wantActive(t, "another last character", activeAccess(t, store, long+"B"), false)
		wantActive(t, "the last character in lower case", activeAccess(t, store, long+"a"), false)
		wantActive(t, "without the last character", activeAccess(t, store, long), false)
	}},
	{"a signature is stored once", func(t *testing.T, store Storage) {
		ctx, first, second, signature := context.Background(), newRequest(), newRequest(), newSignature()
		must(t, store.CreateAccessTokenSession(ctx, signature, first))
		if store.CreateAccessTokenSession(ctx, signature, second) == nil {
			t.Error("a second token was stored under the same signature")
		}
		got, err := store.GetAccessTokenSession(ctx, signature, emptySession())
		wantRequest(t, "get", got, err, first)
	}},
}

var refreshTokenCases = []testCase{
	{"what was never stored is ErrNotFound", func(t *testing.T, store Storage) {
		_, err := store.GetRefreshTokenSession(context.Background(), newSignature(), emptySession())
		wantError(t, "get", err, fosite.ErrNotFound)
	}},
	{"what was stored comes back", func(t *testing.T, store Storage) {
		ctx, request, signature := context.Background(), newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, signature, newSignature(), request))
		got, err := store.GetRefreshTokenSession(ctx, signature, emptySession())
		wantRequest(t, "get", got, err, request)
	}},
	{"deleting is idempotent, of what does not exist too", func(t *testing.T, store Storage) {
		ctx, request, signature := context.Background(), newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, signature, newSignature(), request))
		for range 3 {
			must(t, store.DeleteRefreshTokenSession(ctx, signature))
		}
		wantActive(t, "after delete", activeRefresh(t, store, signature), false)
		must(t, store.DeleteRefreshTokenSession(ctx, newSignature()))
	}},
	{"an empty signature matches nothing", func(t *testing.T, store Storage) {
		ctx := context.Background()
		_ = store.CreateRefreshTokenSession(ctx, "", newSignature(), newRequest()) // may be refused or ignored
		_, err := store.GetRefreshTokenSession(ctx, "", emptySession())
		wantError(t, "get", err, fosite.ErrNotFound)
	}},
	{"it may come without an access token", func(t *testing.T, store Storage) {
		ctx, request, signature := context.Background(), newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, signature, "", request))
		must(t, store.RotateRefreshToken(ctx, request.ID, signature))
		wantActive(t, "after rotation", activeRefresh(t, store, signature), false)
	}},
	{"a rotated one is ErrInactiveToken, with its request", func(t *testing.T, store Storage) {
		ctx, request, signature, access := context.Background(), newRequest(), newSignature(), newSignature()
		must(t, store.CreateAccessTokenSession(ctx, access, request))
		must(t, store.CreateRefreshTokenSession(ctx, signature, access, request))
		must(t, store.RotateRefreshToken(ctx, request.ID, signature))
		// fosite revokes the family through this request, and panics without it. It comes with a nil session, too.
		for _, session := range []fosite.Session{emptySession(), nil} {
			got, err := store.GetRefreshTokenSession(ctx, signature, session)
			wantError(t, "get", err, fosite.ErrInactiveToken)
			wantSameRequest(t, "get", got, request)
		}
		wantActive(t, "the access token beside it", activeAccess(t, store, access), false)
	}},
	{"the second rotation fails and leaves the successor alone", func(t *testing.T, store Storage) {
		ctx, request, old, successor := context.Background(), newRequest(), newSignature(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
		must(t, store.RotateRefreshToken(ctx, request.ID, old))
		must(t, store.CreateRefreshTokenSession(ctx, successor, newSignature(), request))
		err := store.RotateRefreshToken(ctx, request.ID, old)
		wantError(t, "second rotation", err, fosite.ErrInactiveToken, fosite.ErrNotFound)
		wantActive(t, "successor", activeRefresh(t, store, successor), true)
	}},
	{"rotating what does not exist fails", func(t *testing.T, store Storage) {
		err := store.RotateRefreshToken(context.Background(), newRequest().ID, newSignature())
		wantError(t, "rotate", err, fosite.ErrInactiveToken, fosite.ErrNotFound)
	}},
}

var graceCases = []testCase{
	{"a rotated refresh token goes on working within the grace", func(t *testing.T, store Storage) {
		ctx, request, old := context.Background(), newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
		for range 3 {
			got, err := store.GetRefreshTokenSession(ctx, old, emptySession())
			wantRequest(t, "get", got, err, request)
			must(t, store.RotateRefreshToken(ctx, request.ID, old))
			must(t, store.CreateRefreshTokenSession(ctx, newSignature(), newSignature(), request))
		}
	}},
	{"revocation ends the grace", func(t *testing.T, store Storage) {
		ctx, request, old := context.Background(), newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
		must(t, store.RotateRefreshToken(ctx, request.ID, old))
		must(t, store.RevokeRefreshToken(ctx, request.ID))
		got, err := store.GetRefreshTokenSession(ctx, old, emptySession())
		wantError(t, "get", err, fosite.ErrInactiveToken)
		wantSameRequest(t, "get", got, request)
		err = store.RotateRefreshToken(ctx, request.ID, old)
		wantError(t, "rotate", err, fosite.ErrInactiveToken, fosite.ErrNotFound)
	}},
	{"a successor that has been rotated ends the grace", rotatedSuccessorEndsTheGrace},
	{"a successor's access token that has been used does not end the grace", func(t *testing.T, store Storage) {
		ctx, request, old := context.Background(), newRequest(), newSignature()
		must(t, store.CreateRefreshTokenSession(ctx, old, newSignature(), request))
		successor := refreshWith(ctx, store, request, old)
		must(t, successor.err)
		wantActive(t, "the successor's access token", activeAccess(t, store, successor.access), true)
		must(t, refreshWith(ctx, store, request, old).err)
	}},
	{"the grace does not go on for ever", graceIsBounded},
	{"concurrent refreshes with one token succeed, a few of them, in one family", graceKeepsTheFamily},
	{"a grace that races the use of a successor ends", graceRacesASuccessor},
	{"a revocation that races refreshes leaves no active token", func(t *testing.T, store Storage) { revocationBeatsRefreshes(t, store, 50) }},
}
