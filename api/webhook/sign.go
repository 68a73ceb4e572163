package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	keySize      = 32
	secretPrefix = "whsec_"
)

// NewKey returns the key of a new secret.
func NewKey() []byte {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // it never fails
	return key
}

// Text returns a key as its owner is shown it, in the form of Standard Webhooks.
func Text(key []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(key) }

// sign sets the headers that prove where a body comes from and when it was sent:
// those of Standard Webhooks 1.0.0 with a signature for each key, and beside them
// X-Webhook-Signature, of the body alone and with the newest key, for receivers
// that know only that one. keys has the newest first.
func sign(h http.Header, id uuid.UUID, at time.Time, body []byte, keys [][]byte) {
	seconds := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, 0, len(keys))
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id.String() + "." + seconds + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	h.Set("Webhook-Id", id.String())
	h.Set("Webhook-Timestamp", seconds)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
	if len(keys) > 0 {
		mac := hmac.New(sha256.New, keys[0])
		mac.Write(body)
		h.Set("X-Webhook-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
}
