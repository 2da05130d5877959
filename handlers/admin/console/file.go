package console

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
)

// mostPages and mostBytes bound a file, which the API gives page by page: it is put together in memory.
const (
	mostPages = 50
	pageSize  = 200
	mostBytes = 16 << 20
)

// file sends a list of the API as a CSV file. One that would be too long is refused: what is left out shows nowhere in it.
func (v *visit) file(path, name string, filters filters) error {
	query := filters.read(v.r.URL.Query())
	filters.forAPI(query)
	query.Set("limit", strconv.Itoa(pageSize))
	query.Del("cursor")
	var file bytes.Buffer
	for range mostPages {
		a, err := v.send(http.MethodGet, path+"?"+query.Encode(), nil, http.Header{"Accept": {"text/csv"}})
		if err != nil {
			return err
		}
		rows := a.body.Bytes()
		if file.Len() > 0 {
			_, rows, _ = bytes.Cut(rows, []byte("\n")) // each page begins with the names of the columns
		}
		if file.Write(rows); file.Len() > mostBytes {
			break
		}
		next := a.header.Get("Link")
		if next == "" {
			return v.sendFile(a.header.Get("Content-Type"), name+"-"+v.now().UTC().Format("20060102-1504")+".csv", file.Bytes())
		}
		cursor, err := cursorOf(next)
		if err != nil {
			return err
		}
		query.Set("cursor", cursor)
	}
	return tooLong("More than " + strconv.Itoa(mostPages*pageSize) + " lines are like that, or more than 16 MiB. Choose a shorter time, or use the command line.")
}

// tooLong refuses a file.
func tooLong(detail string) error {
	return &problem{Status: http.StatusBadRequest, Title: "Too many lines for one file", Detail: detail}
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
