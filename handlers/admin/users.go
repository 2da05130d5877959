package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"fosite-mcp/handlers/login"
	"fosite-mcp/provider/client/strictjson"
	"fosite-mcp/storage/audit"
	"fosite-mcp/storage/people"
)

// userView is an account as the API shows it: never the password. Somebody who is kept out without an account has no username.
type userView struct {
	ID         string           `json:"id"`
	Username   *string          `json:"username"`
	Groups     []string         `json:"groups"`
	Status     string           `json:"status"`
	CreatedAt  *strictjson.Time `json:"created_at"`
	UpdatedAt  *strictjson.Time `json:"updated_at"`
	DisabledAt *strictjson.Time `json:"disabled_at"`
}

func userViewOf(u *people.User) userView {
	v := userView{
		ID: u.ID, Username: textOf(u.Username), Groups: listOf(u.Groups), Status: "active", CreatedAt: strictjson.TimeOf(u.CreatedAt),
		UpdatedAt: strictjson.TimeOf(u.UpdatedAt), DisabledAt: strictjson.TimeOf(u.DisabledAt),
	}
	if !u.DisabledAt.IsZero() {
		v.Status = "disabled"
	}
	return v
}

func userTag(u *people.User) string {
	return `"` + strconv.FormatInt(u.UpdatedAt.UnixMilli(), 10) + `"`
}

func shownUser(status int, u *people.User) *answer {
	answer := newAnswer(status, userViewOf(u))
	answer.header.Set("ETag", userTag(u))
	return answer
}

// userCursor is the place after an account.
type userCursor struct {
	Place string `json:"u"`
}

// listUsers is GET /users.
func (a *api) listUsers(r *request) (*answer, error) {
	var m strictjson.Mistakes
	var after userCursor
	filter := people.UserFilter{Limit: r.limit(&m), Query: strings.TrimSpace(r.query["q"]), Username: r.query["username"]}
	if r.cursor(&after, &m) {
		filter.After = after.Place
	}
	r.refuseEmpty(&m, "username")
	switch status, given := r.query["status"]; {
	case !given:
	case status == "active" || status == "disabled":
		disabled := status == "disabled"
		filter.Disabled = &disabled
	default:
		m.Add("?status", "invalid", "must be active or disabled")
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	users, more, err := a.Store.Users().Page(r.Context(), filter)
	if err != nil {
		return nil, err
	}
	list := page[userView]{Items: make([]userView, len(users))}
	for i, user := range users {
		list.Items[i] = userViewOf(user)
	}
	if more {
		list.NextCursor = encodeCursor(userCursor{users[len(users)-1].Place})
	}
	return newAnswer(http.StatusOK, list), nil
}

// getUser is GET /users/{id}.
func (a *api) getUser(r *request) (*answer, error) {
	user, err := a.Store.Users().Get(r.Context(), r.named())
	if err != nil {
		return nil, err
	}
	shown := shownUser(http.StatusOK, user)
	if names(r.Header.Values("If-None-Match"), userTag(user)) {
		shown.status, shown.body = http.StatusNotModified, nil
	}
	return shown, nil
}

// userChange is what a request says of an account.
type userChange struct {
	username, password string
	groups             []string
	hasGroups          bool
}

func readUser(body map[string]any, known ...string) (c userChange, m strictjson.Mistakes) {
	strictjson.RefuseUnknown(body, known, &m)
	for name, into := range map[string]*string{"username": &c.username, "password": &c.password} {
		if v := strictjson.Member(body, name, &m); v.JSON != nil && slices.Contains(known, name) {
			v.Text(into)
		} else if _, given := body[name]; given && slices.Contains(known, name) {
			v.Wrong("a string")
		}
	}
	if v := strictjson.Member(body, "groups", &m); v.JSON != nil {
		v.List(&c.groups)
		c.hasGroups = true
	} else if _, given := body["groups"]; given {
		c.hasGroups = true // null: none
	}
	for i, group := range c.groups {
		at := "/groups/" + strconv.Itoa(i)
		if people.CheckGroup(group) != nil && !m.At(at) {
			m.Add(at, "invalid", "must be 1 to 128 printable characters without commas")
		}
	}
	return c, m
}

// checkPassword adds what is wrong with a new password. It is quoted nowhere.
func (c *userChange) checkPassword(username string, m *strictjson.Mistakes) {
	if err := login.CheckPassword(username, c.password); err != nil && !m.At("/password") {
		m.Add("/password", "invalid", "%s", err.Error())
	}
}

// createUser is POST /users. An Idempotency-Key would not help: of two requests with one name the second is refused. It would do
// harm: a digest of the request, which holds the password, would be stored.
func (a *api) createUser(r *request) (*answer, error) {
	c, m := readUser(r.body, "username", "password", "groups")
	username := strings.ToLower(c.username)
	switch {
	case c.username == "" && !m.At("/username"):
		m.Add("/username", "required", "is missing: what the person types on the login page")
	case people.CheckUsername(username) != nil && !m.At("/username"):
		m.Add("/username", "invalid", "must be up to 128 letters, digits and . _ @ + -, beginning with a letter or digit")
	}
	if _, given := r.body["password"]; !given {
		m.Add("/password", "required", "is missing")
	} else {
		c.checkPassword(username, &m)
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	hash, err := login.HashPassword(r.Context(), a.Hasher, c.password)
	if err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		user := &people.User{Username: username, PasswordHash: hash, Groups: c.groups}
		if err := a.Store.Users().Create(ctx, user); err != nil { // and its event, as below
			return nil, audit.Event{}, err
		}
		answer, err := a.changedUser(ctx, http.StatusCreated, user.ID)
		if err == nil {
			answer.header.Set("Location", ofUsers.path+url.PathEscape(user.ID))
		}
		return answer, audit.Event{}, err
	})
}

