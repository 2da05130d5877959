package search

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"fosite-mcp/handlers/resource"
)

// Names of the tools, as the authorization server lists them in "mcp.tools".
const (
	toolSearch  = "search"
	toolGetPage = "get_page"
)

type searchInput struct {
	Query string `json:"query" jsonschema:"words to look for"`
	Limit int    `json:"limit,omitempty" jsonschema:"how many pages to return: 1 to 20, 5 if left out"`
}

type searchOutput struct {
	Hits []Hit `json:"hits" jsonschema:"the pages that fit, best first"`
}

type getPageInput struct {
	Path string `json:"path" jsonschema:"a page's path, as search returns it"`
}

func addTools(server *mcp.Server, pages *Pages) {
	readOnly := &mcp.ToolAnnotations{ReadOnlyHint: true, IdempotentHint: true, OpenWorldHint: new(bool)}
	mcp.AddTool(server, &mcp.Tool{
		Name: toolSearch, Title: "Search the documentation", Annotations: readOnly,
		Description: "Finds pages of the documentation by words and returns path, title and a fitting snippet of each, best first.",
	}, func(ctx context.Context, _ *mcp.CallToolRequest, in searchInput) (*mcp.CallToolResult, searchOutput, error) {
		if strings.TrimSpace(in.Query) == "" {
			return nil, searchOutput{}, fmt.Errorf("query is empty: give one or more words to look for")
		}
		return nil, searchOutput{Hits: pages.Search(in.Query, in.Limit, groups(ctx))}, nil
	})
	mcp.AddTool(server, &mcp.Tool{
		Name: toolGetPage, Title: "Read a page", Annotations: readOnly,
		Description: "Returns one page of the documentation as Markdown.",
	}, func(ctx context.Context, _ *mcp.CallToolRequest, in getPageInput) (*mcp.CallToolResult, any, error) {
		found, ok := pages.get(in.Path)
		if !ok || !found.visible(groups(ctx)) { // one answer: a path must not tell that there is a page
			return nil, nil, fmt.Errorf("there is no page %.200q: use a path that search returned", in.Path)
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: found.text}}}, nil, nil
	})
}

// groups are those of the person whose token this request came with.
func groups(ctx context.Context) []string {
	if token := resource.TokenFromContext(ctx); token != nil {
		return token.Groups
	}
	return nil
}

// allowTools lets a token use and see only the tools that the authorization
// server names for it, and for which it has the scopes. The token is the one of
// this very HTTP request.
func (s Service) allowTools(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		token := resource.TokenFromContext(ctx)
		allowed := func(tool string) bool { return token.HasTool(tool) && s.ToolScopes.Allows(token, tool) }
		switch method {
		case "tools/call":
			if tool := calledTool(req); !allowed(tool) {
				return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidRequest, Message: fmt.Sprintf(
					"this access token does not allow the tool %.64q: get one with a scope that does", tool)}
			}
		case "subscriptions/listen": // a stream that would stay open after its token is revoked
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "nothing here changes: there is nothing to subscribe to"}
		}
		result, err := next(ctx, method, req)
		if list, ok := result.(*mcp.ListToolsResult); ok && err == nil {
			list.Tools = slices.DeleteFunc(list.Tools, func(t *mcp.Tool) bool { return !allowed(t.Name) })
			list.CacheScope = "private" // it differs from token to token
		}
		return result, err
	}
}

// calledTool is "" when the request has another shape, and no token allows that.
func calledTool(req mcp.Request) string {
	if params, ok := req.GetParams().(*mcp.CallToolParamsRaw); ok && params != nil {
		return params.Name
	}
	return ""
}
