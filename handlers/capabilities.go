package handlers

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"
)

// What a provider, a client, a session, an error or a writer may have besides fosite's and Go's interfaces. Each is looked for
// where it is of use; without it the endpoints do what is said here. Declare which of them your type has, so that the compiler
// notices a method that has another signature:
//
//	var _ handlers.PersonSession = (*MySession)(nil)

// ClientAuthenticator authenticates clients; fosite.Fosite and provider.Provider do. Without it set
// [Server.AuthenticateIntrospection].
type ClientAuthenticator interface {
	AuthenticateClient(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error)
}

var _ ClientAuthenticator = (*fosite.Fosite)(nil)

// CompositionChecker is a handler that knows what else its composition may hold. [Server.Mount] returns its error. Those of package
// provider are such handlers.
type CompositionChecker interface {
	CheckComposition() error
}

// CheckedRequest is an authorization request that an [AuthorizationChecker] has returned. Nobody is asked to log in for
// another one.
type CheckedRequest interface {
	ChecksAuthorizationRequests()
}

// UncheckedRedirect is an authorization request that may say that nobody has checked where its redirect URI leads. What goes
// wrong before a person has answered is then shown at the browser and not sent there: otherwise whoever describes a client of
// their own can lead browsers anywhere by a link to this server (RFC 9700 §4.11.2). Without it the redirect URI counts as checked.
type UncheckedRedirect interface {
	RedirectIsUnchecked() bool
}

// AuthorizationChecker says that NewAuthorizeRequest returns only requests that are valid in every respect, resources and
// PKCE included, with the resolved resources for the requested audience. provider.AuthorizePolicy does, and what embeds it.
// There is no Login without it.
type AuthorizationChecker interface {
	ChecksAuthorizationRequests()
}

// ResourceServerClient names the resources (RFC 8707) whose resource server the client is. Without it there are none, and the
// client may introspect its own tokens only.
type ResourceServerClient interface {
	GetIntrospects() []string
}

// NamedClient has a name for people: client_name (RFC 7591). Without it there is none.
type NamedClient interface {
	GetName() string
}

// ExpiringClient ends at a time, and its tokens with it: they are active until then at most. Without it, or at the zero time, a client
// has no end.
type ExpiringClient interface {
	GetExpiresAt() time.Time
}

// PersonSession can say whose it is. No login is possible without it.
type PersonSession interface {
	SetPerson(subject, username string, groups []string, authenticatedAt time.Time)
}

// ExtraClaimsSetter keeps members of a host's own, see [Decision]. Without it a decision with Extra is an error.
type ExtraClaimsSetter interface {
	SetExtraClaims(claims map[string]any)
}

// GroupsSession tells which groups the person is in: the member groups of an introspection answer. Without it there is none.
type GroupsSession interface {
	GetGroups() []string
}

// GroupsTimeSession keeps when the groups were looked up. Without it they count as long as the grant.
type GroupsTimeSession interface {
	SetGroupsAt(at time.Time)
}

// AuthenticatedSession tells when the person has proven who they are: the member auth_time (RFC 9470 §6.2). Without it there is
// none.
type AuthenticatedSession interface {
	GetAuthenticatedAt() time.Time
}

// BusyError is an error that may say to come back later, with nothing broken. Other outages are logged as errors.
type BusyError interface {
	error
	Busy() bool
}

// BusyWriter wants to know that the answer is no failure of the server though its status is 503, see [TellBusy].
type BusyWriter interface {
	Busy()
}
