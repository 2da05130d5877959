package resource

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestJWTIsVerifiedWithEveryAlgorithm(t *testing.T) {
	a := newAuthorization()
	v := a.offline(t, func(c *JWTConfig) {
		c.Tools = map[string][]string{"mcp:search": {"search", "get_page"}, "mcp:read": {"get_page"}}
	})
	now := time.Now()
	for _, algorithm := range []string{algES256, algRS256, algEdDSA} {
		token, err := v.Verify(t.Context(), testKeys()[algorithm].token(now, map[string]any{
			"aud": []string{"https://other.example.com/", here}, "groups": []string{"staff"},
			"sub_id": map[string]string{"format": "iss_sub", "iss": "https://idp.example.com", "sub": "joe"},
		}))
		if err != nil {
			t.Errorf("%s: %v", algorithm, err)
			continue
		}
		if token.ID != "id-1" || token.ClientID != "ci" || token.Subject != "joe" || token.Issuer != issuer ||
			token.SubjectIssuer != "https://idp.example.com" || !token.HasScope("mcp:read") || !slices.Equal(token.Groups, []string{"staff"}) ||
			!slices.Equal(token.Tools, []string{"search", "get_page"}) || token.IssuedAt.Unix() != now.Unix() {
			t.Errorf("%s: %+v", algorithm, token)
		}
		var claims struct{ Exp int64 }
		if err := token.Claims(&claims); err != nil || claims.Exp != token.ExpiresAt.Unix() {
			t.Errorf("%s: claims %+v, error %v", algorithm, claims, err)
		}
	}
	if a.fetches() != 1 {
		t.Errorf("keys were fetched %d times, want once", a.fetches())
	}
}

func TestEd25519IsTakenUnderItsNewNameWhereThatIsListed(t *testing.T) {
	a := newAuthorization()
	key := testKeys()[algEdDSA]
	key.algorithm = algEd25519
	config := a.jwtConfig(t)
	a.keys, config.IgnoreRevocations = []testKey{key}, true
	if _, err := startedJWT(t, config).Verify(t.Context(), key.token(time.Now(), nil)); !errors.Is(err, ErrInactive) {
		t.Errorf("not listed: error %v", err)
	}
	config.Algorithms = []string{algEd25519}
	if _, err := startedJWT(t, config).Verify(t.Context(), key.token(time.Now(), nil)); err != nil {
		t.Errorf("listed: error %v", err)
	}
}

func TestClaimsThatAreRefused(t *testing.T) {
	a := newAuthorization()
	v := a.offline(t)
	now := time.Now()
	key := testKeys()[algES256]
	for _, edit := range []map[string]any{
		{"iss": issuer + "/"}, {"iss": nil}, {"iss": []string{issuer}}, {"iss": 1},
		{"aud": "https://other.example.com/"}, {"aud": nil}, {"aud": []string{}}, {"aud": here + "/"}, {"aud": 7},
		{"exp": now.Unix()}, {"exp": now.Unix() - 3600}, {"exp": nil}, {"exp": "soon"}, {"exp": 1e300}, {"exp": -1},
		{"nbf": now.Unix() + 120}, {"nbf": "now"},
		{"iat": nil}, {"iat": now.Unix() + 120},
		{"client_id": nil}, {"client_id": ""}, {"client_id": 5},
		{"sub": nil}, {"sub": ""}, {"jti": nil}, {"jti": ""}, {"scope": []string{"mcp:search"}},
		{"cnf": map[string]string{"jkt": "x"}},
		{"sub_id": map[string]string{"format": "opaque", "id": "joe"}},
	} {
		_, err := v.Verify(t.Context(), key.token(now, edit))
		if !errors.Is(err, ErrInactive) {
			t.Errorf("%v: error %v, want ErrInactive", edit, err)
		}
	}
	if _, err := v.Verify(t.Context(), key.token(now, nil)); err != nil {
		t.Errorf("as it should be: %v", err)
	}
}

