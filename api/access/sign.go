package access

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"time"
)

// Sign signs a request that is about to be sent, as the owner of a signed key does:
// key is its public part, tly_live_<id>, and body exactly what will be sent. A
// signature is good for SignatureWindow and, on writes, once.
func Sign(req *http.Request, key, secret string, body []byte, now time.Time) {
	stamp := strconv.FormatInt(now.Unix(), 10)
	req.Header.Set(headerKey, key)
	req.Header.Set(headerTimestamp, stamp)
	req.Header.Set(headerSignature, hex.EncodeToString(sign([]byte(secret), stamp, req.Method, req.URL.RequestURI(), body)))
}
