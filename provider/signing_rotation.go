package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ory/fosite"
)

// The changes of keys, by the names of their audit events.
const (
	KeyCreated   = "signing_key.created"   // the first ones, or a next one with another algorithm
	KeyRotated   = "signing_key.rotated"   // the next one signs from now on
	KeyDiscarded = "signing_key.discarded" // because it has leaked: its tokens verify no more
	KeyRemoved   = "signing_key.removed"   // its last token has ended
	keyNoted     = "noted"                 // something that is no event
)

// NextKeyTooYoungError says that a rotation comes too early: some verifiers may not know the next key yet.
type NextKeyTooYoungError struct{ MaySign time.Time }

func (e *NextKeyTooYoungError) Error() string {
	return fmt.Sprintf("provider: the next key may sign from %s on: verifiers keep the JWKS for some minutes, and must know a key before it signs",
		e.MaySign.UTC().Format(time.RFC3339))
}

// change has decide change the stored keys. Of several replicas that change them at once one does so, and the others decide
// anew. decide names the change and the key that it is about; "" is no change.
func (k *SigningKeys) change(ctx context.Context, decide func(keys []storedKey) (_ []storedKey, action, id string, _ error)) (SigningKey, error) {
	const attempts = 10
	for range attempts {
		set, err := k.read(ctx)
		if err != nil {
			return SigningKey{}, err
		}
		keys, action, id, err := decide(slices.Clone(set.stored))
		if err != nil || action == "" {
			return SigningKey{}, err
		}
		encoded, err := json.Marshal(keys)
		if err != nil {
			return SigningKey{}, err
		}
		about := about(id, keys, set.stored)
		done := false
		err = inTransaction(ctx, k.store, func(ctx context.Context) error {
			done, err = k.store.ReplaceKeySet(ctx, set.revision, encoded)
			if err != nil || !done || k.o.Record == nil || action == keyNoted {
				return err
			}
			return k.o.Record(ctx, action, about)
		})
		if err != nil {
			return SigningKey{}, err
		}
		if done {
			_, err := k.read(ctx)
			return about, err
		}
	}
	return SigningKey{}, errors.New("provider: the signing keys are changed by others all the time; try again")
}

// about is the key of that id, as it is now or was before.
func about(id string, lists ...[]storedKey) SigningKey {
	for _, keys := range lists {
		if i := slices.IndexFunc(keys, func(k storedKey) bool { return k.ID == id }); i >= 0 {
			return keys[i].public()
		}
	}
	return SigningKey{ID: id}
}

// inState is the place of the key in that state, or -1.
func inState(keys []storedKey, state KeyState) int {
	return slices.IndexFunc(keys, func(k storedKey) bool { return k.state() == state })
}

// Ensure makes the first keys where there are none: one that signs at once, and the next one. It makes another next key when
// the algorithm of new keys has changed, and seals the keys anew when the system secret has. Any number of replicas may call it
// at once. A current key that no secret opens is an error, and stays as it is.
func (k *SigningKeys) Ensure(ctx context.Context) error {
	var err error
	for action := KeyCreated; action != "" && err == nil; {
		_, err = k.change(ctx, func(keys []storedKey) (_ []storedKey, _, id string, err error) {
			keys, action, id, err = k.ensure(keys)
			return keys, action, id, err
		})
	}
	if err != nil {
		return err
	}
	_, err = k.signer(ctx)
	return err
}

func (k *SigningKeys) ensure(keys []storedKey) (_ []storedKey, action, id string, err error) {
	next, current := inState(keys, KeyNext), inState(keys, KeyCurrent)
	switch {
	case current < 0:
		key, err := k.newKey(k.o.Algorithm)
		key.SignsSince = key.PublishedAt
		return append(keys, key), KeyCreated, key.ID, err
	case next < 0:
		key, err := k.newKey(k.o.Algorithm)
		return append([]storedKey{key}, keys...), KeyCreated, key.ID, err
	case keys[next].Algorithm != k.o.Algorithm:
		key, err := k.newKey(k.o.Algorithm)
		keys[next] = key
		return keys, KeyCreated, key.ID, err
	}
	return k.reseal(keys)
}

// reseal seals under the newest secret what an earlier one opens, so that the earlier one can go.
func (k *SigningKeys) reseal(keys []storedKey) (_ []storedKey, action, id string, err error) {
	for i := range keys {
		private, with := keys[i].open(k.seals)
		if private == nil || with == 0 {
			continue
		}
		if err := keys[i].seal(k.seals[0], private); err != nil {
			return nil, "", "", err
		}
		action = keyNoted
	}
	return keys, action, "", nil
}

// Load reads the keys that there are, and makes none: for a server whose tokens are opaque now, and which knows the JWTs that it
// has issued before. It seals the keys anew when the system secret has changed.
func (k *SigningKeys) Load(ctx context.Context) error {
	_, err := k.change(ctx, k.reseal)
	return err
}

func (k *SigningKeys) newKey(algorithm string) (storedKey, error) {
	return newStoredKey(algorithm, k.seals[0], k.instant())
}

