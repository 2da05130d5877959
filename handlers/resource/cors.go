package resource

import (
	"net/http"
	"strings"
)

// What the MCP specification has clients send, and what they must be able to read.
const (
	corsAllowMethods  = "GET, POST, DELETE, OPTIONS"
	corsAllowHeaders  = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, Last-Event-ID"
	corsExposeHeaders = "WWW-Authenticate, Mcp-Session-Id"
	corsMaxAge        = "7200" // seconds
)

// CORS lets browser clients of any origin use an MCP endpoint. Put it outside
// of the guard, where it also makes refusals readable:
//
//	resource.CORS(resource.RequireBearer(verifier, "mcp:search")(mcpHandler))
//
// It answers preflight requests itself, as browsers send them without a
// token; they never reach next. Any other OPTIONS request goes to next like
// every request. Any origin and any header are safe here because a bearer
// token, unlike a cookie, is not added to a request by the browser on its own.
func CORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		if isPreflight(r) {
			h.Set("Access-Control-Allow-Methods", corsAllowMethods)
			allowHeaders(h, r)
			h.Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.Set("Access-Control-Expose-Headers", corsExposeHeaders)
		next.ServeHTTP(w, r)
	})
}

// allowHeaders allows the headers that a preflight asks for, by name: "*" does
// not cover Authorization (Fetch §3.3.6). One that names none learns the usual.
func allowHeaders(h http.Header, r *http.Request) {
	h.Add("Vary", "Access-Control-Request-Headers")
	if asked := strings.Join(r.Header.Values("Access-Control-Request-Headers"), ", "); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
		return
	}
	h.Set("Access-Control-Allow-Headers", corsAllowHeaders)
}

// isPreflight knows a CORS-preflight request by what no other request has.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}
