package resource_test

import (
	"context"
	"log"
	"net/http"
	"time"

	"fosite-mcp/handlers/resource"
)

// A service that keeps answers. A revoked token is refused within two seconds.
func ExampleCache() {
	config := resource.Config{
		ClientID: "docs_search",
		Secret:   resource.SecretFile("/run/secrets/docs_search"),
		Resource: "https://docs.example.com/authed/mcp",
		Cache:    &resource.Cache{Bound: 2 * time.Second},
	}
	if err := config.Discover(context.Background(), "https://auth.example.com"); err != nil {
		log.Fatal(err)
	}
	verifier, err := resource.NewIntrospector(config)
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()
	http.Handle("/authed/mcp", resource.RequireBearer(verifier, "mcp:search")(http.NotFoundHandler()))
}

// A service whose tokens are JWTs. It asks about those tokens alone that it
// cannot decide itself.
func ExampleNewJWTVerifier() {
	config := resource.JWTConfig{
		Config: resource.Config{
			ClientID: "docs_search",
			Secret:   resource.SecretFile("/run/secrets/docs_search"),
			Resource: "https://docs.example.com/authed/mcp",
		},
		Tools: map[string][]string{"mcp:search": {"search", "get_page"}},
	}
	if err := config.Discover(context.Background(), "https://auth.example.com"); err != nil {
		log.Fatal(err)
	}
	verifier, err := resource.NewJWTVerifier(config)
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()
	http.Handle("/authed/mcp", resource.RequireBearer(verifier, "mcp:search")(http.NotFoundHandler()))
}
