package model

// A User is a local account. The id is the subject of a person's tokens; it is random, so that a new account of an old
// name is somebody else. A row without a password hash is left of an account that was deleted, or keeps somebody out who has
// no account here.
type User struct {
	ID           string `gorm:"column:id;primaryKey"`
	Username     string `gorm:"column:username;not null;unique"` // lower case
	PasswordHash string `gorm:"column:password_hash;not null"`
	CreatedAt    Time   `gorm:"column:created_at;not null"`
	UpdatedAt    Time   `gorm:"column:updated_at;not null"`
	DisabledAt   Time   `gorm:"column:disabled_at"`
}

type UserGroup struct {
	UserID string `gorm:"column:user_id;primaryKey;not null"`
	User   *User  `gorm:"foreignKey:UserID;references:ID"`
	Name   string `gorm:"column:name;primaryKey;not null"`
}

// A Consent is what a person has allowed a client, one row for each scope at each resource. The names are those that the
// person saw.
type Consent struct {
	Subject    string `gorm:"column:subject;primaryKey;not null"`
	ClientID   string `gorm:"column:client_id;primaryKey;not null;index:by_client"`
	Resource   string `gorm:"column:resource;primaryKey;not null"`
	Scope      string `gorm:"column:scope;primaryKey;not null"`
	Username   string `gorm:"column:username;not null;index:by_username"`
	ClientName string `gorm:"column:client_name;not null"`
	CreatedAt  Time   `gorm:"column:created_at;not null"`
	UpdatedAt  Time   `gorm:"column:updated_at;not null"`
}

// A LoginSession is a browser that somebody is logged in with. TokenHash is the SHA-256 of the cookie.
type LoginSession struct {
	TokenHash Hash   `gorm:"column:token_hash;primaryKey"`
	Subject   string `gorm:"column:subject;not null;index:by_subject"`
	Data      string `gorm:"column:data;not null"` // JSON of the login package
	CreatedAt Time   `gorm:"column:created_at;not null"`
	SeenAt    Time   `gorm:"column:seen_at;not null"` // coarse
	ExpiresAt Time   `gorm:"column:expires_at;not null;index:by_expiry"`
}
