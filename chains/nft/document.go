package nft

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"tallyd/chains"
)

// What is kept of a document, in bytes and pieces. What is longer is cut; a
// picture that is longer is left out, since a part of one is none.
const (
	maxName        = 512
	maxDescription = 4096
	maxImage       = 48 << 10
	maxAttributes  = 100
	maxTrait       = 128
	maxValue       = 512
)

// parse reads a document. What has the wrong type is left out, so that one bad
// member does not hide the others.
func parse(raw []byte) (chains.NFTDocument, error) {
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return chains.NFTDocument{}, because("it is not a JSON object")
	}
	document := chains.NFTDocument{
		Name:        clean(text(members["name"]), maxName),
		Description: clean(text(members["description"]), maxDescription),
		ExternalURL: link(text(members["external_url"])),
		Attributes:  attributes(members["attributes"]),
	}
	for _, name := range []string{"image", "image_url", "image_data"} {
		if document.Image = picture(text(members[name])); document.Image != "" {
			break
		}
	}
	return document, nil
}

// attributes reads a list of traits, or an object of them, as some collections
// write it.
func attributes(raw json.RawMessage) []chains.NFTAttribute {
	var list []struct {
		Trait json.RawMessage `json:"trait_type"`
		Name  json.RawMessage `json:"name"`
		Value json.RawMessage `json:"value"`
	}
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var kept []chains.NFTAttribute
	for _, one := range list[:min(len(list), maxAttributes)] {
		a := chains.NFTAttribute{Trait: clean(text(one.Trait), maxTrait), Value: clean(text(one.Value), maxValue)}
		if a.Trait == "" {
			a.Trait = clean(text(one.Name), maxTrait)
		}
		if a != (chains.NFTAttribute{}) {
			kept = append(kept, a)
		}
	}
	return kept
}

// text returns a JSON string, or a number or truth as it is written, and ""
// for anything else.
func text(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	case '{', '[', 'n':
		return ""
	}
	return string(raw)
}

// clean returns a text without anything that cannot be seen, or that changes how
// the rest is seen, cut to a number of bytes at a character. Lines may be broken.
func clean(s string, most int) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == utf8.RuneError, r != '\n' && unicode.Is(unicode.C, r) && r != '\u200d', r == '\u2028', r == '\u2029':
			continue
		}
		if b.Len()+utf8.RuneLen(r) > most {
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// picture returns the URL of a picture, or "" for what is none: a script, a page,
// or markup that stands there itself.
func picture(uri string) string {
	uri = strings.TrimSpace(uri)
	if rest, ok := cutScheme(uri, "data"); ok {
		kind, _, _ := strings.Cut(rest, ",")
		kind, _, _ = strings.Cut(kind, ";")
		if len(uri) > maxImage || !strings.HasPrefix(strings.ToLower(kind), "image/") || clean(uri, len(uri)) != uri {
			return ""
		}
		return uri
	}
	return link(uri)
}

// link returns a URL that leads to a server or to a content, or "".
func link(uri string) string {
	uri = strings.TrimSpace(uri)
	if len(uri) > maxURL || clean(uri, len(uri)) != uri || strings.ContainsAny(uri, "\n\"<>`\\") {
		return ""
	}
	at, err := url.Parse(uri)
	if err != nil || at.User != nil {
		return ""
	}
	switch strings.ToLower(at.Scheme) {
	case "http", "https", "ipfs", "ar":
		if at.Host != "" || at.Opaque != "" {
			return uri
		}
	}
	return ""
}
