package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/rfc7523"
)

// jtis are the two places where a store remembers assertions.
type jtis struct {
	mark func(ctx context.Context, store Storage, jti string, exp time.Time) error
	used func(ctx context.Context, store Storage, jti string) (bool, error)
}

var jtiOfClient = jtis{
	mark: func(ctx context.Context, s Storage, jti string, exp time.Time) error {
		return s.SetClientAssertionJWT(ctx, jti, exp)
	},
	used: func(ctx context.Context, s Storage, jti string) (bool, error) {
		err := s.ClientAssertionJWTValid(ctx, jti)
		if errors.Is(err, fosite.ErrJTIKnown) {
			return true, nil
		}
		return false, err
	},
}

var jtiOfGrant = jtis{
	mark: func(ctx context.Context, s Storage, jti string, exp time.Time) error {
		return keyStorage(s).MarkJWTUsedForTime(ctx, jti, exp)
	},
	used: func(ctx context.Context, s Storage, jti string) (bool, error) {
		return keyStorage(s).IsJWTUsed(ctx, jti)
	},
}

func keyStorage(store Storage) rfc7523.RFC7523KeyStorage { return store.(rfc7523.RFC7523KeyStorage) }

func assertionIsSingleUse(j jtis) func(*testing.T, Storage) {
	return func(t *testing.T, store Storage) {
		ctx, fresh, stale := context.Background(), newSignature(), newSignature()
		wantUsed := func(what, jti string, want bool) {
			t.Helper()
			got, err := j.used(ctx, store, jti)
			must(t, err)
			if got != want {
				t.Errorf("%s: used = %v, want %v", what, got, want)
			}
		}
		wantUsed("before", fresh, false)
		must(t, j.mark(ctx, store, fresh, time.Now().Add(time.Hour)))
		wantUsed("after", fresh, true)
		wantUsed("another jti", fresh+"x", false)
		// The mark is the check: fosite looks first, but two may look before either marks.
		wantError(t, "second mark", j.mark(ctx, store, fresh, time.Now().Add(2*time.Hour)), fosite.ErrJTIKnown)

		// A store may refuse what it cannot remember.
		if err := j.mark(ctx, store, stale, time.Now().Add(-time.Minute)); err != nil {
			wantError(t, "mark of an expired one", err, fosite.ErrJTIKnown)
		}
		wantUsed("one that has expired", stale, false)
		must(t, j.mark(ctx, store, stale, time.Now().Add(time.Hour)))
		wantUsed("one that was marked again after it had expired", stale, true)
	}
}

var assertionKeyCases = []testCase{
	{"an assertion is single use until it expires", assertionIsSingleUse(jtiOfGrant)},
	{"keys are found by issuer, subject and key id", func(t *testing.T, store Storage) {
		ctx := context.Background()
		for _, want := range trustedKeys() {
			got, err := keyStorage(store).GetPublicKey(ctx, keyIssuer, keySubject, want.Key.KeyID)
			must(t, err)
			if diff := cmp.Diff(want.Key.Key, got.Key); diff != "" || got.KeyID != want.Key.KeyID {
				t.Errorf("key %s (-want +got):\n%s", want.Key.KeyID, diff)
			}
			scopes, err := keyStorage(store).GetPublicKeyScopes(ctx, keyIssuer, keySubject, want.Key.KeyID)
			must(t, err)
			if diff := cmp.Diff(want.Scopes, scopes); diff != "" {
				t.Errorf("scopes of key %s (-want +got):\n%s", want.Key.KeyID, diff)
			}
		}
		set, err := keyStorage(store).GetPublicKeys(ctx, keyIssuer, keySubject)
		must(t, err)
		if len(set.Keys) != len(trustedKeys()) {
			t.Errorf("%d keys, want %d", len(set.Keys), len(trustedKeys()))
		}
	}},
	{"an unknown key is ErrNotFound", func(t *testing.T, store Storage) {
		ctx := context.Background()
		for _, c := range [][3]string{
			{"https://nobody.example.com", keySubject, "first"}, {keyIssuer, "nobody", "first"}, {keyIssuer, keySubject, "third"},
			{"a\x00b", keySubject, "first"}, {keyIssuer, "\xff", "first"}, {keyIssuer, keySubject, "\x00"},
			{keyIssuer, keySubject, ""}, // not any of them: they differ in their scopes
		} {
			_, err := keyStorage(store).GetPublicKey(ctx, c[0], c[1], c[2])
			wantError(t, "GetPublicKey", err, fosite.ErrNotFound)
			_, err = keyStorage(store).GetPublicKeyScopes(ctx, c[0], c[1], c[2])
			wantError(t, "GetPublicKeyScopes", err, fosite.ErrNotFound)
		}
		_, err := keyStorage(store).GetPublicKeys(ctx, keyIssuer, "nobody")
		wantError(t, "GetPublicKeys", err, fosite.ErrNotFound)
	}},
}
