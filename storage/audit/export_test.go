package audit

const (
	MaxText          = maxText
	IdempotencyClaim = idempotencyClaim
)

var (
	ErrAdminKeyName  = errAdminKeyName
	ErrAdminKeyRole  = errAdminKeyRole
	ErrAdminKeyShort = errAdminKeyShort
)
