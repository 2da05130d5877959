package resource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const activeAnswer = `{"active":true,"aud":"` + here + `"}`

// credentialsSeen is what a server sees of this service's credentials at
// introspection.
func credentialsSeen(t *testing.T, edit func(*Config)) (header string, form map[string]string) {
	t.Helper()
	form = map[string]string{}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Get("Authorization")
		r.ParseForm()
		for name, values := range r.PostForm {
			form[name] = strings.Join(values, " ")
		}
		io.WriteString(w, activeAnswer)
	})
	config := Config{Endpoint: server.URL, ClientID: "docs search", Resource: here, Issuer: issuer}
	edit(&config)
	v, err := NewIntrospector(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), goodAT); err != nil {
		t.Fatal(err)
	}
	return header, form
}

func TestSecretInTheBody(t *testing.T) {
	header, form := credentialsSeen(t, func(c *Config) { c.ClientSecret, c.SecretInBody = secret, true })
	if header != "" || form["client_id"] != "docs search" || form["client_secret"] != secret || form["token"] != goodAT {
		t.Errorf("header %q, form %v", header, form)
	}
}

func TestAssertionOfEveryKindOfKey(t *testing.T) {
	for _, algorithm := range []string{algES256, algRS256, algEdDSA} {
		key := testKeys()[algorithm]
		sign := func(c *Config) {
			c.Key = func() (ClientKey, error) { return ClientKey{ID: "k1", Signer: key.signer}, nil }
		}
		header, form := credentialsSeen(t, sign)
		if header != "" || form["client_id"] != "docs search" || form["client_secret"] != "" ||
			form["client_assertion_type"] != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Errorf("%s: header %q, form %v", algorithm, header, form)
		}
		parts := strings.Split(form["client_assertion"], ".")
		var head, claims map[string]any
		json.Unmarshal(must(decodePart(parts[0])), &head)
		json.Unmarshal(must(decodePart(parts[1])), &claims)
		if head["alg"] != algorithm || head["typ"] != "client-authentication+jwt" || head["kid"] != "k1" {
			t.Errorf("%s: header %v", algorithm, head)
		}
		left := claims["exp"].(float64) - float64(time.Now().Unix())
		if claims["iss"] != "docs search" || claims["sub"] != "docs search" || claims["aud"] != issuer || left < 50 || left > 60 {
			t.Errorf("%s: claims %v", algorithm, claims)
		}
		public := publicKey{key: key.signer.Public()}
		if !public.verify(algorithm, parts[0]+"."+parts[1], must(decodePart(parts[2]))) {
			t.Errorf("%s: the signature is wrong", algorithm)
		}
		_, again := credentialsSeen(t, sign)
		var second map[string]any
		json.Unmarshal(must(decodePart(strings.Split(again["client_assertion"], ".")[1])), &second)
		if id, _ := claims["jti"].(string); len(id) < 22 || second["jti"] == id {
			t.Errorf("%s: jti %v and %v", algorithm, claims["jti"], second["jti"])
		}
	}
}

// A secret file is replaced, and the next request has the new secret.
func TestSecretIsReplacedWithoutARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var want atomic.Value
	want.Store("first")
	var requests atomic.Int32
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if _, password, _ := r.BasicAuth(); password != want.Load() {
			write("third\n") // it is replaced while a request is on its way
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		io.WriteString(w, activeAnswer)
	})
	write(" first\n")
	v, err := NewIntrospector(Config{Endpoint: server.URL, ClientID: "docs", Secret: SecretFile(path), Resource: here})
	if err != nil {
		t.Fatal(err)
	}
	verify(t, v, goodAT, true)
	write("second")
	want.Store("second")
	verify(t, v, goodAT, true)
	want.Store("third")
	verify(t, v, goodAT, true)
	if got := requests.Load(); got != 4 {
		t.Errorf("%d requests, want 4: one was repeated with the secret that had been replaced", got)
	}

	for _, content := range []string{"", " \n"} {
		write(content)
		if _, err := v.Verify(t.Context(), goodAT); err == nil || errors.Is(err, ErrInactive) || !strings.Contains(err.Error(), path) {
			t.Errorf("a file that holds %q: error %v", content, err)
		}
	}
	os.Remove(path)
	if _, err := v.Verify(t.Context(), goodAT); err == nil || errors.Is(err, ErrInactive) || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: error %v", err)
	}
}

func TestMistakesInCredentialsAreReported(t *testing.T) {
	key := func() (ClientKey, error) { return ClientKey{}, nil }
	file := SecretFile("/run/secrets/docs")
	for _, tc := range []struct {
		edit func(*Config)
		want string
	}{
		{func(c *Config) { c.ClientSecret = "x" }, ""},
		{func(c *Config) { c.Secret = file }, ""},
		{func(c *Config) { c.Key = key }, ""},
		{func(c *Config) {}, "ClientSecret, Secret or Key"},
		{func(c *Config) { c.ClientID, c.ClientSecret = "", "x" }, "client id"},
		{func(c *Config) { c.ClientSecret, c.Secret = "x", file }, "more than one"},
		{func(c *Config) { c.ClientSecret, c.Key = "x", key }, "more than one"},
		{func(c *Config) { c.Key, c.SecretInBody = key, true }, "SecretInBody"},
		{func(c *Config) { c.Key, c.Issuer = key, "" }, "Issuer"},
	} {
		config := Config{Endpoint: "https://auth.example.com/introspect", Issuer: issuer, ClientID: "docs", Resource: here}
		tc.edit(&config)
		_, err := NewIntrospector(config)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("error %v, want one about %q", err, tc.want)
		}
	}
}

func TestKeyThatCannotSignIsAnOutage(t *testing.T) {
	for name, key := range map[string]func() (ClientKey, error){
		"none":       func() (ClientKey, error) { return ClientKey{}, nil },
		"no reading": func() (ClientKey, error) { return ClientKey{}, fmt.Errorf("the key store is closed") },
	} {
		v, err := NewIntrospector(Config{Endpoint: "https://auth.example.com/introspect", Issuer: issuer, ClientID: "docs", Resource: here, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(context.Background(), goodAT); err == nil || errors.Is(err, ErrInactive) || !strings.Contains(err.Error(), "key") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
