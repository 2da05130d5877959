package cmd

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/storage/people"
)

// servedPeople are those of a running server.
type servedPeople struct{ api *apiclient.Admin }

// servedUser is an account as the admin API shows it.
type servedUser struct {
	ID         string    `json:"id"`
	Username   string    `json:"username"`
	Groups     []string  `json:"groups"`
	CreatedAt  time.Time `json:"created_at"`
	DisabledAt time.Time `json:"disabled_at"`
}

func (u servedUser) user() *people.User {
	return &people.User{ID: u.ID, Username: u.Username, Groups: u.Groups, CreatedAt: u.CreatedAt, DisabledAt: u.DisabledAt}
}

// servedConsent is a consent as the admin API shows it.
type servedConsent struct {
	Subject    string    `json:"subject"`
	Username   string    `json:"username"`
	ClientID   string    `json:"client_id"`
	ClientName string    `json:"client_name"`
	Scope      string    `json:"scope"`
	Resources  []string  `json:"resources"`
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
}

// allServed reads all pages of a list.
func allServed[T any](ctx context.Context, api *apiclient.Admin, query url.Values, path ...string) (all []T, err error) {
	query.Set("limit", strconv.Itoa(apiclient.LargestPage))
	call := apiclient.Call{Method: http.MethodGet, Path: path, Query: query}
	_, err = api.Pages(ctx, call, true, func(items []json.RawMessage) error {
		for _, item := range items {
			var v T
			if err := json.Unmarshal(item, &v); err != nil {
				return api.Foreign(err)
			}
			all = append(all, v)
		}
		return nil
	})
	return all, err
}

func (s servedPeople) users(ctx context.Context, query url.Values) ([]*people.User, error) {
	shown, err := allServed[servedUser](ctx, s.api, query, "users")
	users := make([]*people.User, len(shown))
	for i := range shown {
		users[i] = shown[i].user()
	}
	return users, err
}

func (s servedPeople) Create(ctx context.Context, user *people.User, password string) error {
	var made servedUser
	body := map[string]any{"username": user.Username, "password": password, "groups": append([]string{}, user.Groups...)}
	if _, err := s.api.Decode(ctx, apiclient.Post(body, "users"), &made); err != nil {
		return err
	}
	*user = *made.user()
	return nil
}

func (s servedPeople) List(ctx context.Context) ([]*people.User, error) {
	return s.users(ctx, url.Values{})
}

func (s servedPeople) Find(ctx context.Context, username string) (*people.User, error) {
	missing := apiclient.NotFound("there is no account %s", terminal.Printable(username))
	if people.CheckUsername(strings.ToLower(username)) != nil {
		return nil, missing
	}
	found, err := s.users(ctx, url.Values{"username": {username}})
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, missing
	}
	return found[0], nil
}

func (s servedPeople) patch(ctx context.Context, user *people.User, member string, value any) error {
	_, err := s.api.Do(ctx, apiclient.Call{
		Method: http.MethodPatch, Path: []string{"users", user.ID}, Body: map[string]any{member: value},
		ContentType: "application/merge-patch+json", IfMatch: "*",
	})
	return err
}

func (s servedPeople) SetPassword(ctx context.Context, user *people.User, password string) error {
	return s.patch(ctx, user, "password", password)
}

func (s servedPeople) SetGroups(ctx context.Context, user *people.User, groups []string) error {
	return s.patch(ctx, user, "groups", append([]string{}, groups...))
}

func (s servedPeople) post(ctx context.Context, user *people.User, verb string) error {
	_, err := s.api.Do(ctx, apiclient.Post(nil, "users", user.ID, verb))
	return err
}

func (s servedPeople) Disable(ctx context.Context, user *people.User) error {
	return s.post(ctx, user, "disable")
}

func (s servedPeople) Enable(ctx context.Context, user *people.User) error {
	return s.post(ctx, user, "enable")
}

func (s servedPeople) Delete(ctx context.Context, user *people.User) error {
	_, err := s.api.Do(ctx, apiclient.Delete("users", user.ID))
	return err
}

func (s servedPeople) KeepOut(ctx context.Context, subject string) (people.Ended, error) {
	var answer struct{ Ended people.Ended }
	_, err := s.api.Decode(ctx, apiclient.Post(nil, "users", subject, "revoke"), &answer)
	return answer.Ended, err
}

// members are those of a filter that are set.
func members(filter people.ConsentFilter) map[string]string {
	set := map[string]string{"subject": filter.Subject, "username": filter.Username, "client_id": filter.ClientID}
	for name, value := range set {
		if value == "" {
			delete(set, name)
		}
	}
	return set
}

func (s servedPeople) Consents(ctx context.Context, filter people.ConsentFilter) ([]people.Consent, error) {
	query := url.Values{}
	for name, value := range members(filter) {
		query.Set(name, value)
	}
	shown, err := allServed[servedConsent](ctx, s.api, query, "consents")
	consents := make([]people.Consent, len(shown))
	for i, c := range shown {
		consents[i] = people.Consent{
			Subject: c.Subject, Username: c.Username, ClientID: c.ClientID, ClientName: c.ClientName, Scopes: strings.Fields(c.Scope),
			Resources: c.Resources, CreatedAt: c.CreatedAt, LastUsedAt: c.LastUsedAt,
		}
	}
	return consents, err
}

func (s servedPeople) Withdraw(ctx context.Context, filter people.ConsentFilter) (int, error) {
	var answer struct{ Revoked int }
	_, err := s.api.Decode(ctx, apiclient.Post(members(filter), "consents", "revoke"), &answer)
	return answer.Revoked, err
}
