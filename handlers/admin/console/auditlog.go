package console

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// event is an audit event as the API shows it.
type event struct {
	ID        int64                      `json:"id"`
	Time      *time.Time                 `json:"time"`
	Actor     string                     `json:"actor"`
	Action    string                     `json:"action"`
	ClientID  string                     `json:"client_id"`
	TokenID   string                     `json:"token_id"`
	RequestID string                     `json:"request_id"`
	IP        string                     `json:"ip"`
	Outcome   string                     `json:"outcome"`
	Members   map[string]json.RawMessage `json:"changes"`
}

// Client is the client that the event is about.
func (e event) Client() registration { return registration{ID: e.ClientID} }

// change is what an event tells of one member.
type change struct{ Name, Before, After string }

// Changes are those of the event, by their names.
func (e event) Changes() (all []change) {
	for _, name := range slices.Sorted(maps.Keys(e.Members)) {
		var values struct{ Before, After json.RawMessage }
		if err := json.Unmarshal(e.Members[name], &values); err != nil {
			values.After = e.Members[name]
		}
		all = append(all, change{name, shown(values.Before), shown(values.After)})
	}
	return all
}

// shown is a value for people: texts as they are, and "" for nothing.
func shown(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) == nil { // null is nothing, too
		return text
	}
	var texts []string
	if json.Unmarshal(value, &texts) == nil {
		return strings.Join(texts, ", ")
	}
	return string(value)
}

// auditData is the data of audit.html.
type auditData struct {
	filters
	Events []event
	CSV    string // link to the same as a file
}

func auditFilters() filters {
	return filters{Fields: []field{
		{Name: "since", Label: "From (UTC)", Kind: instant},
		{Name: "until", Label: "Until (UTC)", Kind: instant},
		{Name: "client_id", Label: "Client id", Kind: text},
		{Name: "action", Label: "Action", Hint: "Such as client.registered", Kind: text},
		{Name: "actor", Label: "Actor", Hint: "Such as the name of an admin key", Kind: text},
	}}
}

func (v *visit) auditPage() error {
	data := auditData{filters: auditFilters()}
	query := data.read(v.r.URL.Query())
	asked := maps.Clone(query)
	data.forAPI(asked)
	asked.Set("order", "desc")
	var found list[event]
	status, err := data.get(v, "/audit", asked, &found)
	if err != nil {
		return err
	}
	data.Events = found.Items
	data.CSV = base + "/audit.csv?" + without(query, "cursor").Encode()
	data.next(base+"/audit", query, found.NextCursor)
	return v.render(status, "audit", v.page("Audit log", "audit", data))
}

// forAPI writes the times of a query as the API reads them.
func (f *filters) forAPI(query url.Values) {
	for _, field := range f.Fields {
		if at, ok := field.json().(string); ok && field.Kind == instant && field.Value != "" {
			query.Set(field.Name, at)
		}
	}
}

func without(query url.Values, name string) url.Values {
	query = maps.Clone(query)
	query.Del(name)
	return query
}

func (v *visit) auditFile() error { return v.file("/audit", "audit", auditFilters()) }
