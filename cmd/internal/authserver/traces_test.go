package authserver

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver is a collector of traces.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	bytes bytes.Buffer
	spans []*otlp.Span
	names []string // of the instrumentations
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var sent collector.ExportTraceServiceRequest
		if err != nil || request.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			t.Errorf("%s: %v, %d bytes", request.URL, err, len(body))
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bytes.Write(body)
		for _, resource := range sent.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				r.spans, r.names = append(r.spans, scope.Spans...), append(r.names, scope.Scope.Name)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// named are the spans with a name.
func (r *receiver) named(name string) (found []*otlp.Span) {
	for _, span := range r.spans {
		if span.Name == name {
			found = append(found, span)
		}
	}
	return found
}

func attribute(span *otlp.Span, name string) string {
	for _, a := range span.Attributes {
		if a.Key == name {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

const (
	callersTrace  = "0af7651916cd43dd8448eb211c80319c"
	callersSpan   = "b7ad6b7169203331"
	callersHeader = "00-" + callersTrace + "-" + callersSpan + "-01"
)

// A request is a part of its caller's trace, with the statements that it waits for, and nothing that leaves is secret.
func TestARequestIsAPartOfItsCallersTrace(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		traces := newReceiver(t)
		r := startReplica(t, database, "FOSITE_MCP_TRACING_ENDPOINT="+traces.URL)
		key, err := os.ReadFile(r.AdminKey)
		if err != nil {
			t.Fatal(err)
		}
		adminKey := strings.TrimSpace(string(key))
		status, answer := r.admin(adminKey, "POST", "/clients", `{"client_id":"ci","client_name":"CI","grant_types":["client_credentials"],"scope":"mcp:search"}`)
		var made struct {
			Secret string `json:"client_secret"`
		}
		if err := json.Unmarshal(answer, &made); err != nil || status != http.StatusCreated || made.Secret == "" {
			t.Fatalf("%d %s", status, answer)
		}
		send := func(path, secret string, form url.Values) (status int, body string) {
			request, err := http.NewRequestWithContext(t.Context(), "POST", r.PublicURL+"/authed/mcp/oauth"+path, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.Header.Set("Traceparent", callersHeader)
			request.Header.Set("Tracestate", "vendor=hidden-state")
			request.Header.Set("Baggage", "user=hidden-baggage")
			request.Header.Set("User-Agent", "hidden-agent")
			request.SetBasicAuth("ci", secret)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			read, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return response.StatusCode, string(read)
		}
		status, body := send("/token?hidden-query=1", made.Secret, url.Values{"grant_type": {"client_credentials"}})
		var issued struct {
			Token string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &issued); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		send("/introspect", made.Secret, url.Values{"token": {issued.Token}})
		send("/token", "wrong-hidden-secret", url.Values{"grant_type": {"client_credentials"}, "hidden-field": {"x"}})
		send("/token", made.Secret, url.Values{"grant_type": {"hidden-grant"}})
		send("/hidden-path", made.Secret, nil)
		if status, body := send("/revoke", made.Secret, url.Values{"token": {issued.Token}}); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		logged := r.said()
		r.stop() // which sends what waits
		traces.mu.Lock()
		defer traces.mu.Unlock()

		tokens := traces.named("POST /authed/mcp/oauth/token")
		if len(tokens) != 3 {
			t.Fatalf("%d spans of token requests", len(tokens))
		}
		if got := hex.EncodeToString(tokens[0].TraceId) + " " + hex.EncodeToString(tokens[0].ParentSpanId); got != callersTrace+" "+callersSpan {
			t.Errorf("the request belongs to %s", got)
		}
		for i, want := range []string{"ci client_credentials ", " client_credentials invalid_client", "ci  unsupported_grant_type"} {
			got := attribute(tokens[i], "oauth.client_id") + " " + attribute(tokens[i], "oauth.grant_type") + " " + attribute(tokens[i], "oauth.error")
			if !strings.HasPrefix(got, want) {
				t.Errorf("request %d: %q, want %q", i, got, want)
			}
		}
		inserts := traces.named("INSERT access_tokens")
		if len(inserts) != 1 || hex.EncodeToString(inserts[0].TraceId) != callersTrace || !strings.Contains(attribute(inserts[0], "db.query.text"), "VALUES") {
			t.Errorf("statements: %v", inserts)
		}
		above := slices.IndexFunc(traces.spans, func(s *otlp.Span) bool { return len(inserts) > 0 && bytes.Equal(s.SpanId, inserts[0].ParentSpanId) })
		if above < 0 || !bytes.Equal(traces.spans[above].ParentSpanId, tokens[0].SpanId) {
			t.Error("the statement is not below the request")
		}
		introspections := traces.named("POST /authed/mcp/oauth/introspect")
		if len(introspections) != 1 || attribute(introspections[0], "oauth.introspected") == "" {
			t.Errorf("introspections: %v", introspections)
		}
		for _, name := range traces.names {
			if name != "fosite-mcp" {
				t.Errorf("a span of %s left", name)
			}
		}
		all := traces.bytes.String()
		signature := issued.Token[strings.LastIndex(issued.Token, ".")+1:]
		for what, secret := range map[string]string{
			"the client secret": made.Secret, "the token": issued.Token, "its signature": signature, "the admin key": adminKey, "what a caller sent": "hidden",
		} {
			if strings.Contains(all, secret) {
				t.Errorf("%s left with the traces", what)
			}
		}
		if !strings.Contains(logged, "trace_id="+callersTrace) {
			t.Errorf("the log does not name the trace:\n%s", logged)
		}
	})
}

// Nobody waits for a collector that is not there, and the log says once that it is not.
func TestACollectorThatIsGoneAffectsNothing(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	r := startReplica(t, "sqlite:"+t.TempDir()+"/fosite-mcp.db", "FOSITE_MCP_TRACING_ENDPOINT="+gone.URL)
	for range 20 {
		if status, _ := r.admin("wrong", "GET", "/clients", ""); status != http.StatusUnauthorized {
			t.Fatal(status)
		}
	}
	r.stop()
	if n := strings.Count(r.said(), "traces are not delivered"); n != 1 {
		t.Errorf("said %d times:\n%s", n, r.said())
	}
}

// The headers of the collector hold a key: a mistake in them is told of without them, where the log is.
func TestAMistakeInTheCollectorsHeadersShowsNoneOfThem(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "Bearer hidden-key,api=%zzhidden")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment")
	traces := newReceiver(t)
	r := startReplica(t, "sqlite:"+t.TempDir()+"/fosite-mcp.db", "FOSITE_MCP_TRACING_ENDPOINT="+traces.URL)
	r.stop()
	if said := r.said(); strings.Contains(said, "hidden") || !strings.Contains(said, "OTEL_EXPORTER_OTLP_HEADERS") || !strings.Contains(said, "missing value: [deployment]") {
		t.Error(said)
	}
}