func (k *SigningKeys) instant() time.Time { return clock(k.o.Now).UTC().Truncate(time.Millisecond) }

// Rotate has the next key sign from now on, and makes another next one. The key that has signed until now is retired: its tokens
// go on verifying. It answers the key that signs, and an [*NextKeyTooYoungError] while some verifiers may not know it.
func (k *SigningKeys) Rotate(ctx context.Context) (SigningKey, error) {
	return k.change(ctx, func(keys []storedKey) ([]storedKey, string, string, error) {
		next := inState(keys, KeyNext)
		if next < 0 || inState(keys, KeyCurrent) < 0 {
			return nil, "", "", errNoKeys
		}
		if at := keys[next].public().MaySign; k.instant().Before(at) {
			return nil, "", "", &NextKeyTooYoungError{at}
		}
		if private, _ := keys[next].open(k.seals); private == nil {
			return nil, "", "", errMissingKeySecret
		}
		keys, err := k.rotate(keys, false)
		return keys, KeyRotated, current(keys).ID, err
	})
}

// rotate has the next key sign, and makes another. The current one is retired, or discarded.
func (k *SigningKeys) rotate(keys []storedKey, discard bool) ([]storedKey, error) {
	now := k.instant()
	if i := inState(keys, KeyCurrent); i >= 0 && discard {
		keys = slices.Delete(keys, i, i+1)
	} else if i >= 0 {
		keys[i].RetiredAt, keys[i].Private = now, nil
	}
	next := &keys[inState(keys, KeyNext)]
	if private, _ := next.open(k.seals); private == nil { // a lost one cannot take the place of a lost one
		fresh, err := k.newKey(next.Algorithm)
		if err != nil {
			return nil, err
		}
		*next = fresh
	}
	next.SignsSince = now
	following, err := k.newKey(next.Algorithm)
	if err != nil {
		return nil, err
	}
	return append([]storedKey{following}, keys...), nil
}

func current(keys []storedKey) storedKey {
	if i := inState(keys, KeyCurrent); i >= 0 {
		return keys[i]
	}
	return storedKey{}
}

// Discard takes away a key that has leaked, the current one if id is empty. What it has signed verifies no more: at this replica at
// once, at the others within a minute, and at verifiers once they fetch the JWKS again. The next key takes the place of the
// current one, whether verifiers know it or not. Discard answers the key that it took away, and [fosite.ErrNotFound] when there
// is no such key.
func (k *SigningKeys) Discard(ctx context.Context, id string) (SigningKey, error) {
	return k.change(ctx, func(keys []storedKey) (_ []storedKey, action, discarded string, err error) {
		i := slices.IndexFunc(keys, func(key storedKey) bool { return key.ID == id || id == "" && key.state() == KeyCurrent })
		if i < 0 {
			return nil, "", "", fosite.ErrNotFound
		}
		discarded = keys[i].ID
		switch keys[i].state() {
		case KeyCurrent:
			keys, err = k.rotate(keys, true)
		case KeyNext:
			keys[i], err = k.newKey(keys[i].Algorithm)
		default:
			keys = slices.Delete(keys, i, i+1)
		}
		return keys, KeyDiscarded, discarded, err
	})
}

// Maintain reads the keys anew, and does what is due: the next key takes the place of one that has signed for Lifespan, or of one
// with another algorithm, and a retired key goes when its last token has ended. Without keys there is nothing to do.
func (k *SigningKeys) Maintain(ctx context.Context) error {
	_, err := k.change(ctx, func(keys []storedKey) ([]storedKey, string, string, error) {
		return k.maintain(ctx, keys)
	})
	return err
}

func (k *SigningKeys) maintain(ctx context.Context, keys []storedKey) (_ []storedKey, action, id string, err error) {
	now := k.instant()
	next, signs := inState(keys, KeyNext), current(keys)
	due := k.o.Lifespan > 0 && now.Sub(signs.SignsSince) >= k.o.Lifespan
	if next >= 0 && signs.ID != "" && (due || keys[next].Algorithm != signs.Algorithm) && !now.Before(keys[next].public().MaySign) {
		if private, _ := keys[next].open(k.seals); private == nil {
			return nil, "", "", errMissingKeySecret
		}
		keys, err = k.rotate(keys, false)
		return keys, KeyRotated, current(keys).ID, err
	}
	for i := range keys {
		key := &keys[i]
		switch {
		case key.state() != KeyRetired:
		case key.EndsAt.IsZero() && now.Sub(key.RetiredAt) > lastSigned:
			// All that it has signed is stored by now. What others have signed since only makes it stay longer.
			end, err := k.store.LastTokenEnd(ctx)
			if err != nil {
				return nil, "", "", err
			}
			key.EndsAt = latest(end, now).UTC().Truncate(time.Millisecond)
			return keys, keyNoted, key.ID, nil
		case !key.EndsAt.IsZero() && now.Sub(key.EndsAt) > keySkew:
			id = key.ID
			return slices.Delete(keys, i, i+1), KeyRemoved, id, nil
		}
	}
	return nil, "", "", nil
}

func latest(t, other time.Time) time.Time {
	if other.After(t) {
		return other
	}
	return t
}
