package console

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// overviewData is the data of overview.html.
type overviewData struct {
	Ready    bool
	Detail   string // what is odd about the server
	About    []Fact
	Counts   []count
	Ending   []ending
	MoreEnds bool
}

// count is how many there are of something, and where they are listed.
type count struct{ Name, Number, Path string }

// ending is a client that ends soon: itself, or secrets of it.
type ending struct {
	Client  registration
	Secrets []secret
}

// endsSoon is how far ahead the overview looks, as the API and as people write it.
const (
	endsSoon = "14d"
	soon     = 14 * 24 * time.Hour
)

func (v *visit) overview() error {
	data := overviewData{About: v.About, Ready: true}
	if v.Health.Ready != nil {
		ctx, cancel := context.WithTimeout(v.r.Context(), 2*time.Second)
		defer cancel()
		data.Ready = v.Health.Ready(ctx) == nil
	}
	if v.Health.Detail != nil {
		data.Detail = v.Health.Detail()
	}
	for _, of := range []count{{Name: "Clients", Path: "/clients"}, {Name: "People", Path: "/users"}, {Name: "Admin keys", Path: "/keys"}} {
		if !v.session.actor.May(http.MethodGet, of.Path) {
			continue
		}
		var err error
		if of.Number, err = v.count(of.Path, url.Values{}); err != nil {
			return err
		}
		of.Path = base + map[string]string{"/clients": "/clients", "/users": "/people", "/keys": "/keys"}[of.Path]
		data.Counts = append(data.Counts, of)
	}
	var err error
	if data.Ending, data.MoreEnds, err = v.ending(); err != nil {
		return err
	}
	return v.render(http.StatusOK, "overview", v.page("Overview", "overview", data))
}

// count is how many items a list of the API has, as far as one page of it tells.
func (v *visit) count(path string, query url.Values) (string, error) {
	const most = 200
	query.Set("limit", strconv.Itoa(most))
	var found list[struct{}]
	if _, err := v.get(path, query, &found); err != nil {
		return "", err
	}
	if found.NextCursor != "" {
		return "more than " + strconv.Itoa(most), nil
	}
	return strconv.Itoa(len(found.Items)), nil
}

// ending lists the clients that end soon.
func (v *visit) ending() (all []ending, more bool, err error) {
	var found list[registration]
	if _, err := v.get("/clients", url.Values{"expires_within": {endsSoon}, "status": {"active"}, "limit": {"20"}}, &found); err != nil {
		return nil, false, err
	}
	until := v.now().Add(soon)
	for _, c := range found.Items {
		end := ending{Client: c}
		var secrets list[secret]
		if _, err := v.get(c.api("/secrets"), nil, &secrets); err != nil {
			return nil, false, err
		}
		for _, s := range secrets.Items {
			if s.ExpiresAt != nil && s.ExpiresAt.Before(until) {
				end.Secrets = append(end.Secrets, s)
			}
		}
		if end.Client.ExpiresAt != nil && !end.Client.ExpiresAt.Before(until) {
			end.Client.ExpiresAt = nil // not soon
		}
		all = append(all, end)
	}
	return all, found.NextCursor != "", nil
}
