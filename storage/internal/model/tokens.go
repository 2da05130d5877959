package model

// A Grant is the parent of everything that one consent (authorization code) has led to. Its id is fosite's request id.
type Grant struct {
	ID          string `gorm:"column:id;primaryKey"`
	ClientID    string `gorm:"column:client_id;not null;index:by_subject,priority:2"`
	Subject     string `gorm:"column:subject;not null;default:'';index:by_subject,priority:1"`
	CreatedAt   Time   `gorm:"column:created_at;not null"`
	ExpiresAt   Time   `gorm:"column:expires_at;index:by_expiry"`
	RevokedAt   Time   `gorm:"column:revoked_at"`
	LastRotated Hash   `gorm:"column:last_rotated"`                                                  // becomes the predecessor of the refresh token that is stored next
	RuleID      string `gorm:"column:rule_id;not null;default:'';index:by_rule,where:rule_id <> ''"` // of an identity assertion; empty: a login
}

// AccessToken has the SHA-256 of the token's signature as its key: what is stored here opens nothing.
type AccessToken struct {
	Signature Hash `gorm:"column:signature;primaryKey"`
	Request
	RevokedAt  Time `gorm:"column:revoked_at"`
	LastUsedAt Time `gorm:"column:last_used_at"`
}

type RefreshToken struct {
	Signature       Hash `gorm:"column:signature;primaryKey"`
	AccessSignature Hash `gorm:"column:access_signature"`
	Request
	RevokedAt    Time  `gorm:"column:revoked_at"`
	RotatedAt    Time  `gorm:"column:rotated_at"`
	Predecessor  Hash  `gorm:"column:predecessor"`                                  // the signature column of another refresh token
	GraceAnswers int64 `gorm:"column:grace_answers;type:BIGINT;not null;default:0"` // uses after the rotation that were answered
}

// AuthorizeSession is what lives minutes around a login: an authorization code, its PKCE or OpenID Connect half, or a
// pushed authorization request, or one that is kept between two pages.
type AuthorizeSession struct {
	Kind      string `gorm:"column:kind;primaryKey;not null"` // code | pkce | openid | par | kept | cleanup | write_check
	Signature Hash   `gorm:"column:signature;primaryKey;not null"`
	Request   `indexes:"by_expiry"`
	Details   Text `gorm:"column:details"` // what only this kind knows, as JSON
	UsedAt    Time `gorm:"column:used_at"`
}

// UsedAssertion is an assertion (RFC 7523) that has been used. The hash covers the jti as the store was given it.
type UsedAssertion struct {
	JTIHash   Hash `gorm:"column:jti_hash;primaryKey;not null"`
	ExpiresAt Time `gorm:"column:expires_at;not null;index:by_expiry"`
}

// TrustedKey is a key of an issuer that is trusted for the RFC 7523 authorization grant.
type TrustedKey struct {
	Issuer    string `gorm:"column:issuer;primaryKey;not null"`
	Subject   string `gorm:"column:subject;primaryKey;not null"`
	KeyID     string `gorm:"column:key_id;primaryKey;not null"`
	JWK       JSON   `gorm:"column:jwk;not null"`
	Scope     List   `gorm:"column:scope;not null;default:''"`
	ExpiresAt Time   `gorm:"column:expires_at"`
}

// ClientRevocation tells which tokens of a client have ended, for when the clients are the host's. A client gets a row when
// its tokens are first revoked.
type ClientRevocation struct {
	ID            string `gorm:"column:id;primaryKey"`
	Epoch         int64  `gorm:"column:epoch;type:BIGINT;not null;default:0"`          // raised to kill every token issued so far
	RevokedBefore int64  `gorm:"column:revoked_before;type:BIGINT;not null;default:0"` // Unix milliseconds; kills tokens issued before
}

// KeySet is the signing keys of JWT access tokens, of which there is one set. Private halves in it are encrypted.
type KeySet struct {
	Name     string `gorm:"column:name;primaryKey"`
	Revision int64  `gorm:"column:revision;type:BIGINT;not null"` // raised with each change
	Keys     JSON   `gorm:"column:keys;not null"`
}

// Revocation is an entry of the feed that tells services what has ended. Triggers write it, in the transaction that ends the
// tokens.
type Revocation struct {
	Position  int64  `gorm:"column:position;type:BIGINT;primaryKey;not null;autoIncrement:false"` // SQLite: 1, 2, 3, …; PostgreSQL: the id of the transaction
	ID        Hash   `gorm:"column:id;primaryKey;not null"`                                       // the signature column of the token, or a digest
	Kind      string `gorm:"column:kind;not null"`                                                // token | grant | client
	Name      string `gorm:"column:name;not null"`                                                // the id of the grant or client
	CreatedAt Time   `gorm:"column:created_at;not null"`
	ExpiresAt Time   `gorm:"column:expires_at;index:by_expiry"`
}
