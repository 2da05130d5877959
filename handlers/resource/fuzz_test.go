package resource

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Whatever the header holds, what reaches the verifier can stand in a header,
// and a refusal is well-formed.
func FuzzAuthorizationHeader(f *testing.F) {
	for _, seed := range []string{"", "Bearer good", "bearer  good ", "Bearer\tgood", "Basic x", "Bearer go od", "Bearer é", "Bearer a==b", "Bearer ="} {
		f.Add(seed)
	}
	var seen string
	g, err := Bearer{Verifier: verifierFunc(func(token string) (*Token, error) {
		seen = token
		return &Token{}, nil
	})}.gate()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		seen = ""
		token, refused := g.decide(context.Background(), []string{header})
		if (token == nil) == (refused == nil) {
			t.Fatalf("%q: token %v, refusal %v", header, token, refused)
		}
		if refused == nil {
			if seen == "" || len(seen) > maxToken || !isToken68(seen) || !strings.Contains(header, seen) {
				t.Errorf("%q: the verifier saw %q", header, seen)
			}
			return
		}
		if seen != "" {
			t.Errorf("%q: refused, and the verifier saw %q", header, seen)
		}
		if refused.status != http.StatusUnauthorized && refused.status != http.StatusBadRequest || strings.ContainsAny(refused.challenge, "\r\n") {
			t.Errorf("%q: %d %q", header, refused.status, refused.challenge)
		}
	})
}

// A page that is taken names its cursor, and each of its revocations what it
// is about.
func FuzzPageOfRevocations(f *testing.F) {
	for _, seed := range []string{
		`{"cursor":"e.1","revocations":[{"kind":"token","id":"a","time":1764143000.123}],"more":true}`,
		`{"cursor":"e.1","revocations":[{"kind":"client","id":"a"},{"kind":"all"}],"reset":true}`,
		`{"cursor":"e.1","revocations":[]}`, `{"cursor":"","revocations":[]}`, `{"cursor":"x"}`, `null`, `[]`, ``,
		`{"cursor":"e.1","revocations":[{"kind":"token"}]}`, `{"cursor":"e.1","revocations":[null]}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		p, err := parsePage([]byte(body))
		if (p == nil) == (err == nil) {
			t.Fatalf("page %v, error %v", p, err)
		}
		if err != nil {
			return
		}
		if p.Cursor == "" || len(p.Cursor) > maxCursor || p.Revocations == nil {
			t.Errorf("taken: %+v", p)
		}
		kept, ended := newAnswers(Cache{MaxAge: time.Hour, Entries: 10}), newKillSwitch(time.Hour)
		token := &Token{ID: "a", ClientID: "a", IssuedAt: time.Unix(1, 0)}
		kept.restart()
		kept.put(tokenHash{}, token, time.Now(), 1)
		kept.revoked(p.Revocations)
		ended.revoked(p.Revocations)
		for _, r := range p.Revocations {
			if r.Kind == "" || r.ID == "" && (r.Kind == kindToken || r.Kind == kindClient) {
				t.Errorf("taken: %+v", r)
			}
			concerns := r.ID == "a" || r.Kind != kindToken && r.Kind != kindClient
			if concerns && kept.get(tokenHash{}, time.Now(), time.Now()) != nil {
				t.Errorf("%+v: the answer is still kept", r)
			}
			if concerns && ended.judge(token) == notRevoked {
				t.Errorf("%+v: the token counts as not revoked", r)
			}
		}
	})
}

// No JWT passes but those that the key has signed.
func FuzzJWT(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	a := newAuthorization()
	v := a.offline(f, func(c *JWTConfig) { c.Now = func() time.Time { return now } })
	good := testKeys()[algEdDSA].token(now, nil)
	if _, err := v.Verify(context.Background(), good); err != nil {
		f.Fatal(err)
	}
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	f.Add(string(must(decodePart(header))), string(must(decodePart(payload))), signature)
	f.Add(`{"typ":"at+jwt","alg":"none","kid":"ed"}`, `{}`, "")
	f.Add(`{"typ":"at+jwt","alg":"ES256","kid":"es","kid":"rs"}`, `{"aud":[[[]]]}`, "AA")
	f.Fuzz(func(t *testing.T, header, payload, signature string) {
		token := base64url([]byte(header)) + "." + base64url([]byte(payload)) + "." + signature
		got, err := v.Verify(context.Background(), token)
		switch {
		case err == nil && token != good:
			t.Errorf("passed: %s", token)
		case err == nil && got.ClientID != "ci":
			t.Errorf("token %+v", got)
		case err != nil && !errors.Is(err, ErrInactive) && !strings.Contains(err.Error(), "key of the token is not known"):
			t.Errorf("error %v", err)
		}
		// The same as raw text: the parser may not fall over.
		parseJWT(header + "." + payload + "." + signature)
		members([]byte(header))
	})
}
