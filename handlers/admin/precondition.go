package admin

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fosite-mcp/provider/client"
	"fosite-mcp/storage/clients"
)

// etag is the version of what can be changed of a client: last_used_at is no part of it.
func etag(c *client.Client) string { return `"` + strconv.FormatInt(c.Version, 10) + `"` }

// proxied is what compressing proxies make of an ETag: weak (nginx), or with the coding at its end (Apache, Caddy, Jetty).
var proxied = regexp.MustCompile(`^(?:W/)?"([0-9]+)(?:--?(?:gzip|br|zstd|deflate))?"$`)

// names tells whether a list of ETags, or *, holds ours. RFC 9110 §13.1.1 wants that no weak tag matches in
// If-Match. Ours counts versions, whatever the bytes of an answer become on their way, so a proxy's form of it is as good.
func names(list []string, ours string) bool {
	text := strings.Join(list, ",")
	if strings.TrimSpace(text) == "*" {
		return true
	}
	return slices.ContainsFunc(strings.Split(text, ","), func(tag string) bool {
		known := proxied.FindStringSubmatch(strings.Trim(tag, " \t"))
		return known != nil && `"`+known[1]+`"` == ours
	})
}

// checkConditions compares the version that the caller has seen with ours (RFC 9110 §13.2.2). Without a condition
// the caller has seen it, unless the operation demands one.
func (r *request) checkConditions(ours string) error {
	if list := r.Header.Values("If-Match"); strings.Join(list, "") != "" && !names(list, ours) {
		return clients.ErrStale
	}
	if list := r.Header.Values("If-None-Match"); names(list, ours) {
		return newProblem(http.StatusPreconditionFailed, "not-changed", "The "+r.kind().noun+" is as you have seen it",
			"If-None-Match names the version that the "+r.kind().noun+" has. Leave the header out to change it.")
	}
	return nil
}

// demandCondition refuses a change without If-Match: nobody else's change gets lost.
func (r *request) demandCondition() error {
	if r.Header.Get("If-Match") != "" {
		return nil
	}
	return newProblem(http.StatusPreconditionRequired, "precondition-required", "If-Match is missing",
		"Read the "+r.kind().noun+" first, and send its ETag as If-Match, so that nobody else's change gets lost.")
}
