package config

import (
	"maps"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// Load reads the YAML file at path (none when path is empty), then the FOSITE_MCP_ variables of environ (as from
// os.Environ), which win over the file, and returns the result of [Config.Resolve]. A variable that ends in _FILE names a
// file with a secret. The error joins every mistake as a [*KeyError]; it never quotes the value of a secret.
func Load(path string, environ []string) (Config, error) {
	var p problems
	values, err := layered(readFile(path, &p), readEnviron(environ, &p))
	if err != nil {
		return Config{}, err
	}
	c := Default()
	for _, k := range Keys() {
		if raw, ok := values[k.Name]; ok {
			decoder{&p}.decode(k.Name, raw, k.field(&c))
		}
	}
	return c.resolved(p)
}

// layered lets later layers win key by key. A list or a map replaces the earlier one whole: merging scopes would
// leave scopes allowed that the environment meant to take away.
func layered(layers ...map[string]any) (map[string]any, error) {
	k := koanf.New(".")
	replace := koanf.WithMergeFunc(func(src, dest map[string]any) error {
		maps.Copy(dest, src)
		return nil
	})
	for _, layer := range layers {
		if err := k.Load(confmap.Provider(layer, ""), nil, replace); err != nil {
			return nil, err
		}
	}
	return k.Raw(), nil
}
