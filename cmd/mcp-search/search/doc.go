// Package search is an MCP server with the tools search and get_page over a
// folder of Markdown pages, protected by access tokens: the sample of a
// downstream service, built on package handlers/resource and the official SDK.
//
// Call [Load] first, then [Service.Handler]:
//
//	folder, err := os.OpenRoot("docs")
//	pages, err := search.Load(folder.FS())
//	handler, err := search.Service{
//		Pages: pages, Verifier: verifier,
//		Resource:            "https://docs.example.com/authed/mcp",
//		AuthorizationServer: "https://auth.example.com",
//	}.Handler()
//	http.ListenAndServe("127.0.0.1:9000", handler)
//
// Every HTTP request is checked at the authorization server. The server keeps
// no MCP sessions, so there is none that could outlive its token or be taken
// over with another one.
package search
