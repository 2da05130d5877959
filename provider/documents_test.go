package provider

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fosite-mcp/provider/client"

	jose "github.com/go-jose/go-jose/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

const documentURL = "https://app.example.com/oauth/client.json"

func goodDocument() map[string]any {
	return map[string]any{
		"client_id": documentURL, "client_name": "Example", "client_uri": "https://app.example.com/",
		"redirect_uris": []string{"https://app.example.com/callback", "http://127.0.0.1/callback"},
	}
}

// documentStore holds one client or none.
type documentStore struct {
	mu     sync.Mutex
	stored *client.Client
	err    error
}

func (s *documentStore) Documented(context.Context, string) (*client.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored == nil && s.err == nil {
		return nil, fosite.ErrNotFound
	}
	return s.stored, s.err
}

func (s *documentStore) KeepDocumented(_ context.Context, c *client.Client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored = c
	return s.err
}

// website answers for all sites, and counts.
type website struct {
	requests atomic.Int64
	answer   func(*http.Request) (*http.Response, error)
}

func (w *website) RoundTrip(r *http.Request) (*http.Response, error) {
	w.requests.Add(1)
	return w.answer(r)
}

func (w *website) serve(document map[string]any, header ...string) {
	body := okay(json.Marshal(document))
	w.answer = func(*http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(bytes.NewReader(body))}, nil
	}
}

func newDocuments(t *testing.T, change func(*DocumentOptions)) (*ClientDocuments, *website, *documentStore, *time.Time) {
	t.Helper()
	now, store, site := assertionNow, &documentStore{}, &website{}
	site.serve(goodDocument())
	o := DocumentOptions{
		Store: store, Hosts: []string{"*"}, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		Rules: client.DynamicRules{
			Rules:         client.Rules{Scopes: []string{"mcp:search"}, Resources: []string{"https://docs.example.com/mcp"}, DefaultResource: "https://docs.example.com/mcp"},
			RedirectHosts: []string{"vscode.dev"}, RedirectSchemes: []string{"cursor"},
		},
	}
	if change != nil {
		change(&o)
	}
	d, err := NewClientDocuments(o)
	if err != nil {
		t.Fatal(err)
	}
	d.guarded.Transport = site
	return d, site, store, &now
}

