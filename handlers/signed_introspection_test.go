package handlers_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

const signedType = "application/token-introspection+jwt"

// inspectAs is f.introspect with a header Accept.
func (f *fixture) inspectAs(id, secret, token string, accept ...string) answer {
	r := post("/introspect", "token", token).basic(id, secret)
	r.header["Accept"] = accept
	return f.do(r)
}

// RFC 9701 §5: the answer of old, for the client who has asked, in a JWT that nobody takes for an access token.
func TestIntrospectionAnswersAreSignedForWhoAsks(t *testing.T) {
	f := newFixture(t, withJWTs)
	secret := f.client("ci")
	server := f.client("docs", introspects(docs))
	token := f.token("ci", secret)
	for name, sent := range map[string]string{"active": token, "inactive": token + "x"} {
		t.Run(name, func(t *testing.T) {
			plain := f.introspect("docs", server, sent)
			a := f.inspectAs("docs", server, sent, signedType)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != signedType || a.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("%d %v", a.status, a.header)
			}
			var keys jose.JSONWebKeySet
			if set, err := f.keys.PublicKeys(t.Context()); err != nil || json.Unmarshal(set, &keys) != nil {
				t.Fatal(err)
			}
			parsed, err := jose.ParseSignedCompact(a.text, []jose.SignatureAlgorithm{jose.ES256})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parsed.Verify(&keys); err != nil {
				t.Errorf("the signature: %v", err)
			}
			if kind := parsed.Signatures[0].Header.ExtraHeaders["typ"]; kind != "token-introspection+jwt" {
				t.Errorf("typ %v", kind)
			}
			claims := payloadOf(t, a.text)
			want := map[string]any{"iss": issuer, "aud": "docs", "iat": float64(f.clock.Unix()), "token_introspection": plain.json}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
			if a := f.introspect("docs", server, a.text); a.json["active"] != false {
				t.Errorf("the answer as an access token: %s", a.text)
			}
		})
	}
}

func TestWhatACallerAcceptsIsSent(t *testing.T) {
	signing, plain := newFixture(t, withJWTs), newFixture(t)
	signs, doesNot := signing.client("ci"), plain.client("ci")
	for _, c := range []struct {
		accept []string
		signed bool // where answers are signed
		status int  // where none is
	}{
		{nil, false, 200},
		{[]string{"application/json"}, false, 200},
		{[]string{"*/*"}, false, 200},
		{[]string{"text/html"}, false, 200},
		{[]string{""}, false, 200},
		{[]string{signedType}, true, 406},
		{[]string{"APPLICATION/Token-Introspection+JWT; q=0.5"}, true, 406},
		{[]string{signedType + ", application/json;q=0.5"}, true, 200},
		{[]string{signedType + ";q=0.5", "application/json"}, false, 200},
		{[]string{"application/json", signedType}, true, 200},
		{[]string{signedType + ";q=0, */*"}, false, 200},
		{[]string{signedType + ";q=0.000"}, false, 200},
		{[]string{"application/jwt"}, false, 200},
	} {
		a := signing.inspectAs("ci", signs, "unknown", c.accept...)
		if signed := a.header.Get("Content-Type") == signedType; a.status != 200 || signed != c.signed {
			t.Errorf("%q: %d, signed: %v, want %v", c.accept, a.status, signed, c.signed)
		}
		if a := signing.inspectAs("ci", "wrong", "unknown", c.accept...); a.status != 401 || a.json["error"] != "invalid_client" {
			t.Errorf("%q with a wrong secret: %d %s", c.accept, a.status, a.text)
		}
		if a := plain.inspectAs("ci", doesNot, "unknown", c.accept...); a.status != c.status || a.header.Get("Content-Type") != contentJSON {
			t.Errorf("%q where nothing is signed: %d %s, want %d", c.accept, a.status, a.text, c.status)
		}
	}
}
