package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as a YAML file in the order of [Keys], secrets masked. Without secrets, loading it
// again gives the same configuration. Settings without a value are listed in a closing comment.
func (c Config) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	var unset []string
	for _, k := range Keys() {
		field := k.field(&c)
		if isUnset(field) {
			unset = append(unset, k.Name)
			continue
		}
		if err := put(root, strings.Split(k.Name, "."), field); err != nil {
			return fmt.Errorf("print %s: %w", k.Name, err)
		}
	}
	if len(unset) > 0 {
		root.FootComment = "not set: " + strings.Join(unset, ", ")
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return encoder.Close()
}

// isUnset reports empty text and absent lists; false, 0 and [] are values.
func isUnset(field any) bool {
	switch v := reflect.ValueOf(field).Elem(); v.Kind() {
	case reflect.String, reflect.Slice, reflect.Map:
		return v.IsZero()
	default:
		return false
	}
}

// put stores the value below the groups that path names, making those that are missing.
func put(group *yaml.Node, path []string, field any) error {
	name := path[0]
	var value yaml.Node
	if len(path) > 1 {
		for i := 0; i < len(group.Content); i += 2 {
			if group.Content[i].Value == name {
				return put(group.Content[i+1], path[1:], field)
			}
		}
		value.Kind = yaml.MappingNode
		if err := put(&value, path[1:], field); err != nil {
			return err
		}
	} else {
		if d, ok := field.(*time.Duration); ok {
			field = durationText(*d)
		}
		if err := value.Encode(field); err != nil {
			return err
		}
	}
	group.Content = append(group.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, &value)
	return nil
}
