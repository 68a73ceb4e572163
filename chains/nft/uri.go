package nft

import (
	"encoding/base64"
	"net/url"
	"path"
	"strings"
)

// maxURL bounds a URL, in bytes.
const maxURL = 4096

// cutScheme returns what follows scheme and its colon, in any case.
func cutScheme(uri, scheme string) (string, bool) {
	if len(uri) <= len(scheme) || uri[len(scheme)] != ':' || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return "", false
	}
	return uri[len(scheme)+1:], true
}

// scheme is how a scheme is named to people.
func scheme(name string) string {
	if name == "" || len(name) > 16 {
		return "a way without a name"
	}
	return name + "://"
}

// inline returns the bytes of a data: URL, RFC 2397, without its scheme.
func inline(rest string, most int64) ([]byte, error) {
	head, body, found := strings.Cut(rest, ",")
	if !found {
		return nil, because("the contract holds a data: URL without data")
	}
	kind, parameters, _ := strings.Cut(head, ";")
	if kind, ok := readable(strings.TrimSpace(kind)); !ok {
		return nil, because("the contract holds %s, not JSON", kind)
	}
	if int64(len(body)) > 2*most {
		return nil, because("it is longer than %d bytes", most)
	}
	coded := strings.HasSuffix(strings.ToLower(";"+parameters), ";base64")
	text, err := url.PathUnescape(body)
	if err != nil {
		// Contracts seldom escape what they should, such as % in a picture.
		text = body
	}
	raw := []byte(text)
	if coded {
		alphabet := base64.StdEncoding
		if strings.ContainsAny(text, "-_") {
			alphabet = base64.URLEncoding
		}
		raw, err = alphabet.WithPadding(base64.NoPadding).DecodeString(strings.TrimRight(strings.TrimSpace(text), "="))
		if err != nil {
			return nil, because("the contract holds a data: URL that is not base64")
		}
	}
	if int64(len(raw)) > most {
		return nil, because("it is longer than %d bytes", most)
	}
	return raw, nil
}

// behind returns the URL at a gateway of an IPFS path, which may begin with ipfs/
// once more. ok is false for a path that does not begin with the name of a
// content, or leaves it.
func behind(gateway *url.URL, named string) (*url.URL, bool) {
	named = strings.TrimPrefix(named, "ipfs/")
	named, query, _ := strings.Cut(named, "?")
	named, _, _ = strings.Cut(named, "#")
	decoded, err := url.PathUnescape(named)
	if err != nil {
		decoded = named
	}
	content, below, _ := strings.Cut(decoded, "/")
	if len(content) < 16 || len(content) > 128 || strings.Trim(content, letters) != "" || strings.ContainsAny(decoded, "\\\x00\r\n") {
		return nil, false
	}
	clean := path.Clean("/" + below)
	if clean != "/"+strings.TrimSuffix(below, "/") && below != "" {
		return nil, false
	}
	at := *gateway
	at.Path = strings.TrimSuffix(at.Path, "/") + "/ipfs/" + content
	if below != "" {
		at.Path += "/" + below
	}
	at.RawPath, at.Fragment = "", ""
	if _, err := url.ParseQuery(query); err != nil {
		query = ""
	}
	// The operator's own query, such as a token, comes first and stays.
	at.RawQuery = strings.Trim(gateway.RawQuery+"&"+query, "&")
	return &at, true
}

// letters are what the name of a content consists of.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
