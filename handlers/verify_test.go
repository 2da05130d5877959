package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fosite-mcp/provider"
	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
	"github.com/ory/fosite"
)

// verify is the request of a proxy about a request with these Authorization headers.
func verify(query string, authorization ...string) *request {
	r := &request{method: http.MethodGet, path: basePath + "/verify" + query, header: http.Header{}}
	if len(authorization) > 0 {
		r.header["Authorization"] = authorization
	}
	return r
}

func authHeaders(h http.Header) map[string]string {
	found := map[string]string{}
	for name := range h {
		if strings.HasPrefix(name, "X-Auth-") {
			found[name] = h.Get(name)
		}
	}
	return found
}

func TestForwardAuthLetsThrough(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	token := f.token("ci", secret)
	jti := f.introspect("docs", f.client("docs", introspects(docs)), token).json["jti"]
	want := map[string]string{"X-Auth-Subject": "ci", "X-Auth-Client-Id": "ci", "X-Auth-Scope": "mcp:search", "X-Auth-Token-Id": jti.(string)}
	for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS", "PROPFIND"} {
		for _, query := range []string{"", "?scope=mcp:search", "?resource=" + url.QueryEscape(docs) + "&scope=mcp%3Asearch"} {
			r := verify(query, "bearer "+token)
			r.method = method
			r.header.Set("X-Auth-Subject", "admin") // of the client's own
			a := f.do(r)
			if a.status != http.StatusNoContent || a.text != "" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s: %d %s", method, query, a.status, a.text)
			}
			if diff := cmp.Diff(want, authHeaders(a.header)); diff != "" {
				t.Errorf("%s %s: %s", method, query, diff)
			}
		}
	}
}

func TestForwardAuthRefuses(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci", func(c *client.Client) { c.Audience = []string{docs, other} })
	token, forOther := f.token("ci", secret), f.token("ci", secret, "resource", other)
	revoked := f.token("ci", secret)
	f.do(post("/revoke", "token", revoked).basic("ci", secret))
	metadata := `resource_metadata="https://docs.example.com/.well-known/oauth-protected-resource/authed/mcp"`
	for name, test := range map[string]struct {
		request *request
		status  int
		in      string // of the challenge
	}{
		"no token":           {verify(""), 401, "Bearer " + metadata},
		"another scheme":     {verify("", "Basic "+token), 401, metadata},
		"an empty one":       {verify("", "Bearer "), 401, metadata},
		"revoked":            {verify("", "Bearer "+revoked), 401, `error="invalid_token"`},
		"garbage":            {verify("", "Bearer garbage"), 401, `error="invalid_token"`},
		"for another":        {verify("", "Bearer "+forOther), 401, `error="invalid_token"`},
		"two headers":        {verify("", "Bearer "+token, "Bearer "+token), 401, `error="invalid_request"`},
		"malformed":          {verify("", "Bearer a b"), 401, `error="invalid_request"`},
		"9 KiB":              {verify("", "Bearer "+strings.Repeat("a", 9<<10)), 401, `error="invalid_token"`},
		"scope":              {verify("?scope=mcp:search+mcp:write", "Bearer "+token), 403, metadata + `, scope="mcp:search mcp:write", error="insufficient_scope"`},
		"unknown resource":   {verify("?resource=https://evil.example.com/mcp", "Bearer "+token), 400, ""},
		"no resource":        {verify("?resource=", "Bearer "+token), 400, ""},
		"a mistyped name":    {verify("?scopes=mcp:write", "Bearer "+token), 400, ""},
		"twice a scope":      {verify("?scope=mcp:search&scope=mcp:write", "Bearer "+token), 400, ""},
		"an empty scope":     {verify("?scope=", "Bearer "+token), 400, ""},
		"a quote in it":      {verify("?scope=%22x", "Bearer "+token), 400, ""},
		"a broken query":     {verify("?scope=%zz", "Bearer "+token), 400, ""},
		"token in the query": {verify("?access_token=" + token), 400, ""},
	} {
		a := f.do(test.request)
		challenge := a.header.Get("WWW-Authenticate")
		if a.status != test.status || !strings.Contains(challenge, test.in) || test.status == 400 && challenge != "" || len(authHeaders(a.header)) > 0 {
			t.Errorf("%s: %d %q %v %s, want %d …%s…", name, a.status, challenge, authHeaders(a.header), a.text, test.status, test.in)
		}
		if strings.Contains(a.text+challenge, token) {
			t.Errorf("%s: the answer repeats the token", name)
		}
	}
	f.clock = f.clock.Add(15 * 24 * time.Hour)
	if a := f.do(verify("", "Bearer "+token)); a.status != 401 {
		t.Errorf("expired: %d", a.status)
	}
}

