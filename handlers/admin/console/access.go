package console

import (
	"maps"
	"strconv"
	"time"
)

// use is a secret of a client, tokens that differ in their times alone, or events that do.
type use struct {
	What       string     `json:"what"`
	SecretID   string     `json:"secret_id"`
	Subject    string     `json:"subject"`
	Scope      string     `json:"scope"`
	Actor      string     `json:"actor"`
	IP         string     `json:"ip"`
	Outcome    string     `json:"outcome"`
	Detail     string     `json:"detail"`
	Count      int64      `json:"count"`
	FirstAt    *time.Time `json:"first_at"`
	LastAt     *time.Time `json:"last_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// known says since when the server knows all of it.
type known struct {
	Since         *time.Time `json:"since"`
	CompleteSince *time.Time `json:"complete_since"` // each issued token is on record; nil: none is
	EventsSince   *time.Time `json:"events_since"`   // nil: no event was deleted
}

// TokensAt is when the record of all tokens begins, if that is within what is shown.
func (k known) TokensAt() *time.Time { return k.later(k.CompleteSince) }

// EventsAt is when the audit log begins, if that is within what is shown.
func (k known) EventsAt() *time.Time { return k.later(k.EventsSince) }

func (k known) later(at *time.Time) *time.Time {
	if at == nil || k.Since != nil && !at.After(*k.Since) {
		return nil
	}
	return at
}

// usageData is the data of usage.html.
type usageData struct {
	filters
	Known     known
	Client    registration
	Truncated bool
	Uses      []use
	CSV       string
}

// times are the filters of a time.
func times() []field {
	return []field{{Name: "since", Label: "From (UTC)", Kind: instant}, {Name: "until", Label: "Until (UTC)", Kind: instant}}
}

func (v *visit) usagePage() error {
	data := usageData{filters: filters{Fields: times()}, Client: registration{ID: v.named("client_id")}}
	query := data.read(v.r.URL.Query())
	data.CSV = data.Client.Path("/usage.csv?") + query.Encode()
	data.forAPI(query)
	var found struct {
		list[use]
		known
		Name      string `json:"client_name"`
		Truncated bool   `json:"truncated"`
	}
	status, err := data.get(v, data.Client.api("/usage"), query, &found)
	if err != nil {
		return err
	}
	data.Uses, data.Known, data.Truncated, data.Client.Name = found.Items, found.known, found.Truncated, found.Name
	if data.Client.Name == "" {
		data.Client.Name = data.Client.ID
	}
	return v.render(status, "usage", v.page("What "+data.Client.Name+" was used for", "clients", data))
}

// usageFile sends the uses of a client as a CSV file. The API tells them on one page, of which a file has all or nothing.
func (v *visit) usageFile() error {
	path, window := registration{ID: v.named("client_id")}.api("/usage"), filters{Fields: times()}
	query := window.read(v.r.URL.Query())
	window.forAPI(query)
	query.Set("limit", strconv.Itoa(pageSize))
	var found struct {
		Truncated bool `json:"truncated"`
	}
	if _, err := v.get(path, query, &found); err != nil {
		return err
	}
	if found.Truncated {
		return tooLong("There are more than " + strconv.Itoa(pageSize) + " tokens or events that differ. Choose a shorter time.")
	}
	return v.file(path, "usage", window)
}

// access is who could have used tokens of a client.
type access struct {
	ClientID   string     `json:"client_id"`
	ClientName string     `json:"client_name"`
	Owner      string     `json:"owner"`
	Subject    string     `json:"subject"`
	Username   string     `json:"username"`
	Scope      string     `json:"scope"`
	Resources  []string   `json:"resources"`
	By         string     `json:"by"`
	From       *time.Time `json:"access_from"`
	Until      *time.Time `json:"access_until"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Status     string     `json:"status"`
}

// Client is the client.
func (a access) Client() registration {
	return consent{ClientID: a.ClientID, ClientName: a.ClientName}.Client()
}

// accessData is the data of access.html.
type accessData struct {
	filters
	Known  known
	Access []access
	CSV    string
}

func accessFilters() filters {
	return filters{Fields: append(times(), field{Name: "client_id", Label: "Client id", Kind: text})}
}

func (v *visit) accessPage() error {
	data := accessData{filters: accessFilters()}
	query := data.read(v.r.URL.Query())
	asked := maps.Clone(query)
	data.forAPI(asked)
	var found struct {
		list[access]
		known
	}
	status, err := data.get(v, "/access", asked, &found)
	if err != nil {
		return err
	}
	data.Access, data.Known = found.Items, found.known
	data.CSV = base + "/access.csv?" + without(query, "cursor").Encode()
	data.next(base+"/access", query, found.NextCursor)
	return v.render(status, "access", v.page("Who had access", "audit", data))
}

func (v *visit) accessFile() error { return v.file("/access", "access", accessFilters()) }
