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
	const want = "b=1&c=1&c=2"
	sent := form.Encode()
	if got := WithoutEmpty(form).Encode(); got != want || form.Encode() != sent {
		t.Errorf("left are %s, want %s; the form is %s, want %s", got, want, form.Encode(), sent)
	}
	if DropEmpty(form); form.Encode() != want {
		t.Errorf("left are %s, want %s", form.Encode(), want)
	}
}

func TestTwoFormsAreJoinedAndStayAsTheyAre(t *testing.T) {
	body, query := url.Values{"a": {"1"}, "b": {"2"}}, url.Values{"b": {"3"}, "c": {"4"}}
	if got, want := Join(body, query).Encode(), "a=1&b=2&b=3&c=4"; got != want || body.Encode() != "a=1&b=2" || query.Encode() != "b=3&c=4" {
		t.Errorf("both are %s, want %s; they are %s and %s now", got, want, body.Encode(), query.Encode())
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
