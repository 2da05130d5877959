package doctor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"fosite-mcp/cmd/internal/authserver"
	"fosite-mcp/storage"
)

// fetchLimit bounds the wait for one document, largestDocument its size.
const (
	fetchLimit      = 5 * time.Second
	largestDocument = 1 << 20
)

// checkWellKnown fetches every public document where clients look for it, and compares it with what these settings give.
func checkWellKnown(ctx context.Context, e *examination) (findings []Finding) {
	if e.Config.PublicURL == "" {
		return ok("public_url follows from the port, which the system chooses: nothing is fetched")
	}
	store := e.store
	if !e.has[aSchema] {
		store = storage.New(nil) // the documents hold settings alone, except for the keys of JWTs
	}
	documents, err := authserver.Documents(ctx, store, e.Config)
	if err != nil {
		return problem("look at the other findings first", "it is not clear what this server would serve: %v", err)
	}
	found := make([][]Finding, len(documents))
	var fetching sync.WaitGroup
	for i, document := range documents {
		fetching.Go(func() { found[i] = e.compare(ctx, document) })
	}
	fetching.Wait()
	for _, some := range found {
		findings = append(findings, some...)
	}
	if len(findings) == 0 {
		return ok("%d documents are the same as clients see them at %s", len(documents), e.Config.PublicURL)
	}
	return merged(findings)
}

// merged leaves of findings that have the same remedy and text the first one.
func merged(findings []Finding) (list []Finding) {
	for _, finding := range findings {
		if !slices.Contains(list, finding) {
			list = append(list, finding)
		}
	}
	return list
}

// compare fetches a document, and says how it differs.
func (e *examination) compare(ctx context.Context, document authserver.Document) []Finding {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, document.URL, http.NoBody)
	if err != nil {
		return problem("correct public_url and issuer", "%v", err)
	}
	response, err := e.client().Do(request)
	if err != nil {
		return unreachable(request.URL, err)
	}
	defer response.Body.Close()
	if bad := refused(request.URL, response); bad != nil {
		return bad
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, largestDocument))
	if err != nil {
		return unreachable(request.URL, err)
	}
	if bad := differences(document, body); bad != nil {
		return bad
	}
	if state := response.TLS; state != nil && len(state.PeerCertificates) > 0 {
		return e.checkEnd(state.PeerCertificates[0].NotAfter, "the certificate of "+request.URL.Host)
	}
	return nil
}

// client follows no redirect: clients must not either.
func (e *examination) client() *http.Client {
	var c http.Client
	if e.HTTP != nil {
		c = *e.HTTP
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// unreachable says why there was no answer.
func unreachable(from *url.URL, err error) []Finding {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	origin := from.Scheme + "://" + from.Host
	_, unresolved := errors.AsType[*net.DNSError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return problem("start the server, or the proxy in front of it; --offline leaves this check out", "nothing listens at %s", origin)
	case unresolved:
		return problem("make a DNS record for it, or correct public_url", "there is no host %s", from.Hostname())
	case untrusted:
		return problem("give the proxy (or tls.cert_file) a certificate for this name, with its whole chain, by an authority that clients trust; where that is one of your own, run this with SSL_CERT_FILE=ITS_CERTIFICATE", "%s: %s", origin, untrustedBy(err))
	case noTLS || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return problem("have the proxy end TLS at this port, or set tls.cert_file and tls.key_file", "%s lacks TLS", origin)
	case errors.Is(err, context.DeadlineExceeded):
		return problem("look whether a firewall drops the connection, and whether the server answers at listen", "%s does not answer within %s", origin, fetchLimit)
	}
	return problem("look whether public_url leads to this server", "%s: %v", origin, err)
}

func untrustedBy(err error) string {
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the certificate is not for " + name.Host
	}
	return err.Error()
}

// refused says what is wrong with an answer that is no document; nil: nothing is.
func refused(at *url.URL, response *http.Response) []Finding {
	switch status := response.StatusCode; {
	case status >= 300 && status < 400:
		target := "elsewhere"
		if to, err := response.Location(); err == nil {
			target = "to " + to.Scheme + "://" + to.Host + to.EscapedPath()
		}
		return problem("have the proxy pass this path on: clients follow no redirect here", "%s redirects %s", at, target)
	case status == http.StatusMisdirectedRequest:
		return problem("have the proxy pass the Host header on (nginx: proxy_set_header Host $host), or add the name that it sends to allowed_hosts",
			"%s: the server refuses the Host that it gets (421)", at)
	case status == http.StatusNotFound:
		return problem("have the proxy pass /.well-known/… and the path of base_path on as they are, and look whether public_url and issuer are those of the server",
			"%s is not there (404)", at)
	case status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout:
		return problem("look whether the server runs, and at /readyz of its admin listener", "%s answers %d", at, status)
	case status != http.StatusOK:
		return problem("have the proxy pass this path on to everybody, without a login", "%s answers %d", at, status)
	}
	return nil
}

// leads tells whether clients find their way by a member of metadata: a wrong one sends them elsewhere.
func leads(member string) bool {
	return member == "issuer" || member == "resource" || member == "authorization_servers" || strings.HasSuffix(member, "_endpoint") || member == "jwks_uri"
}

// rank puts the issuer first: where it is wrong, another server answers.
func rank(member string) int {
	if member == "issuer" {
		return 0
	}
	return 1
}

// differences compares what was answered with what these settings give.
func differences(document authserver.Document, body []byte) []Finding {
	var wanted, got map[string]any
	if err := json.Unmarshal(document.Body, &wanted); err != nil {
		return unreadable(err)
	}
	if err := json.Unmarshal(body, &got); err != nil || got == nil {
		what := "is no JSON object"
		if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
			what = "is a web page"
		}
		return problem("have the proxy pass this path on to the server", "what %s answers %s", document.URL, what)
	}
	for name := range got {
		if _, known := wanted[name]; !known {
			wanted[name] = nil
		}
	}
	var wrong, other []string
	names := slices.SortedFunc(maps.Keys(wanted), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	for _, name := range names {
		switch {
		case reflect.DeepEqual(wanted[name], got[name]):
		case leads(name):
			wrong = append(wrong, fmt.Sprintf("%s is %s and should be %s", name, shown(got[name]), shown(wanted[name])))
		default:
			other = append(other, name)
		}
	}
	switch {
	case len(wrong) > 0:
		return problem("look which server answers there, and whether it runs with these settings; a proxy must not change what it passes on",
			"%s: %s", document.URL, some(wrong))
	case len(other) > 0:
		return warning("restart the server if its settings have changed; a cache may lag behind by 5 minutes", "%s differs from these settings in %s", document.URL, strings.Join(other, ", "))
	}
	return nil
}

// some joins texts, and counts those beyond the second.
func some(texts []string) string {
	if more := len(texts) - 2; more > 0 {
		return fmt.Sprintf("%s; %s; and %d more", texts[0], texts[1], more)
	}
	return strings.Join(texts, "; ")
}

// shown is a value of somebody else's, shortened.
func shown(value any) string {
	if value == nil {
		return "missing"
	}
	text, err := json.Marshal(value)
	if err != nil || len(text) > 200 {
		return "something else"
	}
	return string(text)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
