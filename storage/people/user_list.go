package people

import (
	"context"
	"database/sql"
	"strings"

	"github.com/ory/fosite"

	"fosite-mcp/storage/internal/database"
	"fosite-mcp/storage/internal/model"
)

// UserFilter says which accounts [Users.Page] returns. The zero value means the first page of all.
type UserFilter struct {
	Username string // only the account of this name; in any case
	Query    string // matches the user name, and the subject of somebody without an account, anywhere, in either case
	Disabled *bool
	After    string // the last User.Place of the page before
	Limit    int    // default 50
}

// kept are the rows that are not left of a deleted account.
const kept = "(" + existing + " OR username = '" + outsider + "' || id)"

// Page returns accounts in the order of their names, and whether there are more. Those who are kept out without an account here
// are among them, with no name.
func (u *Users) Page(ctx context.Context, filter UserFilter) (users []*User, more bool, err error) {
	if filter.Limit <= 0 {
		filter.Limit = 50
	}
	query := u.db.Read(ctx).Where(kept).Where("username > ?", filter.After)
	if filter.Username != "" {
		query = query.Where("username = ?", strings.ToLower(filter.Username))
	}
	if filter.Query != "" {
		query = query.Where(`LOWER(username) LIKE LOWER(@q) ESCAPE '!'`,
			sql.Named("q", "%"+strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(filter.Query)+"%"))
	}
	if filter.Disabled != nil {
		query = query.Where(map[bool]string{true: "disabled_at IS NOT NULL", false: "disabled_at IS NULL"}[*filter.Disabled])
	}
	var rows []model.User
	if err := query.Order("username").Limit(filter.Limit + 1).Find(&rows).Error; err != nil {
		return nil, false, database.Wrap(err, "list accounts")
	}
	if more = len(rows) > filter.Limit; more {
		rows = rows[:filter.Limit]
	}
	byID, ids := map[string]*User{}, make([]string, len(rows))
	for i := range rows {
		user := userOf(&rows[i])
		user.Place = rows[i].Username
		users, ids[i], byID[user.ID] = append(users, user), user.ID, user
	}
	var groups []model.UserGroup
	if err := u.db.Read(ctx).Where("user_id IN ?", ids).Order("name").Find(&groups).Error; err != nil {
		return nil, false, database.Wrap(err, "read the groups of accounts")
	}
	for _, group := range groups {
		byID[group.UserID].Groups = append(byID[group.UserID].Groups, group.Name)
	}
	return users, more, nil
}

// Get reads the account of this id, or somebody who is kept out without one. It answers [fosite.ErrNotFound] when there is none.
func (u *Users) Get(ctx context.Context, id string) (*User, error) {
	if !model.Storable(id) {
		return nil, fosite.ErrNotFound
	}
	row, err := database.FindOne[model.User](u.db.Read(ctx).Where(kept).Where("id = ?", id), "read an account")
	if err == nil && row == nil {
		err = fosite.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	user := userOf(row)
	var groups []model.UserGroup
	if err := u.db.Read(ctx).Where("user_id = ?", id).Order("name").Find(&groups).Error; err != nil {
		return nil, database.Wrap(err, "read the groups of an account")
	}
	for _, group := range groups {
		user.Groups = append(user.Groups, group.Name)
	}
	return user, nil
}

func userOf(row *model.User) *User {
	user := &User{
		ID: row.ID, Username: row.Username, PasswordHash: []byte(row.PasswordHash),
		CreatedAt: row.CreatedAt.Time, UpdatedAt: row.UpdatedAt.Time, DisabledAt: row.DisabledAt.Time,
	}
	if row.PasswordHash == "" {
		user.Username, user.PasswordHash = "", nil
	}
	return user
}
