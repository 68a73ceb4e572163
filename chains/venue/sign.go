package venue

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/url"
	"strings"
)

// HexSHA256 returns HMAC-SHA256 in hex.
func HexSHA256(secret, text string) string { return hex.EncodeToString(mac(sha256.New, secret, text)) }

// HexSHA384 returns HMAC-SHA384 in hex.
func HexSHA384(secret, text string) string {
	return hex.EncodeToString(mac(sha512.New384, secret, text))
}

// HexSHA512 returns HMAC-SHA512 in hex.
func HexSHA512(secret, text string) string { return hex.EncodeToString(mac(sha512.New, secret, text)) }

// Base64SHA256 returns HMAC-SHA256 in base64.
func Base64SHA256(secret, text string) string {
	return base64.StdEncoding.EncodeToString(mac(sha256.New, secret, text))
}

// Base64SHA512 returns HMAC-SHA512 in base64.
func Base64SHA512(secret, text string) string {
	return base64.StdEncoding.EncodeToString(mac(sha512.New, secret, text))
}

func mac(of func() hash.Hash, secret, text string) []byte {
	m := hmac.New(of, []byte(secret))
	m.Write([]byte(text))
	return m.Sum(nil)
}

// Params are the parameters of a request in the order in which they are sent.
// What is signed are the bytes that are sent, so that the order is kept.
type Params []string

// P returns parameters of names and values in turn. Those with an empty value are
// left out.
func P(pairs ...string) Params { return Params(nil).With(pairs...) }

// With returns the parameters with more after them.
func (p Params) With(pairs ...string) Params {
	more := append(Params(nil), p...)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			more = append(more, pairs[i], pairs[i+1])
		}
	}
	return more
}

// Encode returns the parameters percent-encoded, in their order.
func (p Params) Encode() string {
	var b strings.Builder
	for i := 0; i+1 < len(p); i += 2 {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p[i]) + "=" + url.QueryEscape(p[i+1]))
	}
	return b.String()
}

// ParseParams reads what Encode wrote.
func ParseParams(query string) Params {
	var p Params
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name)   // what Encode wrote
		value, _ = url.QueryUnescape(value) // what Encode wrote
		if name != "" {
			p = append(p, name, value)
		}
	}
	return p
}

// Sorted returns the parameters in the order of their names.
func (p Params) Sorted() Params {
	values := url.Values{}
	for i := 0; i+1 < len(p); i += 2 {
		values.Add(p[i], p[i+1])
	}
	return ParseParams(values.Encode())
}
