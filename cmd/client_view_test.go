package cmd

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

func TestEveryMemberOfAClientIsShown(t *testing.T) {
	var c clientView
	err := json.Unmarshal([]byte(`{"client_id":"ci","client_name":"CI","status":"active","owner":"","scope":"a b","audience":["https://x","https://y"],
		"introspects":[],"jwks":{"keys":[{"kid":"k","kty":"EC"},{"kty":"RSA"}]},"jwks_uri":null,"token_endpoint_auth_signing_alg":"ES256",
		"access_token_lifespan":3600,"metadata":{"team":"docs"},"expires_at":"2027-01-01T00:00:00.000Z"}`), &c)
	if err != nil {
		t.Fatal(err)
	}
	pairs, err := c.particulars()
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			set[pairs[i]] = pairs[i+1]
		}
	}
	want := map[string]string{
		"client_id": "ci", "client_name": "CI", "status": "active", "scope": "a b", "audience": "https://x https://y",
		"jwks": "k (EC), (RSA)", "token_endpoint_auth_signing_alg": "ES256", "access_token_lifespan": "1h", "metadata": `{"team":"docs"}`,
		"expires_at": "2027-01-01T00:00:00Z",
	}
	if diff := cmp.Diff(want, set); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFlagsBecomeMembersOfAClient(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want map[string]any
	}{
		{[]string{"--auth-signing-alg", "ES256", "--name", "CI"}, map[string]any{"token_endpoint_auth_signing_alg": "ES256", "client_name": "CI"}},
		{[]string{"--scope", " a  b", "--scope", "c", "--grant-type", "x,y", "--audience", ""}, map[string]any{"scope": "a b c", "grant_types": []string{"x", "y"}, "audience": []string{}}},
		{[]string{"--auth-method", "", "--redirect-uri", "https://a/?x,y"}, map[string]any{"token_endpoint_auth_method": "", "redirect_uris": []string{"https://a/?x,y"}}},
	} {
		var flags clientFlags
		c := &cobra.Command{}
		flags.register(c)
		if err := c.ParseFlags(tt.args); err != nil {
			t.Fatal(err)
		}
		fields, err := flags.fields(c, time.Now())
		if diff := cmp.Diff(tt.want, fields); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", tt.args, err, diff)
		}
	}
}
