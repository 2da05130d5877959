package console

import (
	"net/http"
	"strconv"

	"fosite-mcp/internal/browser"
)

// rotateFields ask what becomes of the other secrets. The names are those of the API's members where there is one.
func rotateFields() []field {
	return []field{
		{Name: "previous", Label: "The other secrets", Kind: radio, Value: "later", Options: []option{
			{"later", "work for some hours more"},
			{"first", "end when the new one is used for the first time"},
			{"now", "end now"},
			{"leaked", "have leaked: they end now, and so do all tokens that were issued with them"},
			{"keep", "go on working"},
		}},
		{
			Name: "expires_previous_in", Label: "Hours", Hint: "For how long the other secrets work, if you chose the first of these.",
			Kind: number, Value: "168",
		},
		{Name: "expires_at", Label: "The new secret ends at (UTC)", Hint: "Leave it empty for a secret that does not end.", Kind: instant},
	}
}

// mostHours is ten years, as at the API.
const mostHours = 10 * 365 * 24

func (v *visit) rotatePage() error {
	data := formData{Client: registration{ID: v.named("client_id")}, Fields: rotateFields(), Once: browser.NewToken()}
	if _, err := v.get(data.Client.api(""), nil, &data.Client); err != nil {
		return err
	}
	return v.showRotate(http.StatusOK, data)
}

func (v *visit) showRotate(status int, data formData) error {
	data.Action, data.Back, data.Button = data.Client.Path("/rotate"), data.Client.Path("#secrets"), "Make a new secret"
	return v.render(status, "form", v.page("New secret of "+data.Client.Name, "clients", data))
}

func (v *visit) rotate() error {
	data := formData{Client: registration{ID: v.named("client_id")}, Fields: rotateFields(), Once: v.r.PostForm.Get("once")}
	if _, err := v.get(data.Client.api(""), nil, &data.Client); err != nil {
		return err
	}
	fill(data.Fields, v.r.PostForm)
	body := rotation(data.Fields)
	if body == nil {
		data.Problem = "Nothing was changed. Look at what is marked below."
		return v.showRotate(http.StatusBadRequest, data)
	}
	a, err := v.send(http.MethodPost, data.Client.api("/secrets"), body, http.Header{"Idempotency-Key": {data.Once}})
	if err != nil {
		if err := data.refused(err); err != nil {
			return err
		}
		return v.showRotate(http.StatusBadRequest, data)
	}
	var made struct {
		Secret string `json:"client_secret"`
	}
	if err := a.decode(&made); err != nil {
		return err
	}
	return v.showSecret(a, secretData{Client: data.Client, Secret: made.Secret})
}

// rotation is what the API is asked for; nil where a field is wrong, which it then says.
func rotation(fields []field) map[string]any {
	body := map[string]any{}
	switch fields[0].Value {
	case "later":
		hours, err := strconv.Atoi(fields[1].Value)
		if err != nil || hours < 1 || hours > mostHours {
			fields[1].Problem = "must be a whole number from 1 to " + strconv.Itoa(mostHours)
			return nil
		}
		body["expires_previous_in"] = hours * 3600
	case "now":
		body["expires_previous_in"] = 0
	case "first":
		body["end_previous_on_first_use"] = true
	case "leaked":
		body["leaked"] = true
	case "keep":
		body["keep_previous"] = true
	default:
		fields[0].Problem = "choose one"
		return nil
	}
	if end := fields[2].json(); end != nil {
		body["expires_at"] = end
	}
	return body
}
