// Package composition looks into what fosite's compose.Compose has put together.
package composition

import (
	"context"

	"github.com/ory/fosite"
)

// Handlers lists the handlers for tokens, introspection and revocation that a configuration has so far.
func Handlers(config fosite.Configurator) (handlers []any) {
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
