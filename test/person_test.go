package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// person goes through the login and consent pages with plain HTTP, as a browser without scripts does.
type person struct {
	username, password string
	client             *http.Client
}

func newPerson(t *testing.T, username, password string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &person{username, password, &http.Client{Jar: jar, CheckRedirect: stop}}
}

// allow goes from an authorization URL to the client's redirect URI, allowing what is asked, and returns the answer.
func (p *person) allow(ctx context.Context, authorizationURL, redirect string) (url.Values, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizationURL, nil)
	if err != nil {
		return nil, err
	}
	for range 12 {
		response, err := p.client.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		if location, err := response.Location(); err == nil {
			if base, query, _ := strings.Cut(location.String(), "?"); base == redirect {
				return url.ParseQuery(query)
			}
			request, err = http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
			if err != nil {
				return nil, err
			}
			continue
		}
		if request, err = p.fillIn(ctx, response); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("still at %s", request.URL)
}

// fillIn makes the request that the first form of a page sends.
func (p *person) fillIn(ctx context.Context, response *http.Response) (*http.Request, error) {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	page, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	for form := range page.Descendants() {
		if form.Data != "form" {
			continue
		}
		values := url.Values{}
		for field := range form.Descendants() {
			if field.Data == "input" {
				values.Set(attribute(field, "name"), attribute(field, "value"))
			}
		}
		if values.Has("password") {
			values.Set("username", p.username)
			values.Set("password", p.password)
		} else {
			values.Set("answer", "allow")
		}
		action, err := response.Request.URL.Parse(attribute(form, "action"))
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, action.String(), strings.NewReader(values.Encode()))
		if err != nil {
			return nil, err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return request, nil
	}
	return nil, fmt.Errorf("%s answers %s without a form:\n%s", response.Request.URL, response.Status, body)
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
