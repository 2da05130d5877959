package handlers

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"fosite-mcp/provider/client"
	"fosite-mcp/provider/client/strictjson"

	"github.com/gorilla/mux"
	"github.com/ory/fosite"
)

// Registrations keeps the clients that register themselves. storage.Store.Clients does.
type Registrations interface {
	// Register stores a client. A [BusyError] says that max clients that were never used are here already.
	Register(ctx context.Context, c *client.Client, max int) error
	// Find returns a client that lives, or [fosite.ErrNotFound].
	Find(ctx context.Context, id string) (*client.Client, error)
	// Reregister stores a changed client.
	Reregister(ctx context.Context, c *client.Client) error
	// Deregister ends a client, and every token of it.
	Deregister(ctx context.Context, id string) error
}

// Registration is dynamic client registration (RFC 7591) and its management (RFC 7592). All fields but InitialAccessToken and
// Allow are required.
type Registration struct {
	Clients Registrations
	Rules   client.DynamicRules
	// Endpoint is the URL of the registration endpoint.
	Endpoint string
	// InitialAccessToken is the bearer token that a registration needs; empty: anybody may register a client.
	InitialAccessToken string
	// MaxUnused is how many of these clients may wait for their first use. Delete them after a while: storage.Maintenance does.
	MaxUnused int
	// Allow limits how often an address may register or change a client; its error is the answer. nil: there is no limit.
	Allow func(w http.ResponseWriter, r *http.Request) *fosite.RFC6749Error
}

const (
	maxRegistration         = 16 << 10
	registrationTokenPrefix = "mcp_rt_"
)

// mountRegistration adds the registration endpoint, and that of each client.
func (s *Server) mountRegistration(r *mux.Router) {
	r.Handle("/register", corsForAnyOrigin.Handler(Methods(map[string]http.HandlerFunc{http.MethodPost: s.register}, use("Use POST."))))
	r.Handle("/register/{client_id}", Methods(map[string]http.HandlerFunc{
		http.MethodGet: s.managed(s.showRegistration), http.MethodPut: s.managed(s.changeRegistration), http.MethodDelete: s.managed(s.endRegistration),
	}, use("Use GET, PUT or DELETE.")))
}

// register is the registration endpoint (RFC 7591 §3).
func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	if s.tooMany(w, r) {
		return
	}
	if token := s.Registration.InitialAccessToken; token != "" && !client.MatchesFastHash(client.HashSecret(token), []byte(bearer(r))) {
		refuseBearer(w, "Registration needs the initial access token that the administrator hands out.")
		return
	}
	c, err := s.readRegistration(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	secret := ""
	if c.UsesSecret() {
		secret = client.NewSecret()
		c.Secrets = []client.Secret{{Hash: client.HashSecret(secret), Hint: secret[len(secret)-4:]}}
	}
	token := client.NewCredential(registrationTokenPrefix)
	c.RegistrationTokenHash = string(client.HashSecret(token))
	if err := s.Registration.Clients.Register(r.Context(), c, s.Registration.MaxUnused); err != nil {
		s.fail(w, r, registrationOutage(err))
		return
	}
	writeJSON(w, http.StatusCreated, s.registered(c, secret, token))
}

// tooMany refuses a request of an address that has written too often.
func (s *Server) tooMany(w http.ResponseWriter, r *http.Request) bool {
	if s.Registration.Allow == nil {
		return false
	}
	refused := s.Registration.Allow(w, r)
	if refused != nil {
		writeOAuthError(w, refused)
	}
	return refused != nil
}

// readRegistration reads the client that a request describes.
func (s *Server) readRegistration(w http.ResponseWriter, r *http.Request) (*client.Client, error) {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return nil, errClientMetadata.WithHint("Send the client's metadata as application/json.")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRegistration))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, refusal(http.StatusRequestEntityTooLarge, "The request is larger than 16 KiB.")
	case err != nil:
		return nil, errClientMetadata.WithHint("The request cannot be read.")
	}
	body, err := strictjson.Decode(raw)
	if err != nil {
		return nil, refusedMetadata(err)
	}
	c, err := s.Registration.Rules.Register(body)
	if err != nil {
		return nil, refusedMetadata(err)
	}
	return c, nil
}

// The errors of RFC 7591 §3.2.2.
var (
	errClientMetadata = &fosite.RFC6749Error{ErrorField: "invalid_client_metadata", DescriptionField: "The client metadata is not acceptable here.", CodeField: http.StatusBadRequest}
	errRedirectURI    = &fosite.RFC6749Error{ErrorField: "invalid_redirect_uri", DescriptionField: "A redirect URI is not acceptable here.", CodeField: http.StatusBadRequest}
)

