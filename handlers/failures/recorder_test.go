package failures

import (
	"testing"

	"github.com/ory/fosite"
)

func TestOnlyAnAssertionsFaultIsOnRecord(t *testing.T) {
	for debug, want := range map[string]string{
		"client assertion: used before": `{"reason":{"after":"used before"}}`,
		"unknown client":                "",
		"":                              "",
	} {
		if got := string(assertionFault(fosite.ErrInvalidClient.WithDebug(debug))); got != want {
			t.Errorf("%q: %s, want %s", debug, got, want)
		}
	}
}
