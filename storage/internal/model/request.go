package model

// Request is what every table that holds a fosite request has in common.
type Request struct {
	RequestID         string `gorm:"column:request_id;not null;index:by_request"`
	ClientID          string `gorm:"column:client_id;not null;index:by_client,priority:1"`
	SecretID          Text   `gorm:"column:secret_id"`
	Epoch             int64  `gorm:"column:epoch;type:BIGINT;not null"`
	Subject           Text   `gorm:"column:subject"`
	Scope             List   `gorm:"column:scope;not null"`
	Audience          List   `gorm:"column:audience;not null"`
	RequestedScope    *List  `gorm:"column:requested_scope"` // nil: the same as granted
	RequestedAudience *List  `gorm:"column:requested_audience"`
	Form              Form   `gorm:"column:form"`
	SessionType       Text   `gorm:"column:session_type"` // empty: the store's own default
	Session           Text   `gorm:"column:session"`
	IssuedAt          Time   `gorm:"column:issued_at;not null;index:by_client,priority:2"`
	ExpiresAt         Time   `gorm:"column:expires_at;index:by_expiry"`
}
