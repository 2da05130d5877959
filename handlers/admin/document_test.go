package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"fosite-mcp/provider/client"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

// document is openapi.json, as far as tests look at it.
type document struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas    map[string]json.RawMessage    `json:"schemas"`
		Responses  map[string]documentedResponse `json:"responses"`
		Headers    map[string]documentedHeader   `json:"headers"`
		Parameters map[string]documentedParam    `json:"parameters"`
	} `json:"components"`
}

type documentedOperation struct {
	Role        string                        `json:"x-role"`
	Parameters  []documentedParam             `json:"parameters"`
	RequestBody *documentedBody               `json:"requestBody"`
	Responses   map[string]documentedResponse `json:"responses"`
}

type documentedBody struct {
	Content map[string]documentedContent `json:"content"`
}

type documentedParam struct {
	Ref  string `json:"$ref"`
	Name string `json:"name"`
	In   string `json:"in"`
}

type documentedResponse struct {
	Ref     string                       `json:"$ref"`
	Headers map[string]documentedHeader  `json:"headers"`
	Content map[string]documentedContent `json:"content"`
}

type documentedContent struct {
	Schema json.RawMessage `json:"schema"`
}

type documentedHeader struct {
	Ref      string          `json:"$ref"`
	Required bool            `json:"required"`
	Schema   json.RawMessage `json:"schema"`
}

var readDocument = sync.OnceValues(func() (*document, error) {
	raw, err := os.ReadFile("openapi.json")
	if err != nil {
		return nil, err
	}
	var d document
	return &d, json.Unmarshal(raw, &d)
})

func theDocument(t testing.TB) *document {
	t.Helper()
	d, err := readDocument()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// operation finds what the document says about a request; template is "" for a path that it does not know.
func (d *document) operation(t testing.TB, method, path string) (template string, op *documentedOperation) {
	t.Helper()
	path, _, _ = strings.Cut(path, "?")
	for template, item := range d.Paths {
		if !matchesTemplate(template, path) {
			continue
		}
		raw, known := item[strings.ToLower(method)]
		if !known {
			return template, nil
		}
		op := new(documentedOperation)
		if err := json.Unmarshal(raw, op); err != nil {
			t.Fatal(err)
		}
		return template, op
	}
	return "", nil
}

func matchesTemplate(template, path string) bool {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, have, func(want, have string) bool {
		return want == have || strings.HasPrefix(want, "{") && have != ""
	})
}

func last(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

var schemas sync.Map // document and schema text → *jsonschema.Resolved

// validate checks a JSON value against a schema of the document.
func (d *document) validate(t testing.TB, schema json.RawMessage, instance any) error {
	t.Helper()
	key := fmt.Sprintf("%p %s", d, schema)
	resolved, known := schemas.Load(key)
	if !known {
		definitions, err := json.Marshal(d.needed(string(schema)))
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf(`{"$defs":%s,"allOf":[%s]}`, definitions, schema)
		text = strings.ReplaceAll(text, "#/components/schemas/", "#/$defs/")
		var s jsonschema.Schema
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		r, err := s.Resolve(nil)
		if err != nil {
			t.Fatal(err)
		}
		resolved, _ = schemas.LoadOrStore(key, r)
	}
	return resolved.(*jsonschema.Resolved).Validate(instance)
}

var schemaRef = regexp.MustCompile(`#/components/schemas/(\w+)`)

// needed are the schemas that a text refers to, and those that they refer to. All of them would take many times as long.
func (d *document) needed(text string) map[string]json.RawMessage {
	needed := map[string]json.RawMessage{}
	for texts := []string{text}; len(texts) > 0; texts = texts[1:] {
		for _, ref := range schemaRef.FindAllStringSubmatch(texts[0], -1) {
			if _, known := needed[ref[1]]; !known {
				needed[ref[1]] = d.Components.Schemas[ref[1]]
				texts = append(texts, string(needed[ref[1]]))
			}
		}
	}
	return needed
}

// checkAgainstDocument reports an answer that is not as the document says, and a successful request that is not either.
func (w *world) checkAgainstDocument(c call, answer *reply) {
	t := w.t
	t.Helper()
	d := w.itsDocument()
	method := c.method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	template, op := d.operation(t, method, c.path)
	at := fmt.Sprintf("%s %s → %d", c.method, c.path, answer.StatusCode)
	w.checkHeaders(at, answer)
	if op == nil {
		want := []int{http.StatusNotFound, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable}
		if template != "" {
			want[0] = http.StatusMethodNotAllowed
		}
		if !slices.Contains(want, answer.StatusCode) {
			t.Errorf("%s: the document does not know this operation", at)
		}
		w.checkBody(at, documentedResponse{Ref: "#/components/responses/NotFound"}, c, answer)
		return
	}
	response, known := op.Responses[fmt.Sprint(answer.StatusCode)]
	if !known {
		t.Errorf("%s: the document does not know this status\n%s", at, answer.text)
		return
	}
	w.seen.Store(fmt.Sprintf("%s %s %d", method, template, answer.StatusCode), true)
	w.checkBody(at, response, c, answer)
	if op.RequestBody != nil && answer.StatusCode < 300 && c.body != "" {
		var instance any
		if err := json.Unmarshal([]byte(c.body), &instance); err != nil {
			t.Errorf("%s: %v", at, err)
		}
		if err := d.validate(t, op.RequestBody.Content["application/json"].Schema, instance); err != nil {
			t.Errorf("%s: the request was accepted, and is not as the document says: %v\n%s", at, err, c.body)
		}
	}
}

func (w *world) checkHeaders(at string, answer *reply) {
	w.t.Helper()
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := answer.Header.Get(name); got != want {
			w.t.Errorf("%s: %s is %q, want %q", at, name, got, want)
		}
	}
	if answer.Header.Get("X-Request-Id") == "" {
		w.t.Errorf("%s: no X-Request-Id", at)
	}
	for name := range answer.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Set-Cookie" {
			w.t.Errorf("%s: the header %s invites browsers", at, name)
		}
	}
}