func TestHeadersAndFormsThatAreRefused(t *testing.T) {
	a := newAuthorization()
	v := a.offline(t)
	now := time.Now()
	key, rsa, foreign := testKeys()[algES256], testKeys()[algRS256], testKeys()["other"]
	foreign.kid = key.kid
	good := key.token(now, nil)
	h, rest, _ := strings.Cut(good, ".")
	p, s, _ := strings.Cut(rest, ".")
	payload := string(must(decodePart(p)))
	header := func(text string) string { return key.raw(text, payload) }
	extra := func(name, value string) string {
		return header(`{"typ":"at+jwt","alg":"ES256","kid":"es","` + name + `":` + value + `}`)
	}
	last := s[:len(s)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", s[len(s)-1])+1)%64])
	for name, token := range map[string]string{
		"another type":         header(`{"typ":"JWT","alg":"ES256","kid":"es"}`),
		"a type in capitals":   header(`{"typ":"AT+JWT","alg":"ES256","kid":"es"}`),
		"no type":              header(`{"alg":"ES256","kid":"es"}`),
		"no key id":            header(`{"typ":"at+jwt","alg":"ES256"}`),
		"no algorithm":         header(`{"typ":"at+jwt","kid":"es"}`),
		"alg none":             strings.Join([]string{base64url([]byte(`{"typ":"at+jwt","alg":"none","kid":"es"}`)), p, ""}, "."),
		"HMAC":                 header(`{"typ":"at+jwt","alg":"HS256","kid":"es"}`),
		"a name in capitals":   header(`{"typ":"at+jwt","ALG":"ES256","kid":"es"}`),
		"alg twice":            header(`{"typ":"at+jwt","alg":"ES256","kid":"es","alg":"ES256"}`),
		"alg twice, escaped":   header(`{"typ":"at+jwt","alg":"ES256","kid":"es","\u0061lg":"ES256"}`),
		"twice, further below": extra("x", `{"a":[{"b":1,"b":2}]}`),
		"crit":                 extra("crit", `["exp"]`),
		"jwk":                  extra("jwk", `{}`),
		"jku":                  extra("jku", `"https://evil.example.com"`),
		"x5u":                  extra("x5u", `"https://evil.example.com"`),
		"b64":                  extra("b64", `false`),
		"an array as a header": header(`[]`),
		"null as a header":     header(`null`),
		"something behind":     header(`{"typ":"at+jwt","alg":"ES256","kid":"es"}{}`),
		"not UTF-8":            header("{\"typ\":\"at+jwt\",\"alg\":\"ES256\",\"kid\":\"es\",\"x\":\"\xff\"}"),
		"claim twice":          key.raw(`{"typ":"at+jwt","alg":"ES256","kid":"es"}`, strings.Replace(payload, "{", `{"aud":"`+here+`",`, 1)),
		"key of another kind":  rsa.raw(`{"typ":"at+jwt","alg":"RS256","kid":"es"}`, payload),
		"RSA with its own kid": key.raw(`{"typ":"at+jwt","alg":"ES256","kid":"rs"}`, payload),
		"another key":          foreign.token(now, nil),
		"two parts":            h + "." + p,
		"four parts":           good + "." + s,
		"no signature":         h + "." + p + ".",
		"another last bit":     h + "." + p + "." + last,
		"padding":              good + "==",
		"a line break":         h + "." + p + "." + s[:10] + "\n" + s[10:],
		"a longer signature":   good + "AAAA",
		"standard base64":      h + "." + p + ".+/" + s[2:],
		"too long":             key.token(now, map[string]any{"x": strings.Repeat("x", maxToken)}),
		"opaque":               "mcp_at_abc.def",
		"empty":                "",
	} {
		_, err := v.Verify(t.Context(), token)
		if !errors.Is(err, ErrInactive) {
			t.Errorf("%s: error %v, want ErrInactive", name, err)
		}
		if err != nil && s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("%s: the error shows a signature: %v", name, err)
		}
	}
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Errorf("as it should be: %v", err)
	}
	if _, err := v.Verify(t.Context(), extra("x5t", `"abc"`)); err != nil {
		t.Errorf("a parameter that nobody needs to know: %v", err)
	}
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// A token of somebody else makes nobody fetch keys.
func TestKeysAreFetchedOnlyForTokensOfTheIssuer(t *testing.T) {
	a := newAuthorization()
	v := a.offline(t)
	v.Verify(t.Context(), testKeys()["other"].token(time.Now(), map[string]any{"iss": "https://other.example.com"}))
	if a.fetches() != 0 {
		t.Error("the keys were fetched")
	}
}