// changedUser is an account as a change has left it.
func (a *api) changedUser(ctx context.Context, status int, id string) (*answer, error) {
	user, err := a.Store.Users().Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return shownUser(status, user), nil
}

// patchUser is PATCH /users/{id}: a new password, other groups, or both.
func (a *api) patchUser(r *request) (*answer, error) {
	if err := r.demandCondition(); err != nil {
		return nil, err
	}
	user, seen, err := a.seenUser(r)
	if err != nil {
		return nil, err
	}
	c, m := readUser(r.body, "password", "groups")
	_, newPassword := r.body["password"]
	if newPassword {
		c.checkPassword(user.Username, &m)
	}
	if err := m.Err(); err != nil {
		return nil, err
	}
	var hash []byte
	if newPassword {
		if hash, err = login.HashPassword(r.Context(), a.Hasher, c.password); err != nil {
			return nil, err
		}
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		account := a.Store.Users().ByID(user.ID)
		account.Seen = seen
		if c.hasGroups {
			if err := account.SetGroups(ctx, c.groups); err != nil {
				return nil, audit.Event{}, err
			}
			account.Seen = time.Time{} // which this has changed
		}
		if newPassword {
			if err := account.SetPassword(ctx, hash); err != nil {
				return nil, audit.Event{}, err
			}
		}
		answer, err := a.changedUser(ctx, http.StatusOK, user.ID)
		return answer, audit.Event{}, err
	})
}

// seenUser reads the account of the path and compares it with the version that the caller has seen; seen is zero without one.
func (a *api) seenUser(r *request) (user *people.User, seen time.Time, err error) {
	if user, err = a.Store.Users().Get(r.Context(), r.named()); err != nil {
		return nil, time.Time{}, err
	}
	if err := r.checkConditions(userTag(user)); err != nil {
		return nil, time.Time{}, err
	}
	if condition := strings.Join(r.Header.Values("If-Match"), ","); condition != "" && strings.TrimSpace(condition) != "*" {
		seen = user.UpdatedAt
	}
	return user, seen, nil
}

// changeUser carries out a change of the account of the path that needs no body.
func (a *api) changeUser(r *request, do func(account people.Account, ctx context.Context) error) (*answer, error) {
	user, seen, err := a.seenUser(r)
	if err != nil {
		return nil, err
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		account := a.Store.Users().ByID(user.ID)
		account.Seen = seen
		if err := do(account, ctx); err != nil {
			return nil, audit.Event{}, err
		}
		if r.Method == http.MethodDelete {
			return noContent(), audit.Event{}, nil
		}
		answer, err := a.changedUser(ctx, http.StatusOK, user.ID)
		return answer, audit.Event{}, err
	})
}

// disableUser is POST /users/{id}/disable.
func (a *api) disableUser(r *request) (*answer, error) {
	return a.changeUser(r, people.Account.Disable)
}

// deleteUser is DELETE /users/{id}.
func (a *api) deleteUser(r *request) (*answer, error) { return a.changeUser(r, people.Account.Delete) }

// enableUser is POST /users/{id}/enable. Who is kept out without an account has none afterwards: there is nothing to show.
func (a *api) enableUser(r *request) (*answer, error) {
	user, _, err := a.seenUser(r)
	if err != nil {
		return nil, err
	}
	if user.Username != "" {
		return a.changeUser(r, people.Account.Enable)
	}
	return a.change(r, func(ctx context.Context) (*answer, audit.Event, error) {
		return noContent(), audit.Event{}, a.Store.Users().LetIn(ctx, user.ID)
	})
}
