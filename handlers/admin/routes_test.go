package admin

import (
	"testing"

	"fosite-mcp/storage/audit"
)

// What says nothing about it nobody may do, so that a forgotten line is noticed here and not by an attacker.
func TestEveryRouteSaysWhoMayDoIt(t *testing.T) {
	for path, operations := range routes {
		for method, op := range operations {
			if op.open != (path == "/openapi.json") || !op.open && !audit.RoleAdmin.Allows(op.role) {
				t.Errorf("%s %s: open is %t and the role %q", method, path, op.open, op.role)
			}
			if method == "GET" == (op.role != audit.RoleRead) && !op.open {
				t.Errorf("%s %s needs the role %q", method, path, op.role)
			}
		}
	}
}
