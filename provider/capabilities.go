package provider

import (
	"context"
	"time"

	"github.com/ory/fosite"

	"fosite-mcp/provider/client"
)

// What a client, a store, a session or a strategy may have besides fosite's interfaces. Each is looked for where it is of use; without it
// the server does what is said here. Declare which of them your type has, so that the compiler notices a method that has
// another signature:
//
//	var _ provider.SecretUseStore = (*MyStore)(nil)

// ClientWithAuthMethod tells how a client authenticates. One that is registered for private_key_jwt is refused with a secret.
// Without it the client authenticates by secret.
type ClientWithAuthMethod interface {
	GetTokenEndpointAuthMethod() string
}

// ClientWithAssertionIssuer tells whose assertions the client authenticates with (RFC 7523 §3): the iss and sub of another issuer, and
// whether one counts until it expires. An empty issuer is the client itself, and so is one without the method.
type ClientWithAssertionIssuer interface {
	GetAssertionIssuer() (issuer, subject string, reusable bool)
}

// ClientWithUsedSecret wants to know by which of its secrets a request has authenticated. Without it nobody is told.
type ClientWithUsedSecret interface {
	AuthenticatedWith(hash []byte)
}

// ClientWithStatus tells whether a client is disabled: its tokens then allow no MCP tool. Without it the client is enabled.
type ClientWithStatus interface {
	IsDisabled() bool
}

// SelfRegisteredClient tells whether a client has registered itself (RFC 7591): it then has to name its redirect URI in each
// authorization request. Without it an administrator has registered the client.
type SelfRegisteredClient interface {
	IsDynamicallyRegistered() bool
}

// SecretUseStore acts on the use of a secret, for instance by ending the one before it. hash is nil for a client that proved
// its identity with a key. Without it a use has no consequences.
type SecretUseStore interface {
	SecretUsed(ctx context.Context, client fosite.Client, hash []byte) error
}

// SlowSecretStore may hold imported hashes, which take long to compare. It calls each for all of them, those of one client one
// after the other. Without it a refusal costs as much as the slowest comparison so far.
type SlowSecretStore interface {
	EachSlowSecret(ctx context.Context, each func(clientID string, hash []byte)) error
}

// TokenRevokingStore ends a client's token and everything issued with it in one durable step, and keeps a record of it. It
// answers the client that the token was issued to, and does nothing when it is another one; [fosite.ErrNotFound] when there is
// no such token. A token that has ended still ends what came of it. Without it the tokens are revoked by their request.
type TokenRevokingStore interface {
	RevokeOwnToken(ctx context.Context, kind fosite.TokenType, signature, clientID string) (owner string, err error)
}

// TokenGrantStore remembers the grant of a token which has ended. It answers [fosite.ErrNotFound] when there is no such token.
// Without it the server asks for the token as an introspection does.
type TokenGrantStore interface {
	TokenGrant(ctx context.Context, kind fosite.TokenType, signature string) (clientID, requestID string, err error)
}

// ReuseRevokingStore ends a grant whose code or refresh token was used again, in one durable step, and keeps a record of why.
// action is [CodeReused] or [RefreshReused]. It tells whether anything was alive until now. Without it the tokens are revoked by
// their request.
type ReuseRevokingStore interface {
	RevokeReused(ctx context.Context, action string, grant fosite.Requester, signature string) (ended bool, err error)
}

// AtomicStore runs fn in a transaction, and runs it again when the transaction lost against another one. Without it a grant
// uses the transactions that fosite knows, if the store has any.
type AtomicStore interface {
	Atomically(ctx context.Context, fn func(context.Context) error) error
}

// IssuerRuleStore has the rules about issuers whose assertions are exchanged for tokens (RFC 7523 §2.1): those about one issuer
// that are in force, in the order in which they are tried. Each has a Trust. Without it there is no such exchange.
type IssuerRuleStore interface {
	RulesOfIssuer(ctx context.Context, issuer string) ([]*client.Client, error)
}

// KeyDiscoverer is a fosite.JWKSFetcherStrategy that finds the jwks_uri of an issuer in what that publishes. Its errors are outages.
// Without it each rule about an issuer needs its keys, or their place.
type KeyDiscoverer interface {
	DiscoverKeys(ctx context.Context, issuer string) (jwksURI string, err error)
}

// SessionOfAssertion keeps whose assertion was exchanged for the token: its iss and sub. Without it nothing is exchanged.
type SessionOfAssertion interface {
	SetAsserted(issuer, subject string)
}

// SigningKeyStore keeps the keys that sign JWT access tokens. [NewSigningKeys] needs one. The keys are one text, and private halves in
// it are encrypted.
type SigningKeyStore interface {
	// KeySet is the text and its revision; nothing and 0 if there is none.
	KeySet(ctx context.Context) (keys []byte, revision int64, err error)
	// ReplaceKeySet stores another text under the next revision, if revision is still that of the stored one. Of several calls
	// with one revision exactly one succeeds.
	ReplaceKeySet(ctx context.Context, revision int64, keys []byte) (replaced bool, err error)
	// LastTokenEnd is when the last of all access tokens ends that are stored; zero: there is none.
	LastTokenEnd(ctx context.Context) (time.Time, error)
}

// SessionWithSubjectID names the subject together with who has named it, where that is not this server: the sub_id of a JWT.
// Without it the sub alone is in a JWT.
type SessionWithSubjectID interface {
	SubjectID() map[string]string
}

// SessionWithRule keeps the rule by which a client got its token for an identity assertion, so that the store ends the token with
// the rule. Without it clients cannot exchange any.
type SessionWithRule interface {
	SetRule(id string, version, epoch int64)
}

// ExpiringClient is a client that ends by itself, at a time; zero: it does not.
type ExpiringClient interface {
	GetExpiresAt() time.Time
}

// SessionWithGrantEnd says when its whole grant ends. Without it only the single tokens end.
type SessionWithGrantEnd interface {
	GetGrantExpiresAt() time.Time
	SetGrantExpiresAt(time.Time)
}

// SessionWithGroupsEnd has the groups that a person had at the login, and tells when they count no more if they count for maxAge;
// zero: never. Without it the groups count as long as the grant.
type SessionWithGroupsEnd interface {
	GroupsEnd(maxAge time.Duration) time.Time
	DropGroups()
}

// CheckingStrategy is [TokenStrategy], or a type that embeds one. With another strategy every token is checked as often as it
// is asked for, and no token is looked for that was made with a missing secret.
type CheckingStrategy interface {
	WithToken(ctx context.Context, token string) (_ context.Context, signature string)
	MissingSecret(ctx context.Context, kind fosite.TokenType) error

	checked(ctx context.Context, token string) checkedToken
	made(ctx context.Context, kind fosite.TokenType, token string) bool
	expired(r fosite.Requester, kind fosite.TokenType, fallback time.Duration) bool
}

var (
	_ SessionWithGrantEnd  = (*Session)(nil)
	_ SessionWithSubjectID = (*Session)(nil)
	_ SessionWithGroupsEnd = (*Session)(nil)
	_ SessionOfAssertion   = (*Session)(nil)
	_ SessionWithRule      = (*Session)(nil)
	_ KeyDiscoverer        = (*jwksFetcher)(nil)
	_ CheckingStrategy     = (*TokenStrategy)(nil)
)