// Whatever happens to the keys, only a clear no is ErrInactive.
func TestKeysThatCannotBeFetchedAreAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := a.offline(t)
		key := testKeys()[algES256]
		outage := func(when string) {
			t.Helper()
			if _, err := v.Verify(t.Context(), key.token(time.Now(), nil)); err == nil || errors.Is(err, ErrInactive) {
				t.Errorf("%s: error %v, want an outage", when, err)
			}
		}
		a.change(func() { a.keysFail = true })
		for range 10 {
			outage("keys were never fetched")
		}
		if a.fetches() != 1 {
			t.Errorf("fetched %d times at once", a.fetches())
		}
		a.change(func() { a.keysFail = false })
		time.Sleep(retryPause)
		verify(t, v, key.token(time.Now(), nil), true)

		a.change(func() { a.keysFail = true })
		for range int(staleKeys/time.Minute) - 1 {
			time.Sleep(time.Minute)
			verify(t, v, key.token(time.Now(), nil), true)
		}
		time.Sleep(2 * time.Minute)
		outage("keys are too old")
		a.change(func() { a.keysFail = false; a.keys = nil })
		time.Sleep(retryPause)
		outage("the server lists no key")
	})
}

func TestUnknownKeyIsFetchedOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorization()
		v := a.offline(t)
		a.change(func() { a.keysLag = 100 * time.Millisecond })
		verify(t, v, testKeys()[algES256].token(time.Now(), nil), true)
		unknown := testKeys()["other"].token(time.Now(), nil)
		for i := range 50 { // 5 seconds
			_, err := v.Verify(t.Context(), unknown)
			if fetched := i >= 49; err == nil || errors.Is(err, ErrInactive) != fetched {
				t.Errorf("at %d: error %v, ErrInactive must be %v", i, err, fetched)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if got := a.fetches(); got > 3 {
			t.Errorf("fetched %d times in 5 seconds", got)
		}
		a.change(func() { a.keys = append(a.keys, testKeys()["other"]) })
		time.Sleep(fetchPause)
		before, done := a.fetches(), make(chan error)
		for range 20 {
			go func() { _, err := v.Verify(t.Context(), unknown); done <- err }()
		}
		for range 20 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if got := a.fetches() - before; got != 1 {
			t.Errorf("20 requests with a new key fetched %d times, want once", got)
		}
	})
}

func TestMistakesInTheConfigurationOfJWTsAreReported(t *testing.T) {
	a := newAuthorization()
	for _, tc := range []struct {
		edit func(*JWTConfig)
		want string
	}{
		{func(c *JWTConfig) {}, ""},
		{func(c *JWTConfig) { c.Endpoint = "" }, ""},
		{func(c *JWTConfig) { c.IgnoreRevocations, c.ClientID, c.Revocations = true, "", "" }, ""},
		{func(c *JWTConfig) { c.Revocations = "" }, "IgnoreRevocations"},
		{func(c *JWTConfig) { c.ClientSecret = "" }, "client secret"},
		{func(c *JWTConfig) { c.Issuer = "" }, "issuer"},
		{func(c *JWTConfig) { c.Resource = "" }, "resource"},
		{func(c *JWTConfig) { c.JWKS = "http://auth.example.com/jwks.json" }, "JWKS http://auth.example.com/jwks.json is plain http"},
		{func(c *JWTConfig) { c.Algorithms = []string{"HS256"} }, "HS256"},
		{func(c *JWTConfig) { c.Algorithms = []string{"none"} }, "none"},
		{func(c *JWTConfig) { c.MaxLifespan = -1 }, "MaxLifespan"},
		{func(c *JWTConfig) { c.Bound = 1 }, "Bound"},
	} {
		config := a.jwtConfig(t)
		tc.edit(&config)
		v, err := NewJWTVerifier(config)
		if err == nil {
			v.Close()
		}
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want one about %q", err, tc.want)
		}
	}
}
