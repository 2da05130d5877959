package provider

import (
	"context"
	"errors"
	"time"

	"fosite-mcp/provider/client/slowhash"

	"github.com/ory/fosite"
)

// checkSecret tells whether one of the secrets that were sent is the client's.
func (a *ClientAuthenticator) checkSecret(ctx context.Context, client fosite.Client, sent credentials) (fosite.Client, error) {
	hash, err := a.match(ctx, client, sent)
	if err != nil {
		return nil, err
	}
	if u, ok := client.(ClientWithUsedSecret); ok {
		u.AuthenticatedWith(hash)
	}
	return client, a.used(ctx, client, hash)
}

// match finds the hash of one of the secrets that were sent; invalid_client: there is none. Only a comparison that takes long has
// to wait for its turn.
func (a *ClientAuthenticator) match(ctx context.Context, client fosite.Client, sent credentials) ([]byte, error) {
	hashes := [][]byte{client.GetHashedSecret()}
	if rotating, ok := client.(fosite.ClientWithSecretRotation); ok {
		hashes = append(hashes, rotating.GetRotatedHashes()...)
	}
	hasher := a.hasher()
	var slow [][]byte
	for _, hash := range hashes {
		for _, secret := range sent.secrets {
			if err := hasher.compareAtOnce(ctx, hash, secret); err == nil {
				return hash, nil
			} else if ctx.Err() != nil || errors.Is(err, ErrTooBusy) {
				return nil, unavailable(err)
			}
		}
		if slowhash.Is(hash) {
			slow = append(slow, hash)
		}
	}
	hash, err := a.matchInTurn(ctx, sent, slow)
	switch {
	case err != nil:
		return nil, unavailable(err)
	case hash == nil:
		return nil, errInvalidClient.WithDebug("wrong secret")
	}
	return hash, nil
}

// used tells the store about a successful authentication, before anything is issued.
func (a *ClientAuthenticator) used(ctx context.Context, client fosite.Client, hash []byte) error {
	if store, ok := a.Store.(SecretUseStore); ok {
		if err := store.SecretUsed(ctx, client, hash); err != nil {
			return unavailable(err)
		}
	}
	return nil
}

// refuse answers invalid_client after the time that a wrong secret takes.
func (a *ClientAuthenticator) refuse(ctx context.Context, sent credentials, reason string) (fosite.Client, error) {
	if _, err := a.matchInTurn(ctx, sent, nil); err != nil {
		return nil, unavailable(err)
	}
	return nil, errInvalidClient.WithDebug(reason)
}

// matchInTurn finds the hash of one of the secrets among slow hashes; nil: it is none of these. Requests that matchEarly has not
// let in wait here, in one queue for each client id that was sent; an id of no client has a queue, too. A refusal takes the work
// of the client with the slowest hashes. So neither the time nor the queue tells which ids are clients, nor which hashes they have.
//
// Where many wait, a client with the right secret does not: see matchEarly. The others are refused in their turn.
func (a *ClientAuthenticator) matchInTurn(ctx context.Context, sent credentials, hashes [][]byte) ([]byte, error) {
	if len(sent.secrets) == 0 {
		return nil, nil
	}
	var mine slowhash.Work
	for _, hash := range hashes {
		mine = mine.Plus(slowhash.Of(hash))
	}
	most, err := a.refusalCost.most(ctx, a.Store, mine)
	if err != nil || len(hashes) == 0 && most.None() {
		return nil, err
	}
	hasher := a.hasher()
	turn := hasher.claims.join(sent.id)
	defer turn.leave()
	early, stop := context.WithCancel(context.WithoutCancel(ctx))
	var found <-chan []byte
	if !turn.hasCome() {
		found = a.matchEarly(early, hashes, sent.secrets)
	}
	hash, err := turn.come(ctx, found)
	if err != nil {
		time.AfterFunc(patience, stop) // whoever is right will be let in at once the next time
		return nil, err
	}
	stop()
	if hash != nil {
		return hash, nil
	}
	for _, secret := range sent.secrets {
		for _, hash := range hashes {
			if err := hasher.compareOne(ctx, hash, secret); err == nil {
				return hash, nil
			} else if ctx.Err() != nil || errors.Is(err, ErrTooBusy) {
				return nil, err
			}
		}
		hasher.computer().Do(most.Without(mine), secret)
	}
	return nil, nil
}

// matchEarly compares while the turn has not come, in a queue where nobody but clients waits: a flood of invented ids
// keeps none of them out. Only success comes of it, so that it tells nothing to those who have no right secret.
func (a *ClientAuthenticator) matchEarly(ctx context.Context, hashes, secrets [][]byte) <-chan []byte {
	if len(hashes) == 0 {
		return nil
	}
	found := make(chan []byte, 1)
	go func() {
		defer func() { _ = recover() }() // a hasher that panics does so again in the request's own turn
		for _, hash := range hashes {
			for _, secret := range secrets {
				if a.hasher().Compare(ctx, hash, secret) == nil {
					found <- hash
					return
				}
			}
		}
	}()
	return found
}

// hasher is Hasher, or compares with what that is and adds what it lacks.
func (a *ClientAuthenticator) hasher() *SecretHasher {
	if hasher, ok := a.Hasher.(*SecretHasher); ok {
		return hasher
	}
	a.once.Do(func() {
		a.own = NewSecretHasher()
		a.own.foreign = a.Hasher
	})
	return a.own
}
