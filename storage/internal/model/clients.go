package model

type Client struct {
	ID                          string  `gorm:"column:id;primaryKey;index:by_creation,priority:2"`
	Name                        string  `gorm:"column:name;not null;default:''"`
	Owner                       string  `gorm:"column:owner;not null;default:''"`
	Status                      string  `gorm:"column:status;not null;default:'active'"` // active | disabled | deleted
	Scope                       List    `gorm:"column:scope;not null;default:''"`
	Audience                    List    `gorm:"column:audience;not null;default:''"`
	Introspects                 List    `gorm:"column:introspects;not null;default:''"`
	GrantTypes                  List    `gorm:"column:grant_types;not null;default:''"`
	ResponseTypes               List    `gorm:"column:response_types;not null;default:''"`
	RedirectURIs                List    `gorm:"column:redirect_uris;not null;default:''"`
	TokenEndpointAuthMethod     string  `gorm:"column:token_endpoint_auth_method;not null;default:''"`
	TokenEndpointAuthSigningAlg string  `gorm:"column:token_endpoint_auth_signing_alg;not null;default:''"`
	JWKS                        JSON    `gorm:"column:jwks;not null;default:''"`
	JWKSURI                     string  `gorm:"column:jwks_uri;not null;default:''"`
	AccessTokenLifespan         Seconds `gorm:"column:access_token_lifespan;type:BIGINT;not null;default:0"` // 0: the server's
	Metadata                    JSON    `gorm:"column:metadata;not null;default:''"`                         // an object
	Epoch                       int64   `gorm:"column:epoch;type:BIGINT;not null;default:0"`                 // raised to kill every token issued so far
	RevokedBefore               int64   `gorm:"column:revoked_before;type:BIGINT;not null;default:0"`        // Unix milliseconds; kills tokens issued before
	Version                     int64   `gorm:"column:version;type:BIGINT;not null;default:1"`               // raised by every change; the ETag
	CreatedAt                   Time    `gorm:"column:created_at;not null;index:by_creation,priority:1"`
	UpdatedAt                   Time    `gorm:"column:updated_at;not null"`
	ExpiresAt                   Time    `gorm:"column:expires_at"`
	LastUsedAt                  Time    `gorm:"column:last_used_at"`
}

type ClientSecret struct {
	ID         string  `gorm:"column:id;primaryKey"`
	ClientID   string  `gorm:"column:client_id;not null;index:by_client;index:slow,where:slow = 1"`
	Client     *Client `gorm:"foreignKey:ClientID;references:ID"`
	Hash       string  `gorm:"column:hash;not null"`                        // empty once deleted
	Hint       string  `gorm:"column:hint;not null;default:''"`             // last four characters
	Epoch      int64   `gorm:"column:epoch;type:BIGINT;not null;default:0"` // raised to kill every token issued with this secret
	CreatedAt  Time    `gorm:"column:created_at;not null"`
	ExpiresAt  Time    `gorm:"column:expires_at"`
	LastUsedAt Time    `gorm:"column:last_used_at"`
	DeletedAt  Time    `gorm:"column:deleted_at"`
	EndsOthers Flag    `gorm:"column:ends_others;type:BIGINT;not null;default:0"` // its first use ends the client's other secrets
	Slow       Flag    `gorm:"column:slow;type:BIGINT;not null;default:0"`        // an imported hash that takes long to compare
}
