package client_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fosite-mcp/provider/client"
)

func TestMergeFollowsTheRulesOfTheAPI(t *testing.T) {
	rules := client.Rules{
		Scopes: []string{"mcp:search"}, Resources: []string{"https://docs.example.com/mcp"}, DefaultResource: "https://docs.example.com/mcp",
		Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
	}
	stored := &client.Client{
		ID: "8f1c-2c1e", Name: "old", Status: client.Active, Scope: []string{"mcp:search"}, GrantTypes: []string{"client_credentials"},
		TokenEndpointAuthMethod: "client_secret_basic", Version: 3, Secrets: []client.Secret{{ID: "s", Hash: []byte("h")}},
	}
	for _, tt := range []struct {
		name    string
		before  *client.Client
		patch   string
		want    string // id, name, scope, audience, version, secrets
		changes []string
	}{
		{"a registration gets the defaults", &client.Client{}, `{"client_name":"new"}`, " new mcp:search https://docs.example.com/mcp 0 0", nil},
		{"a registration keeps its foreign id", &client.Client{ID: "8f1c-2c1e"}, `{"client_name":"new"}`, "8f1c-2c1e new mcp:search https://docs.example.com/mcp 0 0", nil},
		{"a patch changes what it names", stored, `{"client_name":"new"}`, "8f1c-2c1e new mcp:search  3 1", []string{"client_name"}},
		{"a patch that changes nothing has nothing to tell", stored, `{"client_name":"old"}`, "8f1c-2c1e old mcp:search  3 1", []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after, changes, err := rules.Merge(tt.before, []byte(tt.patch))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join([]string{
				after.ID, after.Name, strings.Join(after.Scope, " "), strings.Join(after.Audience, " "),
				string(rune('0' + after.Version)), string(rune('0' + len(after.Secrets))),
			}, " ")
			if got != tt.want {
				t.Errorf("client %q, want %q", got, tt.want)
			}
			if tt.changes == nil {
				return
			}
			named := []string{}
			var members map[string]json.RawMessage
			if changes != nil {
				if err := json.Unmarshal(changes, &members); err != nil {
					t.Fatal(err)
				}
			}
			for name := range members {
				named = append(named, name)
			}
			if diff := cmp.Diff(tt.changes, named); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMergeRefusesWithOneErrorForEachMistake(t *testing.T) {
	rules := client.Rules{Scopes: []string{"mcp:search"}}
	for patch, want := range map[string][]string{
		`{"scope":"nonsense","redirect_uris":["javascript:alert(1)"]}`: {"/client_name is missing", `/scope "nonsense" is no scope`, "/redirect_uris/0 must not use the scheme javascript:"},
		`{"client_name":5}`:                    {"/client_name must be a string"},
		`{"client_name":" "}`:                  {"/client_name is missing"},
		`{"client_name":"a","client_nam":"b"}`: {"/client_nam is not a member"},
		`[]`:                                   {"must be a JSON object"},
		`{`:                                    {"not JSON"},
	} {
		after, _, err := rules.Merge(&client.Client{}, []byte(patch))
		if err == nil || after != nil {
			t.Errorf("%s is accepted as %v", patch, after)
			continue
		}
		for _, text := range want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, want %q in it", patch, err, text)
			}
		}
	}
}
