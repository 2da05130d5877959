package provider

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/ory/fosite"
)

// composed returns handler, which factory has made. It panics when the composition has one of this type already: fosite
// drops the second one without a word. That happens to a factory that is used twice, and to a second composition on one
// fosite.Config, which would serve the first one's store. And it panics when the composition has fosite's own handler
// (rival) for the same requests, as both would answer them.
func composed[H any](config fosite.Configurator, factory string, handler H, rival reflect.Type) H {
	for _, there := range handlersOf(config) {
		switch reflect.TypeOf(there) {
		case reflect.TypeOf(handler):
			panic("provider: this fosite.Config has a handler of provider." + factory + " already, and fosite would keep that one alone; use the factory once, and a fosite.Config of its own for each composition")
		case rival:
			panic(fmt.Sprintf("provider: this fosite.Config has a %T, and provider.%s answers the same requests; leave out fosite's factory", there, factory))
		}
	}
	return handler
}

// handlersOf lists what a configuration is composed of so far.
func handlersOf(config fosite.Configurator) (handlers []any) {
	ctx := context.Background()
	for _, h := range config.GetTokenEndpointHandlers(ctx) {
		handlers = append(handlers, h)
	}
	for _, h := range config.GetTokenIntrospectionHandlers(ctx) {
		handlers = append(handlers, h)
	}
	for _, h := range config.GetRevocationHandlers(ctx) {
		handlers = append(handlers, h)
	}
	return handlers
}

// notValidated is the answer of a hook when nothing has validated the token before it. A validator behind it would call
// the token active without asking the hook, so that is refused, and the log says why. Otherwise nobody knows the token.
func notValidated(ctx context.Context, hook *hookHandler) error {
	behind := false
	for _, introspector := range hook.config.GetTokenIntrospectionHandlers(ctx) {
		switch there := introspector.(type) {
		case *hookHandler:
			behind = behind || there == hook
		case *mcpSearchHandler:
			behind = behind || there.hookHandler == hook
		case *missingSecretHandler:
		default:
			if behind {
				const remedy = "an introspection hook stands before the validator of the tokens, which would not ask it: put provider.HookFactory and provider.MCPSearchFactory after compose.OAuth2TokenIntrospectionFactory"
				slog.ErrorContext(ctx, remedy)
				return fosite.ErrMisconfiguration.WithDebug(remedy)
			}
		}
	}
	return fosite.ErrUnknownRequest
}
