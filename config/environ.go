package config

import (
	"encoding"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// prefix begins every variable of ours.
const prefix = "TALLYD_"

// elsewhere tells whether a variable of ours is no setting of the daemon: such
// variables are for commands, scripts and tests.
func elsewhere(name string) bool {
	switch name {
	case "TALLYD_ANVIL", "TALLYD_BITCOIND", "TALLYD_BTCD", "TALLYD_CACHE", "TALLYD_CONFIG", "TALLYD_DEV",
		"TALLYD_GETH", "TALLYD_KEY", "TALLYD_PG_BIN", "TALLYD_PGBOUNCER", "TALLYD_REDIS_SERVER", "TALLYD_REQUIRE", "TALLYD_SECRET", "TALLYD_TEST_LOG",
		"TALLYD_WEBHOOK_VERIFIERS":
		return true
	}
	return strings.HasPrefix(name, credentials)
}

// credentials begins the variables that hold a login at a venue, for commands.
const credentials = prefix + "VENUE_"

// injected matches what Kubernetes sets in every container for a service named
// tallyd or tallyd-something: nobody chose it, so it cannot be a mistake.
var injected = regexp.MustCompile(`^TALLYD_(\w+_)?(SERVICE_HOST|SERVICE_PORT|PORT)(_\w+)?$`)

// overlay writes the TALLYD_ variables into the tree, over what the file says,
// and reports those that name no key.
func (r *reader) overlay(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(r.env)) {
		rest, ours := strings.CutPrefix(name, prefix)
		if !ours || elsewhere(name) {
			continue
		}
		path, known := resolve(reflect.TypeFor[Config](), rest, slugs(root))
		switch {
		case known:
			put(root, path, r.env[name])
		case !injected.MatchString(name):
			r.problems.add(name, "unknown variable")
		}
	}
}

// variable writes a key, or a part of one, as it stands in a variable.
func variable(key string) string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// resolve finds the path of the scalar below a value of type t that a variable
// names with rest. A chain that the file does not have is found too: its slug is
// what stands before the first words that are a key of a chain.
func resolve(t reflect.Type, rest string, slugs []string) ([]string, bool) {
	if scalar(t) {
		return nil, rest == ""
	}
	switch t.Kind() {
	case reflect.Struct:
		for field := range t.Fields() {
			name := field.Tag.Get("yaml")
			if path, ok := within(field.Type, name, rest, slugs); ok {
				return path, true
			}
		}
	case reflect.Map:
		for _, slug := range slices.Concat(slugs, leading(rest)) {
			if path, ok := within(t.Elem(), slug, rest, nil); ok {
				return path, true
			}
		}
	case reflect.Slice:
		index, _, _ := strings.Cut(rest, "_")
		if n, err := strconv.ParseUint(index, 10, 8); err == nil && n < 100 && strconv.FormatUint(n, 10) == index {
			return within(t.Elem(), index, rest, nil)
		}
	}
	return nil, false
}

// within resolves what is left of rest after name.
func within(t reflect.Type, name, rest string, slugs []string) ([]string, bool) {
	after, ok := strings.CutPrefix(rest, variable(name))
	if !ok {
		return nil, false
	}
	if !scalar(t) {
		if after, ok = strings.CutPrefix(after, "_"); !ok {
			return nil, false
		}
	}
	path, ok := resolve(t, after, slugs)
	return append([]string{name}, path...), ok
}

// leading returns the slugs that rest may begin with, the shortest first.
func leading(rest string) []string {
	var candidates []string
	for i, c := range rest {
		if candidate := strings.ReplaceAll(strings.ToLower(rest[:i]), "_", "-"); c == '_' && slugPattern.MatchString(candidate) {
			candidates = append(candidates, candidate)
		}
	}
	return candidates
}

// scalar tells whether a value of type t is written as one YAML scalar.
func scalar(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return true
	}
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Map && t.Kind() != reflect.Slice
}

// put writes text at the path below node and makes what is missing on the way.
// Where the file has something of another shape it is left for the reader to
// report.
func put(node *yaml.Node, path []string, text string) {
	if len(path) == 0 {
		if node.Kind != yaml.MappingNode && node.Kind != yaml.SequenceNode {
			*node = yaml.Node{Kind: yaml.ScalarNode, Value: text}
		}
		return
	}
	index, err := strconv.Atoi(path[0])
	list := err == nil
	if node.Kind == 0 || node.Tag == "!!null" {
		*node = yaml.Node{Kind: yaml.MappingNode}
		if list {
			node.Kind = yaml.SequenceNode
		}
	}
	switch {
	case list && node.Kind == yaml.SequenceNode:
		for len(node.Content) <= index {
			node.Content = append(node.Content, new(yaml.Node))
		}
		put(node.Content[index], path[1:], text)
	case !list && node.Kind == yaml.MappingNode:
		put(child(node, path[0]), path[1:], text)
	}
}

// child returns the value of a key of a mapping, and adds an empty one when the
// key is missing.
func child(node *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == name {
			return node.Content[i+1]
		}
	}
	value := new(yaml.Node)
	node.Content = append(node.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, value)
	return value
}

// slugs returns the keys of the chains in a tree, the longest first: base-sepolia
// must be tried before base.
func slugs(root *yaml.Node) []string {
	var found []string
	for i := 0; i+1 < len(root.Content); i += 2 {
		chains := root.Content[i+1]
		if root.Content[i].Value != "chains" || chains.Kind != yaml.MappingNode {
			continue
		}
		for j := 0; j+1 < len(chains.Content); j += 2 {
			found = append(found, chains.Content[j].Value)
		}
	}
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	return found
}

// expand replaces ${NAME} in every scalar below node, and $$ by a dollar sign.
func (r *reader) expand(key string, node *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			r.expand(join(key, node.Content[i].Value), node.Content[i+1])
		}
	case yaml.SequenceNode:
		for i, child := range node.Content {
			r.expand(join(key, strconv.Itoa(i)), child)
		}
	case yaml.ScalarNode:
		if strings.Contains(node.Value, "$") {
			// What comes out is read anew: ${N} may stand for a number.
			*node = yaml.Node{Kind: yaml.ScalarNode, Value: r.substitute(key, node.Value)}
		}
	}
}

func (r *reader) substitute(key, text string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		name, rest, closed := strings.Cut(strings.TrimPrefix(after, "{"), "}")
		switch {
		case strings.HasPrefix(after, "$"):
			out.WriteByte('$')
			text = after[1:]
		case !strings.HasPrefix(after, "{") || !closed || name == "":
			r.problems.add(key, "a dollar sign must be written $$, or begin ${NAME}")
			return out.String()
		default:
			value, set := r.env[name]
			if !set {
				r.problems.add(key, "the environment variable %s is not set", name)
			}
			out.WriteString(value)
			text = rest
		}
	}
}
