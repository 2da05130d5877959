package admin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v3"
	"github.com/google/go-cmp/cmp"
)

func jwk(t *testing.T, key any, id, use string) string {
	t.Helper()
	encoded, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: id, Use: use})
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}

func TestEveryMistakeInARegistrationIsNamedAtItsPlace(t *testing.T) {
	w := newWorld(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // what is to be refused
	if err != nil {
		t.Fatal(err)
	}
	huge := &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 8192), big.NewInt(1)), E: 65537}
	good, private := jwk(t, &ec.PublicKey, "a", "sig"), jwk(t, ec, "a", "sig")
	tests := map[string]struct {
		body string
		want map[string]string
	}{
		"no name":                   {`{}`, map[string]string{"/client_name": "required"}},
		"null name":                 {`{"client_name":null}`, map[string]string{"/client_name": "required"}},
		"empty name":                {`{"client_name":""}`, map[string]string{"/client_name": "required"}},
		"long name":                 {`{"client_name":"` + strings.Repeat("x", 201) + `"}`, map[string]string{"/client_name": "invalid"}},
		"NUL in the name":           {`{"client_name":"a\u0000b"}`, map[string]string{"/client_name": "invalid"}},
		"text direction in a name":  {`{"client_name":"a\u202eb"}`, map[string]string{"/client_name": "invalid"}},
		"unknown member":            {`{"client_name":"x","scopes":"mcp:search"}`, map[string]string{"/scopes": "unknown_member"}},
		"strange member":            {`{"client_name":"x","a/b~c":1}`, map[string]string{"/a~1b~0c": "unknown_member"}},
		"member in capitals":        {`{"Client_Name":"x"}`, map[string]string{"/Client_Name": "unknown_member", "/client_name": "required"}},
		"secret of one's own":       {`{"client_name":"x","client_secret":"hunter2"}`, map[string]string{"/client_secret": "read_only"}},
		"time of creation":          {`{"client_name":"x","created_at":"2026-01-01T00:00:00Z"}`, map[string]string{"/created_at": "read_only"}},
		"hyphen in the id":          {`{"client_name":"x","client_id":"a-b"}`, map[string]string{"/client_id": "invalid"}},
		"id of an account":          {`{"client_name":"x","client_id":"user_` + strings.Repeat("a7", 13) + `"}`, map[string]string{"/client_id": "invalid"}},
		"long id":                   {`{"client_name":"x","client_id":"` + strings.Repeat("a", 65) + `"}`, map[string]string{"/client_id": "invalid"}},
		"empty id":                  {`{"client_name":"x","client_id":""}`, map[string]string{"/client_id": "invalid"}},
		"number as id":              {`{"client_name":"x","client_id":7}`, map[string]string{"/client_id": "wrong_type"}},
		"deleted from the start":    {`{"client_name":"x","status":"deleted"}`, map[string]string{"/status": "invalid"}},
		"unknown scope":             {`{"client_name":"x","scope":"mcp:search mcp:admin"}`, map[string]string{"/scope": "unknown_scope"}},
		"scope twice":               {`{"client_name":"x","scope":"mcp:search mcp:search"}`, map[string]string{"/scope": "duplicate"}},
		"two spaces in scope":       {`{"client_name":"x","scope":"mcp:search  mcp:write"}`, map[string]string{"/scope": "unknown_scope"}},
		"scope as array":            {`{"client_name":"x","scope":["mcp:search"]}`, map[string]string{"/scope": "wrong_type"}},
		"unknown resource":          {`{"client_name":"x","audience":["` + resource + `","` + resource + `/"]}`, map[string]string{"/audience/1": "unknown_resource"}},
		"audience as string":        {`{"client_name":"x","audience":"` + resource + `"}`, map[string]string{"/audience": "wrong_type"}},
		"introspects nowhere":       {`{"client_name":"x","introspects":["https://elsewhere.example.com"]}`, map[string]string{"/introspects/0": "unknown_resource"}},
		"public introspects":        {`{"client_name":"x","token_endpoint_auth_method":"none","redirect_uris":["https://a.example/cb"],"introspects":["` + resource + `"]}`, map[string]string{"/introspects": "conflict"}},
		"public machine":            {`{"client_name":"x","token_endpoint_auth_method":"none","grant_types":["client_credentials"]}`, map[string]string{"/grant_types": "conflict"}},
		"unknown grant type":        {`{"client_name":"x","grant_types":["password"]}`, map[string]string{"/grant_types/0": "invalid"}},
		"no grant type":             {`{"client_name":"x","grant_types":[]}`, map[string]string{"/grant_types": "required"}},
		"refresh token alone":       {`{"client_name":"x","grant_types":["refresh_token"]}`, map[string]string{"/grant_types": "conflict"}},
		"code without redirect":     {`{"client_name":"x","grant_types":["authorization_code"]}`, map[string]string{"/redirect_uris": "required"}},
		"code without its response": {`{"client_name":"x","grant_types":["authorization_code"],"response_types":[],"redirect_uris":["https://a.example/cb"]}`, map[string]string{"/response_types": "conflict"}},
		"response without code":     {`{"client_name":"x","response_types":["code"]}`, map[string]string{"/response_types": "conflict"}},
		"implicit":                  {`{"client_name":"x","response_types":["token"]}`, map[string]string{"/response_types/0": "invalid"}},
		"hostile redirects":         {`{"client_name":"x","redirect_uris":["https://a.example/cb",7,"javascript:alert(1)"]}`, map[string]string{"/redirect_uris/1": "wrong_type", "/redirect_uris/2": "invalid"}},
		"redirects that cannot work": {`{"client_name":"x","token_endpoint_auth_method":"none","redirect_uris":["https://a.example/x/../cb","http://127.0.0.2/cb","http://127.0.0.1:0/cb","http://127.0.0.1:08080/cb","http://[::ffff:127.0.0.1]/cb","com.example.app:callback","ssh://a/cb"]}`,
			map[string]string{"/redirect_uris/0": "invalid", "/redirect_uris/1": "invalid", "/redirect_uris/2": "invalid", "/redirect_uris/3": "invalid", "/redirect_uris/4": "invalid", "/redirect_uris/6": "invalid"}},
		"keys that cannot be reached": {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a.example:0/jwks"}`, map[string]string{"/jwks_uri": "invalid"}},
		"custom scheme with secret":   {`{"client_name":"x","redirect_uris":["com.example.app:/cb"]}`, map[string]string{"/redirect_uris/0": "invalid"}},
		"unknown method":              {`{"client_name":"x","token_endpoint_auth_method":"client_secret_jwt"}`, map[string]string{"/token_endpoint_auth_method": "invalid"}},
		"an issuer without subject":   {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","assertion_issuer":"https://ci.example"}`, map[string]string{"/assertion_subject": "required"}},
		"a subject without issuer":    {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","assertion_subject":"job","jwks_uri":"https://a.example/jwks"}`, map[string]string{"/assertion_issuer": "required"}},
		"an issuer without metadata":  {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","assertion_issuer":"kubernetes/serviceaccount","assertion_subject":"pod"}`, map[string]string{"/jwks": "required"}},
		"an issuer and a secret":      {`{"client_name":"x","assertion_issuer":"https://ci.example","assertion_subject":"job"}`, map[string]string{"/assertion_issuer": "conflict"}},
		"an issuer beyond bounds":     {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","assertion_issuer":"https://ci.example/` + strings.Repeat("x", 500) + `","assertion_subject":"job"}`, map[string]string{"/assertion_issuer": "invalid"}},
		"key without keys":            {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt"}`, map[string]string{"/jwks": "required"}},
		"private key":                 {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + private + `]}}`, map[string]string{"/jwks/keys/0": "invalid"}},
		"symmetric key":               {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}}`, map[string]string{"/jwks/keys/0": "invalid"}},
		"huge key":                    {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + jwk(t, huge, "w", "") + `]}}`, map[string]string{"/jwks/keys/0": "invalid"}},
		"weak key":                    {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + jwk(t, &weak.PublicKey, "w", "") + `]}}`, map[string]string{"/jwks/keys/0": "invalid"}},
		"key for encryption":          {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + jwk(t, &ec.PublicKey, "e", "enc") + `]}}`, map[string]string{"/jwks/keys/0": "invalid"}},
		"two keys of one name":        {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + good + `,` + good + `]}}`, map[string]string{"/jwks/keys/1/kid": "duplicate"}},
		"no key in the set":           {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[]}}`, map[string]string{"/jwks/keys": "invalid"}},
		"key garbage":                 {`{"client_name":"x","jwks":{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},7]}}`, map[string]string{"/jwks/keys/0": "invalid", "/jwks/keys/1": "invalid"}},
		"keys twice":                  {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + good + `]},"jwks_uri":"https://a.example/jwks"}`, map[string]string{"/jwks_uri": "conflict"}},
		"keys over http":              {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://a.example/jwks"}`, map[string]string{"/jwks_uri": "invalid"}},
		"symmetric algorithm":         {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + good + `]},"token_endpoint_auth_signing_alg":"HS256"}`, map[string]string{"/token_endpoint_auth_signing_alg": "invalid"}},
		"algorithm without key":       {`{"client_name":"x","token_endpoint_auth_signing_alg":"ES256"}`, map[string]string{"/token_endpoint_auth_signing_alg": "conflict"}},
		"lifespan as text":            {`{"client_name":"x","access_token_lifespan":"1h"}`, map[string]string{"/access_token_lifespan": "wrong_type"}},
		"fraction of a second":        {`{"client_name":"x","access_token_lifespan":1.5}`, map[string]string{"/access_token_lifespan": "wrong_type"}},
		"negative lifespan":           {`{"client_name":"x","access_token_lifespan":-1}`, map[string]string{"/access_token_lifespan": "wrong_type"}},
		"lifespan of ages":            {`{"client_name":"x","access_token_lifespan":9223372036}`, map[string]string{"/access_token_lifespan": "invalid"}},
		"overflowing lifespan":        {`{"client_name":"x","access_token_lifespan":99999999999999999999}`, map[string]string{"/access_token_lifespan": "wrong_type"}},
		"expired at birth":            {`{"client_name":"x","expires_at":"2020-01-01T00:00:00Z"}`, map[string]string{"/expires_at": "invalid"}},
		"no time":                     {`{"client_name":"x","expires_at":"tomorrow"}`, map[string]string{"/expires_at": "wrong_type"}},
		"metadata as array":           {`{"client_name":"x","metadata":[1]}`, map[string]string{"/metadata": "wrong_type"}},
		"much metadata":               {`{"client_name":"x","metadata":{"a":"` + strings.Repeat("x", 17<<10) + `"}}`, map[string]string{"/metadata": "too_long"}},
		"name twice":                  {`{"client_name":"x","client_name":"y"}`, map[string]string{"/client_name": "duplicate"}},
		"member twice, deep inside":   {`{"client_name":"x","metadata":{"a":[{"b":1,"b":2}]}}`, map[string]string{"/metadata/a/0/b": "duplicate"}},
		"several at once":             {`{"client_nme":"x","scope":"nope","expires_at":5}`, map[string]string{"/client_name": "required", "/client_nme": "unknown_member", "/scope": "unknown_scope", "/expires_at": "wrong_type"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			refused := w.post("/clients", test.body).want(t, http.StatusBadRequest)
			if diff := cmp.Diff(test.want, refused.problems()); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s\n%s", diff, refused.text)
			}
			if strings.Contains(refused.text, "hunter2") {
				t.Error("the answer repeats what was sent as a secret")
			}
		})
	}
	if n := len(w.get("/clients").items()); n != 0 {
		t.Errorf("%d clients were registered all the same", n)
	}
}