// refusedMetadata names every member that is wrong, and the remedy.
func refusedMetadata(err error) error {
	var mistakes strictjson.Mistakes
	if !errors.As(err, &mistakes) {
		return errClientMetadata.WithHintf("The client's metadata %s.", err)
	}
	known, sentences := errRedirectURI, make([]string, len(mistakes))
	for i, mistake := range mistakes {
		name, _, _ := strings.Cut(strings.TrimPrefix(mistake.Pointer, "/"), "/")
		if name != "redirect_uris" {
			known = errClientMetadata
		}
		sentences[i] = name + " " + mistake.Detail
	}
	return known.WithHintf("%s.", strings.Join(sentences, "; "))
}

// registrationOutage is an error of the store. One that says that there are too many clients is no failure.
func registrationOutage(err error) error {
	if errors.Is(err, fosite.ErrNotFound) {
		return err
	}
	return fosite.ErrTemporarilyUnavailable.WithWrap(err)
}

// registered is RFC 7591 §3.2.1's answer, without nulls, which clients do not expect.
func (s *Server) registered(c *client.Client, secret, token string) map[string]any {
	answer := map[string]any{
		"client_id": c.ID, "client_name": c.Name, "client_id_issued_at": c.CreatedAt.Unix(),
		"redirect_uris": c.RedirectURIs, "grant_types": c.GrantTypes, "response_types": c.ResponseTypes,
		"token_endpoint_auth_method": c.TokenEndpointAuthMethod, "scope": strings.Join(c.Scope, " "),
		"registration_client_uri": s.Registration.Endpoint + "/" + url.PathEscape(c.ID), "registration_access_token": token,
	}
	if secret != "" {
		answer["client_secret"], answer["client_secret_expires_at"] = secret, 0
	}
	for name, value := range map[string]string{"jwks_uri": c.JWKSURI, "token_endpoint_auth_signing_alg": c.TokenEndpointAuthSigningAlg} {
		if value != "" {
			answer[name] = value
		}
	}
	if c.JWKS != nil {
		answer["jwks"] = c.JWKS
	}
	return answer
}

// managed lets the bearer of a client's registration access token through (RFC 7592 §3). An unknown client, and one that an
// administrator has registered, are refused like a wrong token (RFC 7592 §2.1).
func (s *Server) managed(endpoint func(w http.ResponseWriter, r *http.Request, c *client.Client, token string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && s.tooMany(w, r) {
			return
		}
		token := bearer(r)
		c, err := s.Registration.Clients.Find(r.Context(), mux.Vars(r)["client_id"])
		if err != nil && !errors.Is(err, fosite.ErrNotFound) {
			s.fail(w, r, registrationOutage(err))
			return
		}
		hash := client.HashSecret("") // of nobody
		if err == nil && c.Status == client.Active && c.RegisteredBy == client.DynamicRegistration && (c.ExpiresAt.IsZero() || s.now().Before(c.ExpiresAt)) {
			hash = []byte(c.RegistrationTokenHash)
		}
		if token == "" || !client.MatchesFastHash(hash, []byte(token)) {
			refuseBearer(w, "This needs the registration access token of the client.")
			return
		}
		endpoint(w, r, c, token)
	}
}

func (s *Server) showRegistration(w http.ResponseWriter, _ *http.Request, c *client.Client, token string) {
	writeJSON(w, http.StatusOK, s.registered(c, "", token))
}

// changeRegistration replaces all that a client is registered with (RFC 7592 §2.2), but for how it authenticates.
func (s *Server) changeRegistration(w http.ResponseWriter, r *http.Request, c *client.Client, token string) {
	changed, err := s.readRegistration(w, r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if changed.UsesSecret() != c.UsesSecret() || changed.IsPublic() != c.IsPublic() {
		s.fail(w, r, errClientMetadata.WithHint("token_endpoint_auth_method cannot change between a secret, a key and none; register another client."))
		return
	}
	after := c.Described(changed)
	if err := s.Registration.Clients.Reregister(r.Context(), after); err != nil {
		s.fail(w, r, registrationOutage(err))
		return
	}
	writeJSON(w, http.StatusOK, s.registered(after, "", token))
}

func (s *Server) endRegistration(w http.ResponseWriter, r *http.Request, c *client.Client, _ string) {
	if err := s.Registration.Clients.Deregister(r.Context(), c.ID); err != nil && !errors.Is(err, fosite.ErrNotFound) {
		s.fail(w, r, registrationOutage(err))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// bearer is the bearer token of a request (RFC 6750 §2.1), or empty.
func bearer(r *http.Request) string {
	token, ok := Credentials(r, "Bearer")
	if !ok {
		return ""
	}
	return token
}

func refuseBearer(w http.ResponseWriter, sentence string) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="registration", error="invalid_token"`)
	writeJSON(w, http.StatusUnauthorized, oauthError{"invalid_token", sentence})
}
