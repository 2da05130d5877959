package resource

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const here = "https://docs.example.com/authed/mcp"

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func TestActiveAnswerBecomesAToken(t *testing.T) {
	body := fmt.Sprintf(`{"active":true,"scope":"mcp:search mcp:admin","client_id":"c1","client_name":"ci","token_type":"Bearer",
		"exp":%d,"iat":%d,"nbf":%d,"sub":"c1","aud":[%q,"https://other.example.com/"],"iss":"https://auth.example.com","jti":"t1",
		"username":"joe","groups":["docs"],"mcp":{"resource":%q,"tools":["search","get_page"]},"department":"docs"}`,
		noon.Add(time.Hour).Unix(), noon.Unix(), noon.Unix(), here, here)

	got, err := parseAnswer([]byte(body), here, noon)
	if err != nil {
		t.Fatal(err)
	}
	want := &Token{
		ID: "t1", ClientID: "c1", ClientName: "ci", Subject: "c1", Username: "joe", Issuer: "https://auth.example.com",
		Scope: []string{"mcp:search", "mcp:admin"}, Audience: []string{here, "https://other.example.com/"},
		Groups: []string{"docs"}, Tools: []string{"search", "get_page"},
		IssuedAt: noon, ExpiresAt: noon.Add(time.Hour),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Token{})); diff != "" {
		t.Errorf("token (-want +got):\n%s", diff)
	}

	var extra struct{ Department string }
	if err := got.Claims(&extra); err != nil || extra.Department != "docs" {
		t.Errorf("Claims gave %+v, %v", extra, err)
	}
}

func TestActiveAnswerIsAcceptedInTheFormsThatServersSend(t *testing.T) {
	for name, members := range map[string]string{
		"audience as one string":        `"aud":"` + here + `"`,
		"nothing but the audience":      `"aud":["` + here + `"]`,
		"token type in lower case":      `"aud":"` + here + `","token_type":"bearer"`,
		"times with a fraction":         `"aud":"` + here + `","exp":4102444800.5`,
		"nulls":                         `"aud":"` + here + `","exp":null,"scope":null,"cnf":null,"groups":null,"mcp":null`,
		"groups as one string":          `"aud":"` + here + `","groups":"docs"`,
		"named as an access token":      `"aud":"` + here + `","token_use":"access_token"`,
		"expired by less than the skew": fmt.Sprintf(`"aud":%q,"exp":%d`, here, noon.Add(-59*time.Second).Unix()),
		"valid in less than the skew":   fmt.Sprintf(`"aud":%q,"nbf":%d`, here, noon.Add(59*time.Second).Unix()),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseAnswer([]byte(`{"active":true,`+members+`}`), here, noon); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTokenIsRefusedHereEvenIfTheServerCallsItActive(t *testing.T) {
	for name, members := range map[string]string{
		"no audience":                      `"scope":"mcp:search"`,
		"audience is null":                 `"aud":null`,
		"audience of another resource":     `"aud":"https://docs.example.com/"`,
		"audience with a slash more":       `"aud":"` + here + `/"`,
		"audience that only starts alike":  `"aud":["` + here + `/../admin"]`,
		"expired":                          fmt.Sprintf(`"aud":%q,"exp":%d`, here, noon.Add(-time.Minute).Unix()),
		"not valid yet":                    fmt.Sprintf(`"aud":%q,"nbf":%d`, here, noon.Add(2*time.Minute).Unix()),
		"bound by DPoP":                    `"aud":"` + here + `","token_type":"DPoP"`,
		"bound to a certificate":           `"aud":"` + here + `","token_type":"Bearer","cnf":{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`,
		"a refresh token":                  `"aud":"` + here + `","token_use":"refresh_token"`,
		"expired in the year it was 1970":  `"aud":"` + here + `","exp":0`,
		"a second member contradicts true": `"aud":"` + here + `","active":false`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseAnswer([]byte(`{"active":true,`+members+`}`), here, noon)
			if !errors.Is(err, ErrInactive) {
				t.Errorf("error %v, want one that wraps ErrInactive", err)
			}
		})
	}
}

// Two enterprises may call their people by the same names.
func TestAnswerSaysWhoHasNamedTheSubject(t *testing.T) {
	for name, test := range map[string]struct{ subjectID, want string }{
		"another issuer":           {`{"format":"iss_sub","iss":"https://idp.example.com","sub":"joe"}`, "https://idp.example.com"},
		"the authorization server": {`{"format":"iss_sub","iss":"https://auth.example.com","sub":"joe"}`, ""},
		"null":                     {`null`, ""},
		"another subject":          {`{"format":"iss_sub","iss":"https://idp.example.com","sub":"ann"}`, "refused"},
		"no issuer":                {`{"format":"iss_sub","sub":"joe"}`, "refused"},
		"another format":           {`{"format":"email","email":"joe@example.com"}`, "refused"},
		"several":                  {`{"format":"aliases","identifiers":[{"format":"iss_sub","iss":"https://idp.example.com","sub":"joe"}]}`, "refused"},
		"a text":                   {`"joe"`, "refused"},
		"nothing":                  {`{}`, "refused"},
	} {
		body := `{"active":true,"aud":"` + here + `","iss":"https://auth.example.com","sub":"joe","sub_id":` + test.subjectID + `}`
		token, err := parseAnswer([]byte(body), here, noon)
		switch {
		case test.want == "refused":
			if !errors.Is(err, ErrInactive) {
				t.Errorf("%s: %+v, %v; want an error that wraps ErrInactive", name, token, err)
			}
		case err != nil || token.SubjectIssuer != test.want || token.Subject != "joe":
			t.Errorf("%s: %+v, %v; want the issuer %q", name, token, err, test.want)
		}
	}
}

func TestInactiveAnswerIsErrInactive(t *testing.T) {
	if _, err := parseAnswer([]byte(`{"active":false}`), here, noon); !errors.Is(err, ErrInactive) {
		t.Errorf("error %v, want ErrInactive", err)
	}
}

// "I don't understand the answer" must not look like "the token is dead".
func TestAnswerThatSaysNeitherYesNorNoIsAnotherError(t *testing.T) {
	for name, body := range map[string]string{
		"empty":                  ``,
		"an HTML page":           `<html>Log in to the network</html>`,
		"cut off":                `{"active":true,"aud":["https://docs`,
		"no member active":       `{"scope":"mcp:search"}`,
		"active is null":         `{"active":null}`,
		"active is a string":     `{"active":"true"}`,
		"active is a number":     `{"active":1}`,
		"a list":                 `[{"active":true}]`,
		"two documents":          `{"active":true}{"active":false}`,
		"time is a string":       `{"active":true,"aud":"` + here + `","exp":"tomorrow"}`,
		"time far in the future": `{"active":true,"aud":"` + here + `","exp":1e300}`,
		"time before 1970":       `{"active":true,"aud":"` + here + `","exp":-5}`,
		"audience is a number":   `{"active":true,"aud":5}`,
	} {
		t.Run(name, func(t *testing.T) {
			token, err := parseAnswer([]byte(body), here, noon)
			if err == nil || errors.Is(err, ErrInactive) {
				t.Errorf("got %+v, error %v; want an error that is not ErrInactive", token, err)
			}
		})
	}
}

func TestNilTokenDeniesEverything(t *testing.T) {
	token := TokenFromContext(t.Context())
	if token != nil || token.HasScope("mcp:search") || token.HasTool("search") || token.Claims(&struct{}{}) == nil {
		t.Error("a context without a token must deny everything")
	}
}