func TestRegistrationsThatAreAccepted(t *testing.T) {
	w := newWorld(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := jwk(t, &ec.PublicKey, "a", "")
	tests := map[string]struct {
		body   string
		secret bool
		want   map[string]any // members of the answer
	}{
		"nulls are defaults": {`{"client_name":"x","scope":null,"jwks":null,"expires_at":null,"metadata":null}`, true, map[string]any{"scope": "mcp:search", "metadata": map[string]any{}}},
		"resource server":    {`{"client_name":"x","introspects":["` + resource + `"],"scope":"","audience":[]}`, true, map[string]any{"scope": "", "audience": []any{}, "introspects": []any{resource}}},
		"editor": {`{"client_name":"x","token_endpoint_auth_method":"none","redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","http://[::1]:33418/","https://vscode.dev/redirect"]}`, false,
			map[string]any{"grant_types": []any{"authorization_code", "refresh_token"}, "response_types": []any{"code"}, "redirect_uris": []any{"cursor://anysphere.cursor-mcp/oauth/callback", "http://[::1]:33418/", "https://vscode.dev/redirect"}}},
		"web application": {`{"client_name":"x","grant_types":["authorization_code","client_credentials"],"redirect_uris":["https://a.example/cb"]}`, true, map[string]any{"response_types": []any{"code"}}},
		"key":             {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + key + `]},"token_endpoint_auth_signing_alg":"ES256"}`, false, map[string]any{"token_endpoint_auth_signing_alg": "ES256"}},
		"its platform's":  {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","assertion_issuer":"https://ci.example","assertion_subject":"job"}`, false, map[string]any{"assertion_issuer": "https://ci.example", "assertion_reusable": false}},
		"key elsewhere":   {`{"client_name":"x","token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a.example/jwks"}`, false, map[string]any{"jwks_uri": "https://a.example/jwks"}},
		"everything": {`{"client_id":"A_1","client_name":"Ü 🚀","owner":"ops","status":"disabled","scope":"mcp:write mcp:search","audience":["` + otherResource + `"],"token_endpoint_auth_method":"client_secret_post","access_token_lifespan":60,"expires_at":"2999-01-01T00:00:00+02:00","metadata":{"n":12345678901234567890,"deep":{"null":null}}}`, true,
			map[string]any{"client_id": "A_1", "client_name": "Ü 🚀", "status": "disabled", "scope": "mcp:write mcp:search", "access_token_lifespan": 60.0, "expires_at": "2998-12-31T22:00:00.000Z", "audience": []any{otherResource}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			created := w.post("/clients", test.body).want(t, http.StatusCreated)
			if got := created.str("client_secret") != ""; got != test.secret {
				t.Errorf("has a secret: %v, want %v", got, test.secret)
			}
			shown := w.get("/clients/"+created.str("client_id")).want(t, http.StatusOK)
			for member, want := range test.want {
				if diff := cmp.Diff(want, shown.json[member]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", member, diff)
				}
			}
		})
	}
	if text := w.get("/clients/A_1").text; !strings.Contains(text, `12345678901234567890`) {
		t.Errorf("a large number in the metadata was rounded: %s", text)
	}
}

func TestBodiesThatAreNotOneJSONObject(t *testing.T) {
	w := newWorld(t)
	tests := map[string]struct {
		body, contentType string
		status            int
	}{
		"nothing":               {"", "application/json", http.StatusBadRequest},
		"no type":               {`{"client_name":"x"}`, "", http.StatusUnsupportedMediaType},
		"form":                  {`client_name=x`, "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType},
		"merge patch to create": {`{"client_name":"x"}`, "application/merge-patch+json", http.StatusUnsupportedMediaType},
		"array":                 {`[]`, "application/json", http.StatusBadRequest},
		"null":                  {`null`, "application/json", http.StatusBadRequest},
		"half":                  {`{"client_name":"x"`, "application/json", http.StatusBadRequest},
		"two":                   {`{"client_name":"x"} {}`, "application/json", http.StatusBadRequest},
		"comma too many":        {`{"client_name":"x",}`, "application/json", http.StatusBadRequest},
		"not UTF-8":             {"{\"client_name\":\"\xff\"}", "application/json", http.StatusBadRequest},
		"byte order mark":       {"\ufeff{}", "application/json", http.StatusBadRequest},
		"deep":                  {`{"metadata":` + strings.Repeat(`{"a":`, 40) + `1` + strings.Repeat(`}`, 41), "application/json", http.StatusBadRequest},
		"very deep":             {strings.Repeat(`[`, 30000), "application/json", http.StatusBadRequest},
		"large":                 {`{"client_name":"` + strings.Repeat("x", 64<<10) + `"}`, "application/json", http.StatusRequestEntityTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.do(call{method: "POST", path: "/clients", body: test.body, header: map[string]string{"Content-Type": test.contentType}}).want(t, test.status)
		})
	}
	w.do(call{method: "POST", path: "/clients", body: `{"client_name":"x"}`, header: map[string]string{"Content-Type": "application/json; charset=utf-8"}}).want(t, http.StatusCreated)
}
