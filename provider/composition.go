package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	"fosite-mcp/internal/composition"

	"github.com/ory/fosite"
)

// placed is a handler that knows its place in a composition.
type placed struct{ check func() error }

func (p *placed) place(check func() error) { p.check = check }

// CheckComposition tells, once the composition is complete, whether another handler answers the same requests, or one behind
// this would make its answer worthless. It implements handlers.CompositionChecker, and each handler asks it at its requests.
func (p *placed) CheckComposition() error {
	if p.check == nil {
		return nil
	}
	return p.check()
}

// composed returns handler, which factory has made. It panics when the composition has one of this type already: fosite
// drops the second one without a word. That happens to a factory that is used twice, and to a second composition on one
// fosite.Config, which would serve the first one's store. And it panics when the composition has fosite's own handler
// (rival) for the same requests, as both would answer them. What is composed later is looked at by CheckComposition.
func composed[H interface{ place(func() error) }](config fosite.Configurator, factory string, handler H, rival reflect.Type) H {
	for _, there := range composition.Handlers(config) {
		if reflect.TypeOf(there) == reflect.TypeOf(handler) {
			panic("provider: this fosite.Config has a handler of provider." + factory + " already, and fosite would keep that one alone; use the factory once, and a fosite.Config of its own for each composition")
		}
	}
	if err := refuseRival(config, factory, rival); err != nil {
		panic(err.Error())
	}
	handler.place(sync.OnceValue(func() error {
		err := refuseRival(config, factory, rival)
		if hook, ok := any(handler).(interface{ validatedBefore() error }); ok && err == nil {
			err = hook.validatedBefore()
		}
		if err == nil {
			return nil
		}
		slog.Error("the composition of handlers is refused", "cause", err)
		return fosite.ErrMisconfiguration.WithDebug(err.Error())
	}))
	return handler
}

func refuseRival(config fosite.Configurator, factory string, rival reflect.Type) error {
	for _, there := range composition.Handlers(config) {
		if rival != nil && reflect.TypeOf(there) == rival {
			return fmt.Errorf("provider: this fosite.Config has a %T, and provider.%s answers the same requests; leave out fosite's factory", there, factory)
		}
	}
	return nil
}

// validatedBefore refuses a hook that no validator stands before, as there is nothing to look at, and one that a validator
// stands behind. That would call a token active without asking the hook, or bring back scopes that the hook has taken away.
func (h *hookHandler) validatedBefore() error {
	before, behind := false, false
	for _, introspector := range h.config.GetTokenIntrospectionHandlers(context.Background()) {
		switch there := introspector.(type) {
		case *hookHandler:
			behind = behind || there == h
		case *mcpSearchHandler:
			behind = behind || there.hookHandler == h
		case *missingSecretHandler:
		default:
			if behind {
				return errors.New("provider: an introspection hook stands before a validator of tokens, which would not ask it: put provider.HookFactory and provider.MCPSearchFactory after compose.OAuth2TokenIntrospectionFactory and all other validators")
			}
			before = true
		}
	}
	if !before {
		return errors.New("provider: an introspection hook has no validator of tokens before it, and every token would be inactive: compose compose.OAuth2TokenIntrospectionFactory")
	}
	return nil
}
