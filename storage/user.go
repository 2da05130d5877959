package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ory/fosite"
)

// ErrUserExists says that the user name is taken.
var ErrUserExists = errors.New("storage: an account with this user name exists")

// User is a local account.
type User struct {
	ID           string // the subject of the person's tokens; never used again
	Username     string // lower case
	PasswordHash []byte
	Groups       []string
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DisabledAt   time.Time // zero: the account may log in
}

// usernames leaves out what could make two names look alike.
var usernames = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,127}$`)

// userIDPrefix begins the ids of local accounts.
const userIDPrefix = "user_"

// CheckUsername tells what is wrong with the name of a new account.
func CheckUsername(username string) error {
	if !usernames.MatchString(username) {
		return fmt.Errorf("storage: %q is no user name: use up to 128 lower case letters, digits and . _ @ + -, beginning with a letter or digit", username)
	}
	return nil
}

// CheckGroup tells what is wrong with the name of a group.
func CheckGroup(group string) error {
	if group == "" || len(group) > 128 || strings.TrimSpace(group) != group || strings.ContainsFunc(group, func(r rune) bool { return r == ',' || !unicode.IsPrint(r) }) {
		return fmt.Errorf("storage: %q is no group name: use 1 to 128 printable characters without commas", group)
	}
	return nil
}

// CreateUser stores a new account and fills in ID and times. It answers [ErrUserExists] for a name that is taken.
func (s *Store) CreateUser(ctx context.Context, user *User) error {
	if err := errors.Join(CheckUsername(user.Username), checkGroups(user.Groups)); err != nil {
		return err
	}
	if len(user.PasswordHash) == 0 {
		return errors.New("storage: refusing to store an account without a password")
	}
	user.ID = newID(userIDPrefix)
	user.CreatedAt = s.now().UTC().Truncate(time.Millisecond)
	user.UpdatedAt = user.CreatedAt
	return s.Atomically(ctx, func(ctx context.Context) error {
		n, err := s.db.Run(ctx, `INSERT INTO {users} (id, username, password_hash, created_at, updated_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (username) DO NOTHING`, user.ID, user.Username, string(user.PasswordHash), millis(user.CreatedAt), millis(user.UpdatedAt))
		if err != nil {
			return fmt.Errorf("storage: store an account: %w", err)
		}
		if n == 0 {
			return ErrUserExists
		}
		if err := s.insertGroups(ctx, user.ID, user.Groups); err != nil {
			return err
		}
		return s.auditUser(ctx, "user.created", user.Username)
	})
}

func checkGroups(groups []string) (err error) {
	for _, group := range groups {
		err = errors.Join(err, CheckGroup(group))
	}
	return err
}

func (s *Store) insertGroups(ctx context.Context, userID string, groups []string) error {
	for _, group := range groups {
		if _, err := s.db.Run(ctx, `INSERT INTO {user_groups} (user_id, name) VALUES (?, ?) ON CONFLICT DO NOTHING`, userID, group); err != nil {
			return fmt.Errorf("storage: store a group of an account: %w", err)
		}
	}
	return nil
}

const selectUsers = `SELECT u.id, u.username, u.password_hash, u.created_at, u.updated_at, u.disabled_at, g.name
	FROM {users} u LEFT JOIN {user_groups} g ON g.user_id = u.id
	WHERE u.password_hash <> '' -- those without one were deleted
`

// FindUser reads an account by its name, in any case. It answers [fosite.ErrNotFound] when there is none.
func (s *Store) FindUser(ctx context.Context, username string) (*User, error) {
	if !isText(username) {
		return nil, fosite.ErrNotFound // typed by anybody; to PostgreSQL it is an error, which must not look like an outage
	}
	users, err := s.users(ctx, selectUsers+` AND u.username = ? ORDER BY g.name`, strings.ToLower(username))
	if err != nil {
		return nil, err
	}
	if len(users) == 0 {
		return nil, fosite.ErrNotFound
	}
	return users[0], nil
}

// ListUsers returns every account in the order of their names.
func (s *Store) ListUsers(ctx context.Context) ([]*User, error) {
	return s.users(ctx, selectUsers+` ORDER BY u.username, g.name`)
}

func (s *Store) users(ctx context.Context, query string, args ...any) ([]*User, error) {
	rows, err := s.db.Read(ctx).Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("storage: read accounts: %w", err)
	}
	defer rows.Close()
	var users []*User
	for rows.Next() {
		var user User
		var hash string
		var created, updated int64
		var disabled sql.NullInt64
		var group sql.NullString
		if err := rows.Scan(&user.ID, &user.Username, &hash, &created, &updated, &disabled, &group); err != nil {
			return nil, fmt.Errorf("storage: read accounts: %w", err)
		}
		if len(users) == 0 || users[len(users)-1].ID != user.ID {
			user.PasswordHash = []byte(hash)
			user.CreatedAt, user.UpdatedAt, user.DisabledAt = fromMillis(created), fromMillis(updated), fromNullMillis(disabled)
			users = append(users, &user)
		}
		if group.Valid {
			last := users[len(users)-1]
			last.Groups = append(last.Groups, group.String)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("storage: read accounts: %w", err)
	}
	return users, nil
}

// LoginAccount is what the login page needs of an account that may log in. It answers [fosite.ErrNotFound] for one
// that does not exist or is disabled.
func (s *Store) LoginAccount(ctx context.Context, username string) (subject string, passwordHash []byte, groups []string, err error) {
	user, err := s.FindUser(ctx, username)
	if err != nil {
		return "", nil, nil, err
	}
	if !user.DisabledAt.IsZero() {
		return "", nil, nil, fosite.ErrNotFound
	}
	return user.ID, user.PasswordHash, slices.Clip(user.Groups), nil
}
