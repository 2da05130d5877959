package handlers

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fosite-mcp/handlers/resource"
	"fosite-mcp/internal/reqinfo"

	"github.com/ory/fosite"
)

// ForwardAuth is the endpoint by which proxies check tokens: auth_request of nginx, forward_auth of Caddy, ForwardAuth of Traefik.
type ForwardAuth struct {
	// Resources are those that a proxy may ask for. Required.
	Resources []string
	// Default is the one that it asks for when it names none; empty: it has to name one.
	Default string
}

// verify checks the bearer token of a request that a proxy holds back. The proxy's configuration says in the query for which
// resource, and which scopes it takes. 204 lets the request through; 401 and 403 are what the client gets to see, with a challenge
// (RFC 6750 §3, RFC 9728 §5.1); 503 says that nobody knows; 400 is a mistake in the configuration.
func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	identifier, scopes, mistake := s.ForwardAuth.asked(r.URL.RawQuery)
	if mistake != "" {
		writeOAuthError(w, fosite.ErrInvalidRequest.WithHint(mistake))
		return
	}
	guard := resource.Bearer{
		Verifier: &localVerifier{s, w, r, identifier}, Resource: identifier, Scopes: scopes,
		Logger: slog.New(slog.DiscardHandler), // the verifier has told
	}
	guard.Wrap(http.HandlerFunc(letThrough)).ServeHTTP(unauthorizedForBad{w}, r)
}

// asked reads what the proxy's configuration asks for, or says what is wrong with it. A parameter that is not known is a mistake: a
// scope that nobody looks at would let everybody in.
func (f *ForwardAuth) asked(rawQuery string) (identifier string, scopes []string, mistake string) {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return "", nil, "The query cannot be decoded."
	}
	for name, values := range query {
		if name != "resource" && name != "scope" || len(values) > 1 {
			return "", nil, "The query may hold resource and scope, once each; several scopes stand in one parameter, separated by spaces."
		}
	}
	identifier = f.Default
	if query.Has("resource") {
		identifier = query.Get("resource")
	}
	if _, err := resource.MetadataURL(identifier); err != nil || !slices.Contains(f.Resources, identifier) {
		return "", nil, "The parameter resource must be the URL of a resource of this server."
	}
	if scopes = strings.Fields(query.Get("scope")); query.Has("scope") && len(scopes) == 0 {
		return "", nil, "The parameter scope is empty; leave it out to take any token."
	}
	for _, scope := range scopes {
		if strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			return "", nil, "The parameter scope holds characters that no scope has (RFC 6749 §3.3)."
		}
	}
	return identifier, scopes, ""
}

// letThrough tells the proxy whose request it is.
func letThrough(w http.ResponseWriter, r *http.Request) {
	resource.SetIdentity(w.Header(), resource.TokenFromContext(r.Context()))
	w.WriteHeader(http.StatusNoContent)
}

// localVerifier is the resource server of one resource, in this process.
type localVerifier struct {
	server     *Server
	w          http.ResponseWriter
	r          *http.Request
	identifier string
}

// Verify implements [resource.Verifier].
func (v *localVerifier) Verify(ctx context.Context, token string) (*resource.Token, error) {
	if v.server.ReadAhead != nil {
		ctx = v.server.ReadAhead(ctx, token)
	}
	request, err := v.server.active(ctx, token, &localResourceServer{resources: []string{v.identifier}})
	if err != nil {
		v.server.explain(v.w, v.r, err) // which logs it
		return nil, err
	}
	if request == nil {
		return nil, resource.ErrInactive
	}
	found := &resource.Token{ClientID: request.GetClient().GetID(), Subject: request.GetSession().GetSubject(), Scope: request.GetGrantedScopes()}
	if found.Subject == "" {
		found.Subject = found.ClientID
	}
	if found.SubjectIssuer, err = v.subjectIssuer(request.GetSession(), found.Subject); err != nil {
		v.server.log().WarnContext(ctx, "a token is refused at verify: its session has a claim sub_id that is not of the format iss_sub for its subject", "client_id", found.ClientID)
		return nil, err
	}
	reqinfo.Note(ctx).Client = found.ClientID
	reqinfo.Note(ctx).Subject = found.Subject
	if v.server.TokenID != nil {
		found.ID = v.server.TokenID(ctx, token)
	}
	return found, nil
}

// subjectIssuer is who has named the subject, as the introspection endpoint would say.
func (v *localVerifier) subjectIssuer(session fosite.Session, subject string) (string, error) {
	extra, ok := session.(fosite.ExtraClaimsSession)
	if !ok {
		return "", nil
	}
	subjectID := extra.GetExtraClaims()["sub_id"]
	if subjectID == nil {
		return "", nil
	}
	encoded, err := json.Marshal(subjectID)
	if err != nil {
		return "", err
	}
	return resource.SubjectIssuer(encoded, subject, v.server.Issuer)
}

// localResourceServer is who asks: nobody has to authenticate, as the token itself comes along.
type localResourceServer struct {
	fosite.DefaultClient
	resources []string
}

// GetIntrospects implements [ResourceServerClient].
func (c *localResourceServer) GetIntrospects() []string { return c.resources }

// unauthorizedForBad answers 401 for a malformed header: to nginx every status but 401 and 403 is a failure of this server.
type unauthorizedForBad struct{ http.ResponseWriter }

func (w unauthorizedForBad) WriteHeader(status int) {
	if status == http.StatusBadRequest {
		status = http.StatusUnauthorized
	}
	w.ResponseWriter.WriteHeader(status)
}
