package failures

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ory/fosite"
)

func TestARefusedClientIsOnRecordWithTheReasonAndTheResource(t *testing.T) {
	for _, c := range []struct{ debug, resource, want string }{
		{"client assertion: used before", "", `{"reason":{"after":"used before"}}`},
		{"unknown client", "https://docs.example.com/mcp", `{"reason":{"after":"unknown client"},"resource":{"after":"https://docs.example.com/mcp"}}`},
		{"wrong secret", strings.Repeat("x", 300), `{"reason":{"after":"wrong secret"},"resource":{"after":"` + strings.Repeat("x", 200) + `…"}}`},
		{"", "", ""},
	} {
		form := url.Values{}
		if c.resource != "" {
			form.Set("resource", c.resource)
		}
		if got := string(fault(fosite.ErrInvalidClient.WithDebug(c.debug), form)); got != c.want {
			t.Errorf("%q: %s, want %s", c.debug, got, c.want)
		}
	}
}
