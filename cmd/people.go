package cmd

import (
	"context"
	"errors"
	"net/http"

	"fosite-mcp/cmd/internal/apiclient"
	"fosite-mcp/cmd/internal/terminal"
	"fosite-mcp/handlers/login"
	"fosite-mcp/provider"
	"fosite-mcp/storage"
	"fosite-mcp/storage/people"

	"github.com/ory/fosite"
)

// Commands on people and admin keys work on the database, unless a flag names a server: who runs the server needs no key then,
// and who has a key needs no database.

// whereLong is a part of the help of these commands.
const whereLong = `These commands work on the database directly, with the settings of the server; the server may be running. With --admin-url or
--admin-key-file they ask the admin API of a running server instead, and need no access to the database.`

// atServer tells whether a flag names a server.
func atServer(f *apiclient.Flags) bool { return f.URL != "" || f.KeyFile != "" }

// directory is where people are: the database, or behind the admin API.
type directory interface {
	Create(ctx context.Context, user *people.User, password string) error
	List(ctx context.Context) ([]*people.User, error)
	Find(ctx context.Context, username string) (*people.User, error)
	SetPassword(ctx context.Context, user *people.User, password string) error
	SetGroups(ctx context.Context, user *people.User, groups []string) error
	Disable(ctx context.Context, user *people.User) error
	Enable(ctx context.Context, user *people.User) error
	Delete(ctx context.Context, user *people.User) error
	KeepOut(ctx context.Context, subject string) (people.Ended, error)
	Consents(ctx context.Context, filter people.ConsentFilter) ([]people.Consent, error)
	Withdraw(ctx context.Context, filter people.ConsentFilter) (int, error)
}

// withPeople runs fn on the people of the database, or on those of the server that a flag names.
func (a *app) withPeople(ctx context.Context, f *apiclient.Flags, fn func(context.Context, directory) error) error {
	if !atServer(f) {
		return orAtServer(a.withActor(ctx, func(ctx context.Context, store *storage.Store) error { return fn(ctx, storedPeople{store}) }))
	}
	api, err := a.adminAPI(f)
	if err != nil {
		return err
	}
	return fn(ctx, servedPeople{api})
}

// withUser is withPeople for one account.
func (a *app) withUser(ctx context.Context, f *apiclient.Flags, username string, fn func(context.Context, directory, *people.User) error) error {
	return a.withPeople(ctx, f, func(ctx context.Context, all directory) error {
		user, err := all.Find(ctx, username)
		if err != nil {
			return errNoUser(err, username)
		}
		return errNoUser(fn(ctx, all, user), username)
	})
}

// errNoUser replaces the not found of store and server.
func errNoUser(err error, username string) error {
	if errors.Is(err, fosite.ErrNotFound) || apiclient.IsStatus(err, http.StatusNotFound) {
		return apiclient.Instead(err, "there is no account %s; see fosite-mcp user list", terminal.Printable(username))
	}
	return err
}

// storedPeople are those of the database.
type storedPeople struct{ store *storage.Store }

func hashPassword(ctx context.Context, password string) ([]byte, error) {
	return login.HashPassword(ctx, provider.NewSecretHasher(), password)
}

func (s storedPeople) Create(ctx context.Context, user *people.User, password string) (err error) {
	if user.PasswordHash, err = hashPassword(ctx, password); err != nil {
		return err
	}
	return s.store.Users().Create(ctx, user)
}

func (s storedPeople) List(ctx context.Context) (users []*people.User, err error) {
	filter := people.UserFilter{Limit: apiclient.LargestPage}
	for more := true; more; {
		var page []*people.User
		if page, more, err = s.store.Users().Page(ctx, filter); err != nil {
			return nil, err
		}
		if users = append(users, page...); more {
			filter.After = page[len(page)-1].Place
		}
	}
	return users, nil
}

func (s storedPeople) Find(ctx context.Context, username string) (*people.User, error) {
	return s.store.Users().Find(ctx, username)
}

func (s storedPeople) SetPassword(ctx context.Context, user *people.User, password string) error {
	hash, err := hashPassword(ctx, password)
	if err != nil {
		return err
	}
	return s.store.Users().ByID(user.ID).SetPassword(ctx, hash)
}

func (s storedPeople) SetGroups(ctx context.Context, user *people.User, groups []string) error {
	return s.store.Users().ByID(user.ID).SetGroups(ctx, groups)
}

func (s storedPeople) Disable(ctx context.Context, user *people.User) error {
	return s.store.Users().ByID(user.ID).Disable(ctx)
}

func (s storedPeople) Enable(ctx context.Context, user *people.User) error {
	if user.Username == "" {
		return s.store.Users().LetIn(ctx, user.ID)
	}
	return s.store.Users().ByID(user.ID).Enable(ctx)
}

func (s storedPeople) Delete(ctx context.Context, user *people.User) error {
	return s.store.Users().ByID(user.ID).Delete(ctx)
}

func (s storedPeople) KeepOut(ctx context.Context, subject string) (people.Ended, error) {
	return s.store.Users().KeepOut(ctx, subject)
}

func (s storedPeople) Consents(ctx context.Context, filter people.ConsentFilter) ([]people.Consent, error) {
	return s.store.Consents().List(ctx, filter)
}

func (s storedPeople) Withdraw(ctx context.Context, filter people.ConsentFilter) (int, error) {
	return s.store.Consents().WithdrawAll(ctx, filter)
}
