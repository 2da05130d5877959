// Package storagetest checks that a store keeps fosite's storage contract, what fosite's interfaces do not say
// included: what must come back with an error, what must outlive its own deletion, and who wins a race.
//
// Call [Run] from a test, with a function that makes an empty store; it works on any store:
//
//	func TestConformance(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T, setup storagetest.Setup) storagetest.Storage {
//			store := mystore.New(…)
//			for _, client := range setup.Clients {
//				store.Put(client)
//			} // and whatever else of setup applies to it: Sessions, Keys, RefreshGrace
//			return store
//		})
//	}
//
// What a store can do beyond [Storage] (transactions, pushed authorization requests, OpenID Connect, RFC 7523 keys, signing keys)
// is found by type assertion, as fosite does it, and tested too. A store that lets a rotated refresh token work for
// a while is also handed to [RunGrace], one that removes what has expired to [RunCleanUp].
//
// The rules are those that a server needs, which are stricter than fosite's own memory store: that one fails a score of
// them. Leave out what you cannot keep with go test -skip.
//
// Races run some hundred rounds; with go test -short a tenth of them, and with -count as many as you like. Use the race
// detector.
package storagetest

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"
	"github.com/ory/fosite/handler/rfc7523"
	fositestorage "github.com/ory/fosite/storage"
)

// Storage is what every store must implement.
type Storage interface {
	fosite.Storage
	oauth2.CoreStorage
	oauth2.TokenRevocationStorage
	pkce.PKCERequestStorage
}

// Setup is what a test wants of the store it runs on.
type Setup struct {
	// Clients are registered, and no others.
	Clients []*fosite.DefaultClient
	// Sessions are the types of sessions that will be stored, as pointers to zero values; one of them is no type of
	// fosite's. A store that knows only its own type cannot pass.
	Sessions []fosite.Session
	// RefreshGrace is how long a refresh token goes on working after it was rotated. Zero, always so in Run: it is
	// inactive at once.
	RefreshGrace time.Duration
	// Now is the store's clock; nil, always so except in RunCleanUp: time.Now.
	Now func() time.Time
	// Keys are trusted for the RFC 7523 authorization grant. A store without rfc7523.RFC7523KeyStorage ignores them.
	Keys []TrustedKey
}

// TrustedKey is a public key of an issuer, for assertions about a subject.
type TrustedKey struct {
	Issuer, Subject string
	Key             jose.JSONWebKey
	Scopes          []string
}

// NewStore makes an empty store, and has it closed by t.Cleanup. Several tests share it at the same time.
type NewStore func(t *testing.T, setup Setup) Storage

type testCase struct {
	rule string
	test func(t *testing.T, store Storage)
}

// Run tests the whole contract: RunRules and RunRaces.
func Run(t *testing.T, newStore NewStore) {
	RunRules(t, newStore)
	RunRaces(t, newStore)
}

// RunRaces tests what only shows when many use one code, token or assertion at the same time. It takes seconds.
func RunRaces(t *testing.T, newStore NewStore) {
	t.Run("Races", func(t *testing.T) { runCases(t, newStore(t, standardSetup()), raceCases) })
}

// RunRules tests one rule after the other, without races.
func RunRules(t *testing.T, newStore NewStore) {
	store := newStore(t, standardSetup())
	_, transactional := store.(fositestorage.Transactional)
	_, pushed := store.(fosite.PARStorage)
	_, openID := store.(openid.OpenIDConnectRequestStorage)
	_, keys := store.(rfc7523.RFC7523KeyStorage)
	_, signing := store.(signingKeyStore)
	for _, group := range []struct {
		name    string
		applies bool
		cases   []testCase
	}{
		{"Clients", true, clientCases},
		{"AccessTokens", true, accessTokenCases},
		{"RefreshTokens", true, refreshTokenCases},
		{"AuthorizeCodes", true, authorizeCodeCases},
		{"PKCE", true, pkceCases},
		{"RoundTrip", true, roundTripCases()},
		{"Revocation", true, revocationCases},
		{"Transactions", transactional, transactionCases},
		{"PushedAuthorization", pushed, pushedCases},
		{"OpenIDConnect", openID, openIDCases},
		{"AssertionKeys", keys, assertionKeyCases},
		{"SigningKeys", signing, signingKeyCases},
	} {
		if group.applies {
			t.Run(group.name, func(t *testing.T) { runCases(t, store, group.cases) })
		}
	}
}

// RunGrace tests, beside Run, a store that honours Setup.RefreshGrace.
func RunGrace(t *testing.T, newStore NewStore) {
	setup := standardSetup()
	setup.RefreshGrace = time.Hour
	t.Run("Grace", func(t *testing.T) { runCases(t, newStore(t, setup), graceCases) })
}

func runCases(t *testing.T, store Storage, cases []testCase) {
	if store == nil {
		t.Fatal("NewStore returned nil")
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			c.test(t, store)
		})
	}
}

// rounds is how often a race is run.
func rounds(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}