func TestDocumentDescribesAClient(t *testing.T) {
	d, _, store, _ := newDocuments(t, nil)
	found, err := d.Client(t.Context(), documentURL)
	if err != nil {
		t.Fatal(err, debugOf(err))
	}
	c := client.Of(found)
	if c.ID != documentURL || c.Name != "Example" || c.RegisteredBy != client.MetadataDocument || !c.IsPublic() || c.DocumentHost() != "app.example.com" {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff([][]string{{"authorization_code", "refresh_token"}, {"mcp:search"}, {"https://docs.example.com/mcp"}}, [][]string{c.GrantTypes, c.Scope, c.Audience}); diff != "" {
		t.Error(diff)
	}
	if store.stored != nil {
		t.Error("it was stored before anybody consented")
	}
	if err := d.Keep(t.Context(), found); err != nil || store.stored == nil {
		t.Errorf("keep: %v, %v", store.stored, err)
	}
}

// What an administrator has decided stays, and what the document says follows the document.
func TestDocumentAndAdministrator(t *testing.T) {
	d, site, store, now := newDocuments(t, nil)
	store.stored = &client.Client{
		ID: documentURL, Name: "Old name", Owner: "the search team", Status: client.Active, Version: 7, RegisteredBy: client.MetadataDocument,
		AccessTokenLifespan: time.Hour, RedirectURIs: []string{"https://old.example.com/"},
	}
	c := client.Of(okay(d.Client(t.Context(), documentURL)))
	if c.Name != "Example" || len(c.RedirectURIs) != 2 || c.Owner != "the search team" || c.AccessTokenLifespan != time.Hour || c.Version != 7 {
		t.Errorf("%+v", c)
	}
	fetched := site.requests.Load()
	for name, change := range map[string]func(*client.Client){
		"disabled":  func(c *client.Client) { c.Status = client.Disabled },
		"deleted":   func(c *client.Client) { c.Status = client.Deleted },
		"expired":   func(c *client.Client) { c.ExpiresAt = now.Add(-time.Second) },
		"another's": func(c *client.Client) { c.RegisteredBy = "" },
	} {
		after := *c
		change(&after)
		store.stored = &after
		_, err := d.Client(t.Context(), documentURL)
		wantHint(t, name, err, errDocument, "An administrator has shut this application out")
	}
	if site.requests.Load() != fetched {
		t.Error("the document of a client that is shut out was fetched")
	}
	store.err = errors.New("the database is gone")
	if _, err := d.Client(t.Context(), documentURL); !errors.Is(err, fosite.ErrTemporarilyUnavailable) {
		t.Errorf("an outage: %v", err)
	}
}

func wantHint(t *testing.T, name string, err error, want *fosite.RFC6749Error, hint string) {
	t.Helper()
	known := fosite.ErrorToRFC6749Error(err)
	if err == nil || known.ErrorField != want.ErrorField || known.CodeField != want.CodeField || !strings.Contains(known.HintField, hint) {
		t.Errorf("%s: %v %d %q, want %s %d …%s…", name, err, known.CodeField, known.HintField, want.ErrorField, want.CodeField, hint)
	}
}

func TestDocumentRefused(t *testing.T) {
	with := func(name string, value any) map[string]any {
		document := goodDocument()
		if document[name] = value; value == nil {
			delete(document, name)
		}
		return document
	}
	privateKey := json.RawMessage(okay(jose.JSONWebKey{Key: assertionKeys().p256}.MarshalJSON()))
	for name, test := range map[string]struct {
		document map[string]any
		hint     string
	}{
		"another client_id":    {with("client_id", documentURL+"?"), "client_id must be the URL of the document"},
		"its host in capitals": {with("client_id", "https://APP.example.com/oauth/client.json"), "client_id must be"},
		"no client_id":         {with("client_id", nil), "client_id must be"},
		"no name":              {with("client_name", nil), "client_name is missing"},
		"no redirect":          {with("redirect_uris", nil), "redirect_uris is missing"},
		"a secret":             {with("client_secret", "s3cret"), "client_secret must not stand in a document"},
		"a secret's end":       {with("client_secret_expires_at", 0), "client_secret_expires_at must not"},
		"auth by secret":       {with("token_endpoint_auth_method", "client_secret_basic"), "must be none or private_key_jwt"},
		"a script":             {with("redirect_uris", []string{"javascript:alert(1)"}), "redirect_uris/0 must"},
		"a foreign redirect":   {with("redirect_uris", []string{"https://evil.example.net/callback"}), "registration.redirect_hosts"},
		"a foreign scheme":     {with("redirect_uris", []string{"other://x/callback"}), "registration.redirect_schemes"},
		"machines":             {with("grant_types", []string{"client_credentials"}), "grant_types holds none"},
		"a symmetric key":      {with("jwks", map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "c2VjcmV0"}}}), "jwks/keys/0"},
		"a private key":        {with("jwks", map[string]any{"keys": []any{privateKey}}), "jwks/keys/0"},
		"keys over http":       {with("jwks_uri", "http://app.example.com/jwks.json"), "jwks_uri must use https"},
		"too large":            {with("client_uri", strings.Repeat("x", 5<<10)), "longer than 5 KiB"},
	} {
		d, site, store, _ := newDocuments(t, nil)
		site.serve(test.document)
		_, err := d.Client(t.Context(), documentURL)
		wantHint(t, name, err, errDocument, test.hint)
		site.serve(goodDocument())
		if _, err := d.Client(t.Context(), documentURL); err != nil {
			t.Errorf("%s: the refusal was remembered: %v", name, err)
		}
		if store.stored != nil {
			t.Errorf("%s: it was stored", name)
		}
	}
}

