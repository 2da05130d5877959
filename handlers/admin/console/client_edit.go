package console

import "net/http"

func (v *visit) editPage() error {
	c := registration{ID: v.named("client_id")}
	version, err := v.get(c.api(""), nil, &c)
	if err != nil {
		return err
	}
	return v.showEdit(http.StatusOK, formData{Client: c, Fields: v.clientFields(c), Version: version})
}

func (v *visit) showEdit(status int, data formData) error {
	data.Action, data.Back, data.Button = data.Client.Path("/edit"), data.Client.Path(""), "Save"
	return v.render(status, "form", v.page("Change "+data.Client.Name, "clients", data))
}

// edit changes the members that differ from what the client has. The API refuses that when the client is not as it was when the
// page was made.
func (v *visit) edit() error {
	c := registration{ID: v.named("client_id")}
	if _, err := v.get(c.api(""), nil, &c); err != nil {
		return err
	}
	before := v.clientFields(c)
	data := formData{Client: c, Fields: v.clientFields(c), Version: v.r.PostForm.Get("version")}
	fill(data.Fields, v.r.PostForm)
	patch := map[string]any{}
	for i, f := range data.Fields {
		if f.Value != before[i].Value {
			patch[f.Name] = f.json()
		}
	}
	if len(patch) == 0 {
		return v.redirect(c.Path(""))
	}
	if _, err := v.send(http.MethodPatch, c.api(""), patch, http.Header{"If-Match": {data.Version}}); err != nil {
		if err := data.refused(err); err != nil {
			return err
		}
		return v.showEdit(http.StatusBadRequest, data)
	}
	return v.redirect(c.Path("") + "?done=changed")
}
