package console

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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

// mostPages bounds a file: the API gives it page by page.
const (
	mostPages = 50
	pageSize  = 200
)

// auditFile is the log as a CSV file, oldest first. One that would be too long is refused: what is left out shows nowhere in it.
func (v *visit) auditFile() error {
	filters := auditFilters()
	query := filters.read(v.r.URL.Query())
	filters.forAPI(query)
	query.Set("limit", strconv.Itoa(pageSize))
	query.Del("cursor")
	var file bytes.Buffer
	for range mostPages {
		a, err := v.send(http.MethodGet, "/audit?"+query.Encode(), nil, http.Header{"Accept": {"text/csv"}})
		if err != nil {
			return err
		}
		rows := a.body.Bytes()
		if file.Len() > 0 {
			_, rows, _ = bytes.Cut(rows, []byte("\n")) // each page begins with the names of the columns
		}
		file.Write(rows)
		next := a.header.Get("Link")
		if next == "" {
			return v.sendFile(a.header.Get("Content-Type"), "audit-"+v.now().UTC().Format("20060102-1504")+".csv", file.Bytes())
		}
		cursor, err := cursorOf(next)
		if err != nil {
			return err
		}
		query.Set("cursor", cursor)
	}
	return &problem{Status: http.StatusBadRequest, Title: "Too many events for one file",
		Detail: "More than " + strconv.Itoa(mostPages*pageSize) + " events are like that. " +
			"Choose a shorter time, or use the command line: fosite-mcp audit --csv."}
}

// cursorOf is the cursor of the next page, which the API names in the header Link: <…?cursor=…>; rel="next".
func cursorOf(link string) (string, error) {
	target, _, _ := bytes.Cut(bytes.TrimPrefix([]byte(link), []byte("<")), []byte(">"))
	u, err := url.Parse(string(target))
	if err != nil {
		return "", err
	}
	return u.Query().Get("cursor"), nil
}

func (v *visit) sendFile(mediaType, name string, content []byte) error {
	header := v.w.Header()
	header.Set("Content-Type", mediaType)
	header.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", policy)
	_, err := v.w.Write(content)
	return err
}