func TestDocumentAnswerRefused(t *testing.T) {
	answer := func(status int, contentType, body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}, "Location": {"https://169.254.169.254/"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
		}
	}
	good := string(okay(json.Marshal(goodDocument())))
	for name, test := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		want   *fosite.RFC6749Error
		hint   string
	}{
		"a redirect":      {answer(302, "application/json", good), errDocument, "answered 302"},
		"not found":       {answer(404, "application/json", good), errDocument, "answered 404"},
		"a web page":      {answer(200, "text/html", good), errDocument, "not application/json"},
		"no type":         {answer(200, "", good), errDocument, "not application/json"},
		"not JSON":        {answer(200, "application/json", "client"), errDocument, "cannot be used"},
		"a list":          {answer(200, "application/json", "["+good+"]"), errDocument, "cannot be used"},
		"twice a name":    {answer(200, "application/json", strings.Replace(good, "{", `{"client_id":"https://evil.example.com/",`, 1)), errDocument, "cannot be used"},
		"a broken server": {answer(503, "application/json", good), errDocumentUnreachable, "cannot be fetched"},
		"no server":       {func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused by 10.1.2.3") }, errDocumentUnreachable, "cannot be fetched"},
		"a forbidden place": {func(*http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%w: 10.1.2.3 is not one", errForbiddenTarget)
		}, errDocumentUnreachable, "cannot be fetched"},
	} {
		var logged bytes.Buffer
		d, site, _, _ := newDocuments(t, func(o *DocumentOptions) { o.Log = slog.New(slog.NewTextHandler(&logged, nil)) })
		site.answer = test.answer
		_, err := d.Client(t.Context(), documentURL)
		wantHint(t, name, err, test.want, test.hint)
		if strings.Contains(fosite.ErrorToRFC6749Error(err).HintField, "10.1.2.3") {
			t.Errorf("%s: a stranger learns an address of this network: %v", name, err)
		}
		if !strings.Contains(logged.String(), documentURL) || !strings.Contains(logged.String(), "reason=") {
			t.Errorf("%s: the log does not say why: %s", name, &logged)
		}
	}
	d, site, _, _ := newDocuments(t, nil)
	site.answer = answer(200, "application/client+json", good)
	if _, err := d.Client(t.Context(), documentURL); err != nil {
		t.Errorf("a type of its own that is JSON: %v", err)
	}
}

func TestDocumentURLRefused(t *testing.T) {
	d, site, _, _ := newDocuments(t, func(o *DocumentOptions) {
		o.Hosts, o.DeniedHosts = []string{"*.example.com", "example.org"}, []string{"bad.example.com"}
	})
	for id, hint := range map[string]string{
		"https://app.example.com":                             "must have a path",
		"https://app.example.com/":                            "must have a path",
		"https://app.example.com/a/../client.json":            "normal form",
		"https://app.example.com/a/%2e%2e/client.json":        "normal form",
		"https://app.example.com/client.json#x":               "fragment",
		"https://user:secret@app.example.com/c":               "user name",
		"https://app.example.com/" + strings.Repeat("x", 600): "longer than 512",
		"https://bad.example.com./client.json":                "dot at its end",
		"https://other.net/client.json":                       "not let in here",
		"https://example.com/client.json":                     "not let in here",
		"https://app.example.org/client.json":                 "not let in here",
		"https://bad.example.com/client.json":                 "not let in here",
		"https://notexample.com/client.json":                  "not let in here",
	} {
		_, err := d.Client(t.Context(), id)
		wantHint(t, id, err, errDocument, hint)
	}
	if site.requests.Load() != 0 {
		t.Error("a document was fetched that must not be")
	}
}

