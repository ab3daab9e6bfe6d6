package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// yamlConfig reads a configuration file: flags win over environment, the
// environment over the file. Keys are the flags' names, for one subcommand
// under its name or for all at the top.
func yamlConfig(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && err != io.EOF {
		return nil, fmt.Errorf("the configuration file is not YAML: %w", err)
	}
	return kong.ResolverFunc(func(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		for _, env := range flag.Envs {
			if _, set := lookupEnv(env); set {
				return nil, nil
			}
		}
		if node := parent.Node(); node != nil {
			if under, ok := values[node.Name].(map[string]any); ok {
				if v, ok := find(under, flag.Name); ok {
					return v, nil
				}
			}
		}
		v, ok := find(values, flag.Name)
		if _, isMap := v.(map[string]any); !ok || isMap {
			return nil, nil
		}
		return v, nil
	}), nil
}

func find(values map[string]any, name string) (any, bool) {
	for _, key := range []string{name, strings.ReplaceAll(name, "-", "_")} {
		if v, ok := values[key]; ok {
			if list, isList := v.([]any); isList {
				parts := make([]string, len(list))
				for i := range list {
					parts[i] = fmt.Sprint(list[i])
				}
				return strings.Join(parts, ","), true
			}
			if under, isMap := v.(map[string]any); isMap {
				return under, true
			}
			return fmt.Sprint(v), true
		}
	}
	return nil, false
}
