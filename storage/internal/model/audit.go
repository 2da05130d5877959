package model

import "gorm.io/gorm/schema"

// Events are chained: each hash covers the event and the hash before it. Nothing here is ever updated.
type AuditEvent struct {
	ID        int64  `gorm:"column:id;primaryKey;autoIncrement:false;index:by_time,priority:2;index:by_client,priority:2;index:by_action,priority:3,where:action <> 'token.issued' AND action <> 'token.revoked'"` // 1, 2, 3, … in the order of commit
	Time      Time   `gorm:"column:time;not null;index:by_time,priority:1"`
	Actor     string `gorm:"column:actor;not null"`
	Action    string `gorm:"column:action;not null;index:by_action,priority:1,where:action <> 'token.issued' AND action <> 'token.revoked'"`
	ClientID  string `gorm:"column:client_id;not null;default:'';index:by_client,priority:1;index:by_action,priority:2,where:action <> 'token.issued' AND action <> 'token.revoked'"`
	TokenID   string `gorm:"column:token_id;not null;default:''"`
	RequestID string `gorm:"column:request_id;not null;default:''"`
	IP        string `gorm:"column:ip;not null;default:''"`
	Outcome   string `gorm:"column:outcome;not null"`
	Changes   JSON   `gorm:"column:changes;not null;default:''"` // kept byte by byte because it is hashed
	PrevHash  Hash   `gorm:"column:prev_hash;not null"`
	Hash      Hash   `gorm:"column:hash;not null"`
}

// AuditChain has one row: the newest event, and the last one that was pruned. Its lock is what makes the chain linear.
type AuditChain struct {
	Chain      string `gorm:"column:chain;primaryKey"`
	LastID     int64  `gorm:"column:last_id;type:BIGINT;not null"`
	LastHash   Hash   `gorm:"column:last_hash;not null"`
	PrunedID   int64  `gorm:"column:pruned_id;type:BIGINT;not null"`
	PrunedHash Hash   `gorm:"column:pruned_hash;not null"`
}

// TableName is audit_chain with the host's prefix, and not audit_chains.
func (AuditChain) TableName(namer schema.Namer) string { return namer.JoinTableName("audit_chain") }

// IdempotencyKey is what was answered to a request with an Idempotency-Key. Status 0: still running.
type IdempotencyKey struct {
	KeyHash      Hash   `gorm:"column:key_hash;primaryKey"`
	RequestHash  Hash   `gorm:"column:request_hash;not null"`
	Claim        string `gorm:"column:claim;not null"`         // who runs it
	ClaimedUntil Time   `gorm:"column:claimed_until;not null"` // when a claim without an answer counts as abandoned
	Status       int64  `gorm:"column:status;type:BIGINT;not null;default:0"`
	Headers      string `gorm:"column:headers;not null;default:''"`
	Body         string `gorm:"column:body;not null;default:''"` // without the secret
	Sealed       Hash   `gorm:"column:sealed"`                   // with the secret, encrypted; nil once too old to be shown again
	CompletedAt  Time   `gorm:"column:completed_at;index:sealed,where:sealed IS NOT NULL"`
	ExpiresAt    Time   `gorm:"column:expires_at;not null;index:by_expiry"`
}

// AdminKey names are never reused: they are the actors of audit events.
type AdminKey struct {
	ID         string `gorm:"column:id;primaryKey"`
	Name       string `gorm:"column:name;not null;unique"`
	Hash       Hash   `gorm:"column:hash;not null;unique"`     // SHA-256 of the key
	Hint       string `gorm:"column:hint;not null;default:''"` // last four characters
	Role       string `gorm:"column:role;not null"`            // read | clients | people | admin, with "of clients: " in front where the key is for single clients
	CreatedAt  Time   `gorm:"column:created_at;not null"`
	ExpiresAt  Time   `gorm:"column:expires_at"`
	RevokedAt  Time   `gorm:"column:revoked_at"`
	LastUsedAt Time   `gorm:"column:last_used_at"`
	Clients    List   `gorm:"column:clients;not null;default:''"` // the only ones that it may see and change; empty: all
}

// A Setting is a fact about this deployment that must never change by accident (the issuer, for one).
type Setting struct {
	Name  string `gorm:"column:name;primaryKey;not null"`
	Value string `gorm:"column:value;not null"`
}
