package console

import (
	"net/http"
	"time"
)

// adminKey is an admin key as the API shows it.
type adminKey struct {
	Name       string     `json:"name"`
	Role       string     `json:"role"`
	ClientIDs  []string   `json:"client_ids"`
	Status     string     `json:"status"`
	Hint       string     `json:"hint"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// keysData is the data of keys.html.
type keysData struct {
	filters
	Keys []adminKey
}

func (v *visit) keysPage() error {
	var data keysData
	query := data.read(v.r.URL.Query())
	var found list[adminKey]
	if _, err := v.get("/keys", query, &found); err != nil {
		return err
	}
	data.Keys = found.Items
	data.next(base+"/keys", query, found.NextCursor)
	return v.render(http.StatusOK, "keys", v.page("Admin keys", "keys", data))
}
