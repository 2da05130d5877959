package storage

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ory/fosite"
)

func TestOneOfManyReplacesTheKeys(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		dialector := e.dialector(t)
		store := New(openPool(t, dialector()))
		if err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		replicas := []*Store{store, New(openPool(t, dialector()))}
		if keys, revision, err := store.KeySet(t.Context()); keys != nil || revision != 0 || err != nil {
			t.Fatalf("without keys: %q, %d, %v", keys, revision, err)
		}
		for revision := range int64(3) { // the first keys, and then others
			var replaced atomic.Int64
			var wait sync.WaitGroup
			for i := range 20 {
				wait.Go(func() {
					done, err := replicas[i%2].ReplaceKeySet(t.Context(), revision, []byte{'a' + byte(i)})
					if err != nil {
						t.Error(err)
					}
					if done && replaced.Add(int64(i)+1) != int64(i)+1 {
						t.Errorf("revision %d was replaced twice", revision)
					}
				})
			}
			wait.Wait()
			keys, now, err := replicas[1].KeySet(t.Context())
			if want := string([]byte{'a' + byte(replaced.Load()-1)}); string(keys) != want || now != revision+1 || err != nil {
				t.Errorf("keys %q at revision %d, %v; want %q at %d", keys, now, err, want, revision+1)
			}
		}
	})
}

func TestTheLastOfAllTokensEndsLast(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t)
		if end, err := store.LastTokenEnd(t.Context()); !end.IsZero() || err != nil {
			t.Fatalf("without tokens: %s, %v", end, err)
		}
		last := time.Date(2040, time.January, 2, 3, 4, 5, 0, time.UTC)
		for signature, end := range map[string]time.Time{"a": last.Add(-time.Hour), "b": last, "c": {}} {
			request := newTestRequest("machine")
			request.Session.SetExpiresAt(fosite.AccessToken, end)
			if err := store.CreateAccessTokenSession(t.Context(), signature, request); err != nil {
				t.Fatal(err)
			}
		}
		if end, err := store.LastTokenEnd(t.Context()); !end.Equal(last) || err != nil {
			t.Errorf("the last token ends at %s, %v; want %s", end, err, last)
		}
	})
}

func TestTheLastTokenOfBeforeEndsLast(t *testing.T) {
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t)
		replaced := time.Date(2039, time.January, 2, 3, 4, 5, 0, time.UTC)
		if end, err := store.LastTokenEndOf(t.Context(), replaced); !end.IsZero() || err != nil {
			t.Fatalf("without tokens: %s, %v", end, err)
		}
		put := func(signature string, kind fosite.TokenType, issued, end time.Time) {
			t.Helper()
			request := newTestRequest("machine")
			request.RequestedAt = issued
			request.Session.SetExpiresAt(kind, end)
			err := store.CreateAccessTokenSession(t.Context(), signature, request)
			if kind == fosite.RefreshToken {
				err = store.CreateRefreshTokenSession(t.Context(), signature, "access", request)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		access, refresh := replaced.Add(time.Hour), replaced.Add(24*time.Hour)
		put("before", fosite.AccessToken, replaced.Add(-time.Hour), access)
		put("after", fosite.AccessToken, replaced.Add(time.Hour), replaced.Add(90*24*time.Hour))
		if end, err := store.LastTokenEndOf(t.Context(), replaced); !end.Equal(access) || err != nil {
			t.Errorf("%s, %v; want %s", end, err, access)
		}
		put("refresh", fosite.RefreshToken, replaced.Add(-time.Hour), refresh)
		if end, err := store.LastTokenEndOf(t.Context(), replaced); !end.Equal(refresh) || err != nil {
			t.Errorf("%s, %v; want the refresh token's, %s", end, err, refresh)
		}
		if err := store.RevokeAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if end, err := store.LastTokenEndOf(t.Context(), replaced); !end.IsZero() || err != nil {
			t.Errorf("all were revoked: %s, %v; want none", end, err)
		}
	})
}

// The name of a JWT is its jti, so that the token, its introspection and the admin API agree.
func TestAJWTIsCalledByItsJTI(t *testing.T) {
	const jti = "AaIWAU-AI4jAxrf7m3I47qUbB8TIZ74zrOyhe_vA3Sc"
	if got := TokenID("~" + jti); got != jti {
		t.Errorf("the token is called %s, want %s", got, jti)
	}
	for _, signature := range []string{jti, "~" + jti[1:], "~" + jti + "A", "~" + jti[:42] + "!", "~~" + jti[1:]} {
		if got, want := TokenID(signature), tokenIDs.EncodeToString(hashOf(signature)); got != want {
			t.Errorf("%q is called %s, want its hash %s", signature, got, want)
		}
	}
	onEachEngine(t, func(t *testing.T, e testEngine) {
		store := e.storeWithClients(t)
		if err := store.CreateAccessTokenSession(t.Context(), "~"+jti, newTestRequest("machine")); err != nil {
			t.Fatal(err)
		}
		if _, err := store.GetAccessTokenSession(t.Context(), "~"+jti, &fosite.DefaultSession{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := store.TokenGrant(t.Context(), fosite.RefreshToken, "~"+jti); err == nil {
			t.Error("the access token passes for a refresh token")
		}
		if err := store.RevokeTokenID(t.Context(), "machine", jti); err != nil {
			t.Fatal(err)
		}
		if _, err := store.GetAccessTokenSession(t.Context(), "~"+jti, &fosite.DefaultSession{}); err == nil {
			t.Error("the token is alive after it was revoked by its jti")
		}
	})
}
