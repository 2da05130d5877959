package resource

import (
	"strings"
	"testing"

	"fosite-mcp/provider/client"
)

func TestMetadataAddressInsertsTheWellKnownPathAfterTheHost(t *testing.T) {
	for _, tc := range []struct{ resource, url, path string }{
		{"https://docs.example.com/authed/mcp", "https://docs.example.com/.well-known/oauth-protected-resource/authed/mcp", "/.well-known/oauth-protected-resource/authed/mcp"},
		{"http://127.0.0.1:9000/authed/mcp", "http://127.0.0.1:9000/.well-known/oauth-protected-resource/authed/mcp", "/.well-known/oauth-protected-resource/authed/mcp"},
		{"http://[::1]:9000/mcp", "http://[::1]:9000/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource/mcp"},
		{"https://docs.example.com", "https://docs.example.com/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource"},
		{"https://docs.example.com/", "https://docs.example.com/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource"},
		{"https://docs.example.com/mcp/", "https://docs.example.com/.well-known/oauth-protected-resource/mcp/", "/.well-known/oauth-protected-resource/mcp/"},
		{"https://docs.example.com/a%2Fb", "https://docs.example.com/.well-known/oauth-protected-resource/a%2Fb", "/.well-known/oauth-protected-resource/a%2Fb"},
		{"https://docs.example.com/mcp?tenant=a", "https://docs.example.com/.well-known/oauth-protected-resource/mcp?tenant=a", "/.well-known/oauth-protected-resource/mcp"},
	} {
		t.Run(tc.resource, func(t *testing.T) {
			url, err := MetadataURL(tc.resource)
			if err != nil || url != tc.url {
				t.Errorf("MetadataURL = %q, %v; want %q", url, err, tc.url)
			}
			path, err := MetadataPath(tc.resource)
			if err != nil || path != tc.path {
				t.Errorf("MetadataPath = %q, %v; want %q", path, err, tc.path)
			}
		})
	}
}

func TestWhatCannotBeAnIdentifierIsRefusedWithoutRepeatingPasswords(t *testing.T) {
	for _, tc := range []struct{ name, identifier, want string }{
		{"empty", "", "absolute http(s) URL"},
		{"no scheme", "docs.example.com/mcp", "absolute http(s) URL"},
		{"another scheme", "ftp://docs.example.com/", "absolute http(s) URL"},
		{"no host", "https:///mcp", "absolute http(s) URL"},
		{"port without host", "https://:443/mcp", "absolute http(s) URL"},
		{"user and password", "https://joe:hunter2@docs.example.com/mcp", "user name"},
		{"user, password and another scheme", "ftp://joe:hunter2@docs.example.com/mcp", "user name"},
		{"password in a malformed URL", "https://joe:hunter2@docs.example.com:port/", "not a well-formed URL"},
		{"fragment", "https://docs.example.com/mcp#top", "fragment"},
		{"empty fragment", "https://docs.example.com/mcp#", "fragment"},
		{"quote, which would end a header parameter", `https://docs.example.com/"x`, "characters"},
		{"backslash", `https://docs.example.com/\x`, "characters"},
		{"line break", "https://docs.example.com/\r\nX: y", "characters"},
		{"space", "https://docs.example.com/a b", "characters"},
		{"letters beyond ASCII", "https://docs.example.com/é", "characters"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := MetadataURL(tc.identifier)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want one about %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats a password: %v", err)
			}
			if _, err := MetadataPath(tc.identifier); err == nil {
				t.Error("MetadataPath accepted it")
			}
		})
	}
}

func TestALoopbackHostIsTheSameAsForClients(t *testing.T) {
	for _, host := range []string{
		"localhost", "LocalHost", "localhost.", "127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1",
		"", "0.0.0.0", "example.com", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1",
	} {
		if got, want := IsLoopback(host), client.IsLoopback(host); got != want {
			t.Errorf("%q: %v, and %v for a client", host, got, want)
		}
	}
}
