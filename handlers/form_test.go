package handlers_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fosite-mcp/handlers"
)

// emptied adds every parameter that an endpoint knows once more, without a value.
func emptied(form string, add bool) string {
	if !add {
		return form
	}
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "client_assertion_type", "grant_type", "scope", "resource", "audience",
		"refresh_token", "code", "code_verifier", "redirect_uri", "token", "token_type_hint", "response_type", "response_mode", "state", "nonce", "prompt",
		"max_age", "code_challenge", "code_challenge_method", "request", "request_uri", "registration", "unknown"} {
		form += "&" + name + "=&" + name
	}
	return form
}

// RFC 6749 §3.1 and §3.2: a parameter without a value counts as left out, wherever it stands.
func TestAParameterWithoutAValueCountsAsLeftOut(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci", introspects(docs))
	f.app("app")
	for _, add := range []bool{false, true} {
		for name, r := range map[string]*request{
			"client credentials by Basic": post("/token", "grant_type", "client_credentials").basic("ci", secret),
			"client credentials by form":  post("/token", "grant_type", "client_credentials", "client_id", "ci", "client_secret", secret),
			"with scope and resource":     post("/token", "grant_type", "client_credentials", "scope", "mcp:search", "resource", docs).basic("ci", secret),
			"code":                        redeem(f.code()),
			"refresh":                     refresh(f.login().refresh),
			"introspection":               post("/introspect", "token", f.token("ci", secret)).basic("ci", secret),
			"revocation":                  post("/revoke", "token", f.token("ci", secret)).basic("ci", secret),
		} {
			r.body = emptied(r.body, add)
			if a := f.do(r); a.status != http.StatusOK {
				t.Errorf("%s, with empty parameters %v: %d %s", name, add, a.status, a.text)
			}
			// What is empty in the URL is no secret there.
			r.path, r.body = r.path+"?"+emptied("", add), "grant_type=&token="
			if a := f.do(r); a.status != http.StatusBadRequest || a.json["error_description"] != f.do(post("/token")).json["error_description"] {
				t.Errorf("%s, with nothing but empty parameters %v: %d %s", name, add, a.status, a.text)
			}
		}
		query := emptied(authorizeQuery().Encode(), add)
		if code := f.visit(query).sentBack(t, callback).Get("code"); code == "" {
			t.Errorf("no code, with empty parameters %v", add)
		}
		a := f.do(&request{http.MethodPost, basePath + "/authorize", contentForm, query, http.Header{}})
		location, err := url.Parse(a.header.Get("Location"))
		if want := authorizeQuery().Encode(); err != nil || location.RawQuery != want {
			t.Errorf("with empty parameters %v: Location %q, want ?%s", add, location, want)
		}
	}
}

// A host may have middleware in front that reads the form, for its log say.
func TestAFormMayHaveBeenReadBefore(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, basePath+"/token", strings.NewReader("grant_type=client_credentials&scope="))
	r.Header.Set("Content-Type", contentForm)
	r.SetBasicAuth("ci", secret)
	if err := r.ParseForm(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if f.router.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestAFormThatCannotBeDecodedIsRefused(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	for body, path := range map[string]string{"grant_type=%zz": "/token", "grant_type=client_credentials": "/token?x=%zz"} {
		r := &request{http.MethodPost, basePath + path, contentForm, body, http.Header{}}
		if a := f.do(r.basic("ci", secret)); a.status != http.StatusBadRequest || !strings.Contains(a.text, "The form cannot be decoded.") {
			t.Errorf("%s %s: %d %s", path, body, a.status, a.text)
		}
	}
}

// What is left out is missing, not empty.
func TestAnEmptyParameterThatIsNeededIsMissing(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci", introspects(docs))
	f.app("app")
	for _, c := range []struct{ left, empty *request }{
		{post("/token", "scope", "mcp:search").basic("ci", secret), post("/token", "scope", "mcp:search", "grant_type", "").basic("ci", secret)},
		{refresh("", "refresh_token", "-"), refresh("")},
		{redeem("", "code", "-"), redeem("")},
		{redeem(f.code(), "code_verifier", "-"), redeem(f.code(), "code_verifier", "")},
		{post("/introspect", "x", "y").basic("ci", secret), post("/introspect", "x", "y", "token", "").basic("ci", secret)},
		{post("/revoke", "x", "y").basic("ci", secret), post("/revoke", "x", "y", "token", "").basic("ci", secret)},
		{post("/token", "grant_type", "client_credentials"), post("/token", "grant_type", "client_credentials", "client_id", "", "client_secret", "")},
	} {
		left, empty := f.do(c.left), f.do(c.empty)
		if left.status != empty.status || left.text != empty.text || left.status < 400 {
			t.Errorf("%s: left out %d %s, empty %d %s", c.empty.body, left.status, left.text, empty.status, empty.text)
		}
	}
}

func TestTwoValuesAreRefusedWhateverStandsBesideThem(t *testing.T) {
	f := newFixture(t)
	secret := f.client("ci")
	for _, values := range [][]string{{"mcp:search", "mcp:search"}, {"mcp:search", "", "mcp:search"}} {
		parameters := []string{"grant_type", "client_credentials"}
		for value := range slices.Values(values) {
			parameters = append(parameters, "scope", value)
		}
		if a := f.do(post("/token", parameters...).basic("ci", secret)); a.status != http.StatusBadRequest || a.json["error"] != "invalid_request" {
			t.Errorf("scope %q: %d %s", values, a.status, a.text)
		}
	}
}

// A request that never got to an endpoint misses no parameter, so fosite's sentence about parameters would mislead.
func TestARefusalSaysWhatIsTrueAndNothingElse(t *testing.T) {
	f := newFixture(t)
	f.app("app")
	read := func(w http.ResponseWriter, _ *http.Request) { t.Error("the endpoint is called") }
	for name, c := range map[string]struct {
		handler http.Handler
		method  string
		want    string
	}{
		"404":                 {handlers.NotFound(), http.MethodGet, "There is nothing at this path."},
		"405 of a document":   {handlers.Reading(read), http.MethodPost, "Use GET."},
		"405 of the endpoint": {f.router, http.MethodGet, "Use POST."},
		"421":                 {handlers.Misdirected("Not this host."), http.MethodGet, "Not this host."},
	} {
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, basePath+"/token", nil))
		if want := `{"error":"invalid_request","error_description":"` + c.want + `"}`; w.Body.String() != want {
			t.Errorf("%s: %s, want %s", name, w.Body, want)
		}
	}
	for name, a := range map[string]answer{
		"405 of the page": f.do(&request{http.MethodDelete, basePath + "/authorize", "", "", http.Header{}}),
		"redirect URI":    f.authorize("redirect_uri", "https://evil.example.com/"),
	} {
		if strings.Contains(a.text, "missing a required parameter") || !strings.Contains(a.text, "Use GET or POST.") && !strings.Contains(a.text, "<p>The redirect_uri") {
			t.Errorf("%s: %s", name, a.text)
		}
	}
}
