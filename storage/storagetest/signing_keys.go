package storagetest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/ory/fosite"
	"golang.org/x/sync/errgroup"
)

// signingKeyStore keeps the keys of JWT access tokens: see provider.SigningKeyStore.
type signingKeyStore interface {
	KeySet(ctx context.Context) (keys []byte, revision int64, err error)
	ReplaceKeySet(ctx context.Context, revision int64, keys []byte) (replaced bool, err error)
	LastTokenEnd(ctx context.Context) (time.Time, error)
}

var signingKeyCases = []testCase{
	{"one of many replaces the signing keys", oneReplacesTheSigningKeys},
	{"no token ends after the last one", noTokenEndsAfterTheLast},
}

func oneReplacesTheSigningKeys(t *testing.T, store Storage) {
	ctx, keys := context.Background(), store.(signingKeyStore)
	if stored, revision, err := keys.KeySet(ctx); len(stored) > 0 || revision != 0 || err != nil {
		t.Fatalf("without keys: %q, revision %d, error %v; want nothing and 0", stored, revision, err)
	}
	revision := int64(0)
	for range 3 {
		const many = 8
		var group errgroup.Group
		won := make([]bool, many)
		for i := range many {
			group.Go(func() (err error) {
				won[i], err = keys.ReplaceKeySet(ctx, revision, []byte{'a' + byte(i)})
				return err
			})
		}
		must(t, group.Wait())
		stored, next, err := keys.KeySet(ctx)
		must(t, err)
		winners := 0
		for i := range won {
			if won[i] {
				winners++
				if want := []byte{'a' + byte(i)}; !bytes.Equal(stored, want) {
					t.Errorf("stored are the keys %q, want those of who replaced them, %q", stored, want)
				}
			}
		}
		if winners != 1 || next == revision {
			t.Errorf("%d of %d calls replaced revision %d, which is %d now; want one call, and another revision", winners, many, revision, next)
		}
		revision = next
	}
}

func noTokenEndsAfterTheLast(t *testing.T, store Storage) {
	ctx, request := context.Background(), newRequest()
	far := time.Date(2100, time.January, 2, 3, 4, 5, 0, time.UTC)
	request.GetSession().SetExpiresAt(fosite.AccessToken, far)
	must(t, store.CreateAccessTokenSession(ctx, newSignature(), request))
	end, err := store.(signingKeyStore).LastTokenEnd(ctx)
	must(t, err)
	if end.Before(far) {
		t.Errorf("the last token ends at %s, and one that is stored at %s", end, far)
	}
}
