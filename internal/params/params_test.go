package params

import (
	"net/url"
	"testing"
)

func TestParametersWithoutAValueCountAsLeftOut(t *testing.T) {
	form, err := url.ParseQuery("a=&b=&b=1&c=1&c=2&d")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := WithoutEmpty(form).Encode(), "b=1&c=1&c=2"; got != want {
		t.Errorf("left are %s, want %s", got, want)
	}
}

func TestTheFirstRepeatedParameterIsNamed(t *testing.T) {
	for query, want := range map[string]string{
		"": "", "a=1&b=1": "", "resource=1&resource=2&audience=1&audience=2": "", "scope=1&scope=1": "scope", "z=1&z=2&code=1&code=2&resource=1&resource=2": "code",
	} {
		form, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := Repeated(form); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}