// A host that is denied lets nobody in by a key either, and is not asked.
func TestDocumentOfADeniedHostAuthenticatesNobody(t *testing.T) {
	key, document := assertionKeys().p256, goodDocument()
	document["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{publicJWK(key)}}
	before, site, _, _ := newDocuments(t, nil)
	site.serve(document)
	v, _ := verifierFor(okay(before.Client(t.Context(), documentURL)))
	v.documents, site, _, _ = newDocuments(t, func(o *DocumentOptions) { o.DeniedHosts = []string{"app.example.com"} })
	site.serve(document)
	claims := goodClaims(claimSet{"iss": documentURL, "sub": documentURL})
	_, err := v.authenticate(t.Context(), assertionForm(signAssertion(t, "ES256", key, "", claims)))
	wantError(t, err, fosite.ErrInvalidClient, "metadata document of the client cannot be used")
	if site.requests.Load() != 0 {
		t.Error("the document was fetched")
	}
}

// Whoever stops to read documents lets nobody in by one that was read before.
func TestDocumentsSwitchedOff(t *testing.T) {
	d, _, _, _ := newDocuments(t, nil)
	stored := okay(d.Client(t.Context(), documentURL))
	_, store := verifierFor(stored)
	policy := &AuthorizePolicy{Clients: store}
	if _, err := policy.client(t.Context(), documentURL); !errors.Is(err, errUnknownClient) {
		t.Errorf("error = %v", err)
	}
	policy.Documents = d
	if _, err := policy.client(t.Context(), documentURL); err != nil {
		t.Error(err)
	}
}

// The redirect URI of a site on a port of its own is its own; that of another port is not.
func TestDocumentOnAPort(t *testing.T) {
	const at = "https://app.example.com:8443/client.json"
	for uri, want := range map[string]bool{"https://app.example.com:8443/callback": true, "https://app.example.com:9443/callback": false, "https://app.example.com/callback": false} {
		d, site, _, _ := newDocuments(t, nil)
		document := goodDocument()
		document["client_id"], document["redirect_uris"] = at, []string{uri}
		site.serve(document)
		if _, err := d.Client(t.Context(), at); (err == nil) != want {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// Nothing is fetched from this machine or its network, whatever name leads there.
func TestDocumentOnlyFromThePublicInternet(t *testing.T) {
	var requests atomic.Int64
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	defer server.Close()
	port := server.URL[strings.LastIndexByte(server.URL, ':'):]
	d, _, _, _ := newDocuments(t, nil)
	d.guarded = guardedHTTPClient(reach{})
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "0.0.0.0", "10.0.0.1"} {
		if _, err := d.Client(t.Context(), "https://"+host+port+"/client.json"); err == nil {
			t.Errorf("%s was fetched", host)
		}
	}
	if requests.Load() != 0 {
		t.Error("this machine was asked")
	}
}

func TestDocumentIsRememberedWithinBounds(t *testing.T) {
	for control, life := range map[string]time.Duration{
		"": 15 * time.Minute, "max-age=600": 10 * time.Minute, "max-age=1": 5 * time.Minute, "no-store": 5 * time.Minute, "max-age=99999999": time.Hour,
	} {
		d, site, _, now := newDocuments(t, nil)
		site.serve(goodDocument(), "Cache-Control", control)
		for _, step := range []struct {
			later time.Duration
			want  int64
		}{{0, 1}, {life - time.Second, 1}, {time.Second, 2}} {
			*now = now.Add(step.later)
			if _, err := d.Client(t.Context(), documentURL); err != nil || site.requests.Load() != step.want {
				t.Errorf("%q, %v later: %d requests, %v; want %d", control, step.later, site.requests.Load(), err, step.want)
			}
		}
	}
}

func TestDocumentLimits(t *testing.T) {
	busy := fosite.ErrTemporarilyUnavailable.WithHint("too many")
	d, site, _, _ := newDocuments(t, func(o *DocumentOptions) { o.Allow = func(context.Context) error { return busy } })
	if _, err := d.Client(t.Context(), documentURL); !errors.Is(err, busy) || site.requests.Load() != 0 {
		t.Errorf("beyond the limit: %v, %d requests", err, site.requests.Load())
	}

	// A hundred people who come at once are one fetch, and slow sites hold up no more than sixteen.
	synctest.Test(t, func(t *testing.T) {
		d, site, _, _ := newDocuments(t, nil)
		var now, most atomic.Int64
		good := site.answer
		site.answer = func(r *http.Request) (*http.Response, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			time.Sleep(time.Second)
			return good(r)
		}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				if _, err := d.Client(t.Context(), documentURL); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() { _, _ = d.Client(t.Context(), fmt.Sprintf("https://slow%d.example.com/client.json", i)) })
		}
		all.Wait()
		if n := most.Load(); n != fetchesAtOnce {
			t.Errorf("%d fetches at once", n)
		}
		if n := site.requests.Load(); n > 101 {
			t.Errorf("%d requests", n)
		}
	})
}

// A host that does not answer holds up its own applications alone.
func TestDocumentsOfOneSlowHostLeaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, site, _, _ := newDocuments(t, nil)
		var now, most atomic.Int64
		good := site.answer
		site.answer = func(r *http.Request) (*http.Response, error) {
			if r.URL.Hostname() == "app.example.com" {
				return good(r)
			}
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			time.Sleep(fetchTimeout)
			return nil, errors.New("it has not answered")
		}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				_, _ = d.Client(t.Context(), fmt.Sprintf("https://%s/%d.json", []string{"slow.example.com", "SLOW.example.com"}[i%2], i))
			})
		}
		synctest.Wait()
		asked := time.Now()
		if _, err := d.Client(t.Context(), documentURL); err != nil || time.Since(asked) > 0 {
			t.Errorf("another host: %v after %v", err, time.Since(asked))
		}
		all.Wait()
		if n := most.Load(); n != fetchesOfHostAtOnce {
			t.Errorf("%d fetches of one host at once", n)
		}
		d.slots.mu.Lock()
		defer d.slots.mu.Unlock()
		if len(d.slots.hosts) != 0 {
			t.Errorf("%d hosts are remembered", len(d.slots.hosts))
		}
	})
}

