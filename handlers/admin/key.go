package admin

import "fosite-mcp/provider/client"

// NewKey makes an admin key, which looks like a client secret but begins with mcp_ak_. Store it with [EnsureKey] or
// storage.Store.CreateAdminKey.
func NewKey() string { return client.NewCredential("mcp_ak_") }
