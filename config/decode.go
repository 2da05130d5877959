package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// decoder turns raw values, as YAML, JSON or the environment give them, into fields. Values given as text are taken for
// every kind; values of another kind are refused instead of guessed at.
type decoder struct{ problems *problems }

func (d decoder) decode(key string, raw any, field any) {
	switch field := field.(type) {
	case *string:
		d.text(key, raw, func(s string) { *field = s })
	case *Secret:
		d.secret(key, raw, func(s string) { *field = Secret(s) })
	case *DatabaseURL:
		d.secret(key, raw, func(s string) { *field = DatabaseURL(s) })
	case *bool:
		d.boolean(key, raw, field)
	case *int:
		d.integer(key, raw, field)
	case *float64:
		d.number(key, raw, field)
	case *time.Duration:
		d.duration(key, raw, field)
	case *[]string:
		*field = []string{}
		d.list(key, raw, func(item string, raw any) {
			d.text(item, raw, func(s string) { *field = append(*field, s) })
		})
	case *[]Secret:
		*field = []Secret{}
		d.list(key, raw, func(item string, raw any) {
			d.secret(item, raw, func(s string) { *field = append(*field, Secret(s)) })
		})
	case *map[string]Scope:
		*field = make(map[string]Scope)
		d.object(key, raw, func(name, path string, raw any) {
			scope := Scope{Tools: []string{}}
			d.fields(path, raw, map[string]any{"description": &scope.Description, "tools": &scope.Tools, "includes": &scope.Includes})
			(*field)[name] = scope
		})
	case *map[string]Resource:
		*field = make(map[string]Resource)
		d.object(key, raw, func(name, path string, raw any) {
			resource := Resource{Scopes: []string{}}
			d.fields(path, raw, map[string]any{"name": &resource.Name, "scopes": &resource.Scopes, "token_format": &resource.TokenFormat})
			(*field)[name] = resource
		})
	default:
		panic(fmt.Sprintf("config: no decoder for %s of type %T", key, field))
	}
}

func (d decoder) text(key string, raw any, set func(string)) {
	switch s, ok := raw.(string); {
	case raw == nil || ok && s == "":
		d.problems.add(key, "is empty; give it a value or leave it out")
	case !ok:
		d.problems.add(key, "must be text; put the value in quotes")
	default:
		set(s)
	}
}

func (d decoder) secret(key string, raw any, set func(string)) {
	d.text(key, raw, func(s string) {
		if s == mask {
			d.problems.add(key, "is the mask that stands for a secret in printed configuration; put the secret itself here or leave it out")
			return
		}
		set(s)
	})
}

func (d decoder) boolean(key string, raw any, field *bool) {
	switch raw {
	case true, "true":
		*field = true
	case false, "false":
		*field = false
	default:
		d.problems.add(key, "must be true or false")
	}
}

func (d decoder) integer(key string, raw any, field *int) {
	var number float64
	d.number(key, raw, &number)
	if number != math.Trunc(number) || math.Abs(number) > math.MaxInt32 {
		d.problems.add(key, "must be a whole number")
		return
	}
	*field = int(number)
}

func (d decoder) number(key string, raw any, field *float64) {
	switch raw.(type) {
	case int, int64, uint64, float64, string:
		number, err := strconv.ParseFloat(fmt.Sprint(raw), 64)
		if err == nil && !math.IsNaN(number) && !math.IsInf(number, 0) {
			*field = number
			return
		}
	}
	d.problems.add(key, "must be a number")
}

func (d decoder) duration(key string, raw any, field *time.Duration) {
	text, ok := raw.(string)
	if !ok && raw != 0 {
		d.problems.add(key, "must be a duration with a unit, such as 336h or 90s")
		return
	}
	if !ok {
		text = "0"
	}
	duration, err := time.ParseDuration(text)
	if err != nil {
		d.problems.add(key, "must be a duration with a unit, such as 336h or 90s; h is the longest unit")
		return
	}
	*field = duration
}

func (d decoder) list(key string, raw any, each func(item string, raw any)) {
	items, ok := raw.([]any)
	if !ok {
		d.problems.add(key, "must be a list")
		return
	}
	for i, item := range items {
		each(fmt.Sprintf("%s[%d]", key, i), item)
	}
}

func (d decoder) object(key string, raw any, each func(name, path string, raw any)) {
	members, ok := raw.(map[string]any)
	if !ok {
		d.problems.add(key, "must be a map of names")
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		each(name, key+"."+shown(name), members[name])
	}
}

// fields decodes a map whose names are known.
func (d decoder) fields(key string, raw any, known map[string]any) {
	d.object(key, raw, func(name, path string, raw any) {
		field, ok := known[name]
		if !ok {
			d.problems.add(path, "is not a setting%s", didYouMean(shown(name), maps.Keys(known)))
			return
		}
		d.decode(path, raw, field)
	})
}
