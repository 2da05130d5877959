package login

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"unicode/utf8"

	"fosite-mcp/internal/browser"

	"github.com/ory/fosite"
	"golang.org/x/text/unicode/norm"
)

// Accounts is where local accounts are kept.
type Accounts interface {
	// LoginAccount reads the account with this name, in any case. One that does not exist or may not log in is
	// fosite.ErrNotFound. subject never changes and is never given to another account.
	LoginAccount(ctx context.Context, username string) (subject string, passwordHash []byte, groups []string, err error)
}

// Local is the login with a user name and a password.
type Local struct {
	Accounts Accounts
	// Hasher is the one that HashPassword was called with: provider.SecretHasher. Its error
	// fosite.ErrTemporarilyUnavailable means that it is too busy. Any other error means that the password is wrong.
	Hasher fosite.Hasher
}

// fairHasher is a hasher with a bound on comparisons at once. The others wait in queues, and the queues take turns.
type fairHasher interface {
	ComparePassword(ctx context.Context, queue string, hash, password []byte) error
}

func (l *Local) compare(ctx context.Context, queue string, hash, password []byte) error {
	if hasher, ok := l.Hasher.(fairHasher); ok {
		return hasher.ComparePassword(ctx, queue, hash, password)
	}
	return l.Hasher.Compare(ctx, hash, password)
}

// Bounds of a password, in characters. NIST SP 800-63B §3.1.1: long rather than complicated.
const (
	MinPassword = 12
	MaxPassword = 256
)

// CheckPassword tells what is wrong with a new password.
func CheckPassword(username, password string) error {
	switch length := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return errors.New("the password is not valid UTF-8")
	case length < MinPassword:
		return fmt.Errorf("the password has %d characters and needs %d or more: a few unrelated words make a good one", length, MinPassword)
	case length > MaxPassword:
		return fmt.Errorf("the password has %d characters; up to %d are allowed", length, MaxPassword)
	case password == username:
		return errors.New("the password is the user name; choose another")
	}
	return nil
}

// HashPassword makes the hash that an account is stored with. The hasher must hash slowly, as provider.SecretHasher does.
func HashPassword(ctx context.Context, hasher fosite.Hasher, password string) ([]byte, error) {
	return hasher.Hash(ctx, spice(password))
}

// spice makes a password that is written in two ways (é as one character or as two) the same, and makes sure that it
// never looks like a generated client secret, which the hasher would hash fast.
func spice(password string) []byte { return []byte("password:" + norm.NFKC.String(password)) }

// wrongLogin is a wrong user name or password. Nobody but the operator learns whether there is such an account.
type wrongLogin struct {
	username string // empty where there is no such account: it may be a password in the wrong field
}

func (*wrongLogin) Error() string { return "login: wrong user name or password" }

// errBusy says that the password was not compared.
var errBusy = errors.New("login: too many passwords are waiting to be compared")

// nobody has a password that nobody knows. It is compared where there is no such account, so that both refusals take the
// same time.
type nobody struct {
	mu    sync.Mutex
	known []byte
}

// hash makes the hash at the first login, whoever logs in: it takes long, and a server that starts has no time for it.
func (n *nobody) hash(ctx context.Context, hasher fosite.Hasher) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known != nil {
		return n.known, nil
	}
	hash, err := HashPassword(ctx, hasher, browser.NewToken())
	if errors.Is(err, fosite.ErrTemporarilyUnavailable) || ctx.Err() != nil {
		return nil, errBusy
	}
	n.known = hash
	return hash, err
}

// checkPassword returns the person with this user name and password. It takes as long for an account that does not exist.
// If many comparisons wait, those of one queue wait for each other.
func (s *Pages) checkPassword(ctx context.Context, queue, username, password string) (*person, error) {
	nobodys, err := s.nobody.hash(ctx, s.Local.Hasher)
	if err != nil {
		return nil, err
	}
	subject, hash, groups, err := s.Local.Accounts.LoginAccount(ctx, username)
	exists, wrong := err == nil, &wrongLogin{username}
	if errors.Is(err, fosite.ErrNotFound) {
		hash, err, wrong.username = nobodys, nil, ""
	}
	if err != nil {
		return nil, err
	}
	if len([]rune(password)) > MaxPassword {
		return nil, wrong
	}
	if err := s.Local.compare(ctx, queue, hash, spice(password)); err != nil {
		if ctx.Err() != nil || errors.Is(err, fosite.ErrTemporarilyUnavailable) {
			return nil, errBusy
		}
		if exists {
			s.Log.WarnContext(ctx, "wrong password", "username", username)
		}
		return nil, wrong
	}
	if !exists {
		return nil, wrong
	}
	return &person{
		Subject: subject, Username: username, Groups: groups, Method: byPassword, AuthenticatedAt: s.Now(), passwordHash: hash,
	}, nil
}
