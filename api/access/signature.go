package access

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tallyd/api/problem"
)

const (
	headerKey       = "X-Api-Key"
	headerBlnkKey   = "X-Blnk-Key" // another name of it
	headerTimestamp = "X-Timestamp"
	headerSignature = "X-Signature"

	// SignatureWindow is how far the time in a signed request may be from ours, to
	// either side.
	SignatureWindow = 30 * time.Second
)

// signature is what a signed request comes with.
type signature struct {
	stamp string    // X-Timestamp as sent: it is signed as a text
	at    time.Time // the same
	mac   []byte    // X-Signature
}

// parseSignature reads the two headers. It returns a problem unless both have their
// one form: Unix seconds in decimal digits, and 64 lower-case hexadecimal digits.
func parseSignature(stamp, mac string) (signature, *problem.Problem) {
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || seconds < 0 || strconv.FormatInt(seconds, 10) != stamp {
		return signature{}, badForm(headerTimestamp, "Unix seconds in decimal digits")
	}
	raw, err := hex.DecodeString(mac)
	if err != nil || len(raw) != sha256.Size || strings.ToLower(mac) != mac {
		return signature{}, badForm(headerSignature, "64 lower-case hexadecimal digits")
	}
	return signature{stamp: stamp, at: time.Unix(seconds, 0), mac: raw}, nil
}

// sign returns the signature of a request. target is its target as sent.
func sign(secret []byte, stamp, method, target string, body []byte) []byte {
	sum := sha256.Sum256(body)
	var text bytes.Buffer
	text.Grow(len(stamp) + len(method) + len(target) + 2*sha256.Size + 3)
	for _, line := range []string{stamp, method, target} {
		text.WriteString(line)
		text.WriteByte('\n')
	}
	text.Write(hex.AppendEncode(nil, sum[:]))
	mac := hmac.New(sha256.New, secret)
	mac.Write(text.Bytes())
	return mac.Sum(nil)
}

// target returns what stands between the method and the protocol in a request, less
// the origin that a request to a proxy begins with.
func target(ctx huma.Context) string {
	request, _ := humago.Unwrap(ctx)
	if strings.HasPrefix(request.RequestURI, "/") {
		return request.RequestURI
	}
	return request.URL.RequestURI()
}

// verify returns nil if a request is signed with the secret of the key, now or, while
// both are good, before its rotation.
func (c *call) verify(key *Key) *problem.Problem {
	stamp, mac := c.ctx.Header(headerTimestamp), c.ctx.Header(headerSignature)
	if stamp == "" && mac == "" {
		return unsigned()
	}
	s, p := parseSignature(stamp, mac)
	if p != nil {
		return p
	}
	// Looked at first: a body need not be read for it.
	if away := c.now.Sub(s.at).Abs(); away > SignatureWindow {
		return stale()
	}
	if p := c.readUnproven(key); p != nil {
		return p
	}
	to := target(c.ctx)
	if key.UnsignedQuery {
		to, _, _ = strings.Cut(to, "?")
	}
	method := c.ctx.Method()
	c.proof = key.Secret
	good := hmac.Equal(s.mac, sign(key.Secret, s.stamp, method, to, c.body))
	if !good && len(key.OldSecret) > 0 && key.OldUntil != nil && c.now.Before(*key.OldUntil) {
		c.proof = key.OldSecret
		good = hmac.Equal(s.mac, sign(key.OldSecret, s.stamp, method, to, c.body))
	}
	if !good {
		return badSignature()
	}
	c.proven()
	c.signature = &s
	return nil
}