// The scopes are those that the resource understands, and that the client may have today.
func TestForwardAuthNarrows(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.change = func(o *provider.Options) {
			o.Resources.Scopes = map[string][]string{docs: {"mcp:search"}, other: {"mcp:search", "mcp:write"}}
		}
	})
	secret := f.client("ci", func(c *client.Client) {
		c.Audience, c.Scope = []string{docs, other}, []string{"mcp:search", "mcp:write"}
	})
	token := f.token("ci", secret, "resource", docs, "resource", other, "scope", "mcp:search mcp:write")
	for resource, want := range map[string]string{docs: "mcp:search", other: "mcp:search mcp:write"} {
		if a := f.do(verify("?resource="+url.QueryEscape(resource), "Bearer "+token)); a.status != 204 || a.header.Get("X-Auth-Scope") != want {
			t.Errorf("%s: %d %q, want %q", resource, a.status, a.header.Get("X-Auth-Scope"), want)
		}
	}
	if a := f.do(verify("?scope=mcp:write", "Bearer "+token)); a.status != 403 {
		t.Errorf("a scope that means nothing at this resource: %d", a.status)
	}
}

// Two enterprises may call their people by the same names; who cannot be told apart is not let through.
func TestForwardAuthSaysWhoHasNamedTheSubject(t *testing.T) {
	const theirs = "https://idp.example.com"
	for name, test := range map[string]struct {
		subjectID any
		issuer    string
		status    int
	}{
		"this server":     {nil, "", 204},
		"this, by name":   {map[string]string{"format": "iss_sub", "iss": issuer, "sub": "joe"}, "", 204},
		"another issuer":  {map[string]any{"format": "iss_sub", "iss": theirs, "sub": "joe"}, theirs, 204},
		"another subject": {map[string]string{"format": "iss_sub", "iss": theirs, "sub": "ann"}, "", 401},
		"another format":  {map[string]string{"format": "opaque", "id": "joe"}, "", 401},
		"a text":          {"joe", "", 401},
	} {
		f := newFixture(t, func(f *fixture) {
			f.hooks = []provider.IntrospectionHook{func(_ context.Context, token fosite.AccessRequester) error {
				token.GetSession().(*provider.Session).Subject = "joe"
				if test.subjectID != nil {
					provider.AddClaim(token, "sub_id", test.subjectID)
				}
				return nil
			}}
		})
		r := verify("", "Bearer "+f.token("ci", f.client("ci")))
		r.header.Set("X-Auth-Subject-Issuer", "https://evil.example.com")
		a := f.do(r)
		if found := a.header.Get("X-Auth-Subject-Issuer"); a.status != test.status || found != test.issuer || a.status == 204 && a.header.Get("X-Auth-Subject") != "joe" {
			t.Errorf("%s: %d %v, want %d %q", name, a.status, authHeaders(a.header), test.status, test.issuer)
		}
	}
}

func TestForwardAuthInAnOutage(t *testing.T) {
	f := newFixture(t)
	token := f.token("ci", f.client("ci"))
	_ = f.close()
	a := f.do(verify("", "Bearer "+token))
	if a.status != 503 || a.header.Get("Retry-After") == "" || a.header.Get("WWW-Authenticate") != "" {
		t.Errorf("%d %v %s", a.status, a.header, a.text)
	}
	if a := f.do(verify("")); a.status != 401 {
		t.Errorf("without a token nothing has to be known: %d", a.status)
	}
}
