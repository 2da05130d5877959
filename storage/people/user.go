package people

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ory/fosite"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// ErrUserExists says that the user name is taken.
var ErrUserExists = errors.New("storage: an account with this user name exists")

// User is a local account.
type User struct {
	ID           string // the subject of the person's tokens; never used again
	Username     string // lower case; empty: somebody without an account whom [Users.KeepOut] keeps out
	PasswordHash []byte
	Groups       []string
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DisabledAt   time.Time // zero: the account may log in
	Place        string    // in the order of [Users.Page]
}

// usernames leaves out what could make two names look alike.
var usernames = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]*$`)

// idPrefix begins the ids of local accounts.
const idPrefix = "user_"

// CheckUsername tells what is wrong with the name of a new account.
func CheckUsername(username string) error {
	if len(username) > 128 || !usernames.MatchString(username) {
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

func checkGroups(groups []string) (err error) {
	for _, group := range groups {
		err = errors.Join(err, CheckGroup(group))
	}
	return err
}

// Users is the local accounts.
type Users struct{ people }

// Find reads an account by its name, in any case. It answers [fosite.ErrNotFound] when there is none.
func (u *Users) Find(ctx context.Context, username string) (*User, error) {
	username = strings.ToLower(username)
	if CheckUsername(username) != nil {
		return nil, fosite.ErrNotFound // typed by anybody; to PostgreSQL it may be an error, which must not look like an outage
	}
	users, err := u.read(ctx, "username = ?", username)
	if err != nil {
		return nil, err
	}
	if len(users) == 0 {
		return nil, fosite.ErrNotFound
	}
	return users[0], nil
}

// List returns every account in the order of their names.
func (u *Users) List(ctx context.Context) ([]*User, error) { return u.read(ctx) }

// existing leaves out the accounts that were deleted.
const existing = "password_hash <> ''"

// member is an account with one of its groups, or with none.
type member struct {
	model.User
	Group model.Text `gorm:"column:name"`
}

func (u *Users) read(ctx context.Context, conditions ...any) (users []*User, err error) {
	var rows []member
	err = u.db.Read(ctx).Model(&model.User{}).Select("*").Joins("LEFT JOIN "+u.db.Table("user_groups")+" ON user_id = id").
		Where(existing).Order("username, name").Find(&rows, conditions...).Error
	if err != nil {
		return nil, database.Wrap(err, "read accounts")
	}
	for _, row := range rows {
		if len(users) == 0 || users[len(users)-1].ID != row.ID {
			users = append(users, userOf(&row.User))
		}
		if row.Group != "" {
			last := users[len(users)-1]
			last.Groups = append(last.Groups, string(row.Group))
		}
	}
	return users, nil
}

// LoginAccount is what the login page needs of an account that may log in. It answers [fosite.ErrNotFound] for one
// that does not exist or is disabled.
func (u *Users) LoginAccount(ctx context.Context, username string) (subject string, passwordHash []byte, groups []string, err error) {
	user, err := u.Find(ctx, username)
	if err != nil {
		return "", nil, nil, err
	}
	if !user.DisabledAt.IsZero() {
		return "", nil, nil, fosite.ErrNotFound
	}
	return user.ID, user.PasswordHash, slices.Clip(user.Groups), nil
}

// CurrentGroups returns the groups that a local account has now, none if it was deleted. known is false for a subject that
// is no local account.
func (u *Users) CurrentGroups(ctx context.Context, subject string) (groups []string, known bool, err error) {
	if !strings.HasPrefix(subject, idPrefix) {
		return nil, false, nil
	}
	var names []model.Text
	err = u.db.Read(ctx).Raw(u.db.SQL(`SELECT g.name FROM {users} u LEFT JOIN {user_groups} g ON g.user_id = u.id
		WHERE u.id = CAST(? AS TEXT) ORDER BY g.name`), subject).Find(&names).Error
	if err != nil {
		return nil, false, database.Wrap(err, "read the groups of an account")
	}
	for _, name := range names {
		if name != "" {
			groups = append(groups, string(name))
		}
	}
	return groups, len(names) > 0, nil
}

// Allow refuses what is about to be granted in tx in the name of a local account that was disabled or deleted since its login
// was looked at. It locks the account: whoever disables it comes before, and is seen, or after, and ends the new grant with
// the others. Of somebody without an account here it refuses who is kept out: see [Users.KeepOut]. The grant must be stored before.
func (u *Users) Allow(tx *database.Tx, subject string) error {
	user, err := lock(tx, "id = ?", subject)
	if err != nil {
		return err
	}
	if user != nil && !user.DisabledAt.IsZero() {
		return fosite.ErrAccessDenied.WithHint("The account may not log in any more.")
	}
	return nil
}
