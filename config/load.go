package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Load reads the file at path, or no file when path is empty, and the variables
// of environ, which are written as os.Environ writes them. Nothing else is opened.
//
// The required keys, such as database.url, must not be empty. All that is wrong
// is reported at once: one error per key, joined in the order of the keys, none
// showing a secret. A Config that comes with an error must not be used.
func Load(path string, environ []string, required ...string) (Config, error) {
	var document []byte
	if path != "" {
		var err error
		if document, err = os.ReadFile(path); err != nil {
			return Config{}, fmt.Errorf("read configuration: %w", err)
		}
	}
	return parse(document, environ, required)
}

// parse is Load with the file already read.
func parse(document []byte, environ, required []string) (Config, error) {
	root, err := readYAML(document)
	if err != nil {
		return Config{}, err
	}
	r := &reader{env: variables(environ), problems: make(problems)}
	var cfg Config
	r.expand("", root)
	r.overlay(root)
	r.value("", root, reflect.ValueOf(&cfg).Elem())
	cfg.settle()
	cfg.check(r.problems)
	cfg.require(required, r.problems)
	for _, chain := range cfg.Chains {
		chain.share()
	}
	return cfg, r.problems.join()
}

// readYAML returns the mapping at the top of a document; an empty document is an
// empty mapping.
func readYAML(document []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	var top yaml.Node
	if err := decoder.Decode(&top); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("read configuration: the file holds more than one document")
	}
	if len(top.Content) == 0 || top.Content[0].Tag == "!!null" {
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}, nil
	}
	return top.Content[0], nil
}

// variables turns the form of os.Environ into a map.
func variables(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env
}

// Redacted returns the configuration in force as YAML, without its secrets.
func (c Config) Redacted() (string, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("write configuration: %w", err)
	}
	return string(text), nil
}

// problems collects what is wrong, one sentence per key: what was found first
// often is the cause of the rest.
type problems map[string]string

func (p problems) add(key, format string, args ...any) {
	if _, known := p[key]; !known {
		p[key] = fmt.Sprintf(format, args...)
	}
}

// join returns nil when nothing is wrong.
func (p problems) join() error {
	errs := make([]error, 0, len(p))
	for _, key := range slices.Sorted(maps.Keys(p)) {
		errs = append(errs, fmt.Errorf("%s: %s", key, p[key]))
	}
	return errors.Join(errs...)
}
