package login

// The cookies. None outlives the browser's own session but knownCookie.
const (
	sessionCookie = "fosite_mcp_session" // who is logged in
	browserCookie = "fosite_mcp_browser" // ties forms to the browser they were given to
	stepCookie    = "fosite_mcp_step"    // what was just answered, for one authorization request
	knownCookie   = "fosite_mcp_known"   // somebody has logged in with this browser before
	oidcCookie    = "fosite_mcp_oidc_"   // one for each login that is under way at the provider
)
