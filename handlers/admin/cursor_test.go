package admin

import (
	"testing"

	"fosite-mcp/storage"
	"fosite-mcp/storage/clients"
)

func FuzzCursor(f *testing.F) {
	f.Add(encodeCursor(clients.Cursor{CreatedAt: 1, ID: "x"}))
	f.Add(encodeCursor(storage.TokenCursor{IssuedAt: 1, ID: "y"}))
	f.Add(encodeCursor(auditCursor{7}))
	f.Add("e30")
	f.Add("////")
	f.Fuzz(func(t *testing.T, text string) {
		var client clients.Cursor
		if decodeCursor(text, &client) && encodeCursor(client) != text {
			t.Fatal("a cursor can be written in two ways")
		}
		var token storage.TokenCursor
		decodeCursor(text, &token)
		var audit auditCursor
		decodeCursor(text, &audit)
	})
}