func (w *world) checkBody(at string, response documentedResponse, c call, answer *reply) {
	t, d := w.t, w.itsDocument()
	t.Helper()
	if response.Ref != "" {
		response = d.Components.Responses[last(response.Ref)]
	}
	for name, header := range response.Headers {
		if header.Ref != "" {
			header = d.Components.Headers[last(header.Ref)]
		}
		if header.Required && answer.Header.Get(name) == "" {
			t.Errorf("%s: the header %s is missing", at, name)
		}
	}
	if len(response.Content) == 0 || c.method == http.MethodHead {
		if answer.text != "" && c.method != http.MethodHead {
			t.Errorf("%s: a body where there should be none: %s", at, answer.text)
		}
		return
	}
	mediaType, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	content, known := response.Content[mediaType]
	if !known {
		t.Errorf("%s: the document does not know the type %q here", at, mediaType)
		return
	}
	texts := []string{answer.text}
	switch mediaType {
	case "text/csv":
		return
	case "application/x-ndjson":
		texts = strings.Split(strings.TrimSuffix(answer.text, "\n"), "\n")
	}
	for _, text := range texts {
		var instance any
		if err := json.Unmarshal([]byte(text), &instance); err != nil {
			t.Errorf("%s: %v\n%s", at, err, text)
		} else if err := d.validate(t, content.Schema, instance); err != nil {
			t.Errorf("%s: the answer is not as the document says: %v\n%s", at, err, text)
		}
	}
}

// documented lists "METHOD path status" for everything in the document.
func (d *document) documented(t testing.TB) (operations, answers []string) {
	t.Helper()
	for template, item := range d.Paths {
		for method := range item {
			if method == "parameters" {
				continue
			}
			_, op := d.operation(t, method, template)
			operations = append(operations, strings.ToUpper(method)+" "+template)
			for status := range op.Responses {
				answers = append(answers, strings.ToUpper(method)+" "+template+" "+status)
			}
		}
	}
	slices.Sort(operations)
	slices.Sort(answers)
	return operations, answers
}

func TestTheDocumentIsServedWithoutAKey(t *testing.T) {
	w := newWorld(t)
	answer := w.do(call{method: "GET", path: "/openapi.json", header: map[string]string{"Authorization": ""}}).want(t, http.StatusOK)
	if answer.str("openapi") != "3.1.0" {
		t.Errorf("openapi is %q", answer.str("openapi"))
	}
}

func TestTheDocumentKnowsEveryMemberOfAClient(t *testing.T) {
	var documented, patch, created struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	d := theDocument(t)
	for name, into := range map[string]any{"Client": &documented, "ClientPatch": &patch, "NewClient": &created} {
		if err := json.Unmarshal(d.Components.Schemas[name], into); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	id, _ := w.client(`{"client_name":"ci"}`)
	self := &client.Client{Name: "self", RegisteredBy: client.DynamicRegistration} // which has every member
	if err := w.store.Clients().Create(t.Context(), self); err != nil {
		t.Fatal(err)
	}
	shown := slices.Sorted(maps.Keys(w.get("/clients/" + self.ID).json))
	if diff := cmp.Diff(shown, slices.Sorted(maps.Keys(documented.Properties))); diff != "" {
		t.Errorf("members shown (-) and documented (+):\n%s", diff)
	}
	for _, member := range slices.Sorted(maps.Keys(created.Properties)) {
		_, changeable := patch.Properties[member]
		refused := w.patch("/clients/"+id, "*", `{"`+member+`":{"x":[]}}`)
		if code := refused.problems()["/"+member]; changeable && (code == "unknown_member" || code == "read_only") || !changeable && code != "read_only" {
			t.Errorf("%s is %s in the document, and the API says %q", member, map[bool]string{true: "changeable", false: "not changeable"}[changeable], code)
		}
	}
}
