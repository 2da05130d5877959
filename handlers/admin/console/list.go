package console

import (
	"errors"
	"net/http"
	"net/url"
)

// list is one page of a list of the API.
type list[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// filters are the fields that narrow a list, as they are shown above it.
type filters struct {
	Fields []field
	Set    bool // something narrows the list
	Next   string
}

// read puts what the query of the page says into the fields, and returns the query for the API.
func (f *filters) read(page url.Values) url.Values {
	query := url.Values{}
	for i := range f.Fields {
		field := &f.Fields[i]
		field.Value = page.Get(field.Name)
		if field.Value != "" {
			query.Set(field.Name, field.Value)
			f.Set = true
		}
	}
	if cursor := page.Get("cursor"); cursor != "" {
		query.Set("cursor", cursor)
	}
	return query
}

// next sets the link to the page behind cursor, which is empty on the last one.
func (f *filters) next(path string, query url.Values, cursor string) {
	if cursor != "" {
		query.Set("cursor", cursor)
		f.Next = path + "?" + query.Encode()
	}
}

// listed reads the page of a list of the API that the query of the page asks for, and links to the next one.
func listed[T any](v *visit, f *filters, page, api string) (items []T, status int, err error) {
	query := f.read(v.r.URL.Query())
	var found list[T]
	if status, err = f.get(v, api, query, &found); err != nil {
		return nil, status, err
	}
	f.next(base+page, query, found.NextCursor)
	return found.Items, status, nil
}

// get reads a page of a list. Filters that the API refuses are marked as wrong, and nothing is listed: the status is then that of
// its answer.
func (f *filters) get(v *visit, path string, query url.Values, into any) (status int, err error) {
	_, err = v.get(path, query, into)
	var p *problem
	if errors.As(err, &p) && p.Status == http.StatusBadRequest && len(p.blame(f.Fields)) == 0 {
		return http.StatusBadRequest, nil
	}
	return http.StatusOK, err
}
