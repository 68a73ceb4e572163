package config

import (
	"encoding"
	"reflect"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// reader fills a Config from a YAML tree. The tree is walked here, and not by the
// YAML library, so that each problem names the key as an operator would look for
// it and one problem does not hide the others.
type reader struct {
	env      map[string]string
	problems problems
}

// value fills target from node; key is where node stands. A null leaves the
// default as it is, and so does what no variable has named between two that were.
func (r *reader) value(key string, node *yaml.Node, target reflect.Value) {
	if node.Kind == 0 || node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return
	}
	if node.Kind == yaml.AliasNode {
		r.problems.add(key, "aliases are not taken")
		return
	}
	if _, scalar := reflect.TypeAssert[encoding.TextUnmarshaler](target.Addr()); scalar {
		r.scalar(key, node, target)
		return
	}
	switch target.Kind() {
	case reflect.Struct:
		if r.expect(key, node, yaml.MappingNode, "must be a section of keys") {
			r.section(key, node, target)
		}
	case reflect.Map:
		if r.expect(key, node, yaml.MappingNode, "must be a section of keys") {
			r.table(key, node, target)
		}
	case reflect.Slice:
		if r.expect(key, node, yaml.SequenceNode, "must be a list") {
			r.list(key, node, target)
		}
	default:
		r.scalar(key, node, target)
	}
}

func (r *reader) expect(key string, node *yaml.Node, kind yaml.Kind, sentence string) bool {
	if node.Kind != kind {
		if key == "" {
			key = "configuration"
		}
		r.problems.add(key, "%s", sentence)
	}
	return node.Kind == kind
}

// pairs visits the keys of a mapping and reports the ones that stand twice.
func (r *reader) pairs(key string, node *yaml.Node, visit func(name string, child *yaml.Node)) {
	seen := make(map[string]bool)
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		if seen[name] {
			r.problems.add(join(key, name), "stands twice")
			continue
		}
		seen[name] = true
		visit(name, node.Content[i+1])
	}
}

func (r *reader) section(key string, node *yaml.Node, target reflect.Value) {
	r.pairs(key, node, func(name string, child *yaml.Node) {
		field, known := fieldNamed(target, name)
		if !known {
			r.problems.add(join(key, name), "unknown key")
			return
		}
		r.value(join(key, name), child, field)
	})
}

func (r *reader) table(key string, node *yaml.Node, target reflect.Value) {
	target.Set(reflect.MakeMap(target.Type()))
	r.pairs(key, node, func(name string, child *yaml.Node) {
		element := newElement(target.Type().Elem())
		r.value(join(key, name), child, element)
		target.SetMapIndex(reflect.ValueOf(name), element)
	})
}

func (r *reader) list(key string, node *yaml.Node, target reflect.Value) {
	for i, child := range node.Content {
		element := newElement(target.Type().Elem())
		r.value(join(key, strconv.Itoa(i)), child, element)
		target.Set(reflect.Append(target, element))
	}
}

// scalar fills one value. A problem never shows what stood there, for it may be
// a secret that slipped into the wrong key; a TextUnmarshaler's own error does.
func (r *reader) scalar(key string, node *yaml.Node, target reflect.Value) {
	if node.Kind != yaml.ScalarNode {
		r.problems.add(key, "must be a single value")
		return
	}
	if node.Value == "" {
		return
	}
	text, ok := reflect.TypeAssert[encoding.TextUnmarshaler](target.Addr())
	if ok {
		if err := text.UnmarshalText([]byte(node.Value)); err != nil {
			r.problems.add(key, "%s", err)
		}
		return
	}
	if duration, ok := reflect.TypeAssert[*time.Duration](target.Addr()); ok {
		parsed, err := time.ParseDuration(node.Value)
		if err != nil {
			r.problems.add(key, "must be a duration such as 500ms, 2s or 15m")
		}
		*duration = parsed
		return
	}
	if target.Kind() == reflect.String {
		target.SetString(node.Value)
		return
	}
	var err error
	switch target.Kind() {
	case reflect.Bool:
		var yes bool
		yes, err = strconv.ParseBool(node.Value)
		target.SetBool(yes)
	case reflect.Uint64:
		var n uint64
		n, err = strconv.ParseUint(node.Value, 10, 64)
		target.SetUint(n)
	case reflect.Int, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(node.Value, 10, target.Type().Bits())
		target.SetInt(n)
	default:
		// A plain node: quotes do not matter, "5" is a number as it is in a variable.
		plain := yaml.Node{Kind: yaml.ScalarNode, Value: node.Value}
		err = plain.Decode(target.Addr().Interface())
	}
	if err != nil {
		r.problems.add(key, "must be %s", wanted(target.Kind()))
	}
}

// wanted says what a value of this kind looks like.
func wanted(kind reflect.Kind) string {
	switch kind {
	case reflect.Bool:
		return "true or false"
	case reflect.Uint64:
		return "a whole number and not negative"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	default:
		return "a number"
	}
}

// newElement returns an element of a list or table with its defaults.
func newElement(of reflect.Type) reflect.Value {
	element := reflect.New(of).Elem()
	switch target := element.Addr().Interface().(type) {
	case *Chain:
		*target = newChain()
	case *Upstream:
		target.REST = true
	case *Token:
		target.Decimals, target.Slot = 18, -1
	}
	return element
}

// fieldNamed returns the field of a struct whose yaml name this is.
func fieldNamed(target reflect.Value, name string) (reflect.Value, bool) {
	for i := range target.NumField() {
		if target.Type().Field(i).Tag.Get("yaml") == name {
			return target.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