// The keys of a client are those that its document names today.
func TestDocumentNamesTheKeys(t *testing.T) {
	d, site, _, now := newDocuments(t, nil)
	withKey := func(key crypto.Signer) map[string]any {
		document := goodDocument()
		document["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{publicJWK(key)}}
		return document
	}
	keys := assertionKeys()
	site.serve(withKey(keys.p256))
	stored := okay(d.Client(t.Context(), documentURL))
	v, _ := verifierFor(stored)
	v.documents = d
	authenticate := func(jti string, key crypto.Signer) error {
		claims := goodClaims(claimSet{"iss": documentURL, "sub": documentURL, "jti": jti})
		_, err := v.authenticate(t.Context(), assertionForm(signAssertion(t, "ES256", key, "", claims)))
		return err
	}
	if err := authenticate("1", keys.p256); err != nil {
		t.Fatalf("its key: %v (%s)", err, debugOf(err))
	}
	other := okay(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	site.serve(withKey(other))
	if err := authenticate("2", keys.p256); err != nil {
		t.Errorf("what is remembered counts: %v (%s)", err, debugOf(err))
	}
	*now = now.Add(usualDocumentLife)
	v.now = func() time.Time { return assertionNow }
	wantError(t, authenticate("3", keys.p256), fosite.ErrInvalidClient, "no registered key verifies it")
	if err := authenticate("4", other); err != nil {
		t.Errorf("the new key: %v (%s)", err, debugOf(err))
	}
	*now = now.Add(usualDocumentLife)
	site.answer = func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }
	wantError(t, authenticate("5", other), fosite.ErrTemporarilyUnavailable, "")
	site.serve(map[string]any{"client_id": "https://evil.example.com/"})
	wantError(t, authenticate("6", other), fosite.ErrInvalidClient, "metadata document of the client cannot be used")
	site.serve(goodDocument())
	wantError(t, authenticate("7", other), fosite.ErrInvalidClient, "not registered for private_key_jwt")
}
