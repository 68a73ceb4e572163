#!/usr/bin/env bash
# Signs one request with the secret of a signed key and sends it, with openssl and curl.
#
#   TALLYD_SECRET=tly_live_… examples/signed.sh URL KEY METHOD TARGET [BODY]
#   TALLYD_SECRET=tly_test_… examples/signed.sh http://127.0.0.1:8080 tly_test_0a1B2c3D4e5F GET '/v1/events?limit=5'
#
# KEY is the public part of the key. TARGET is path and query, as they are sent and
# signed. A POST gets an Idempotency-Key, so that it can be sent again: set
# IDEMPOTENCY_KEY to choose it. openssl takes the secret as an argument, where other
# users of this machine may see it for a moment.
set -euo pipefail

if [ $# -lt 4 ] || [ $# -gt 5 ] || [ -z "${TALLYD_SECRET:-}" ]; then
	echo "usage: TALLYD_SECRET=… $0 URL KEY METHOD TARGET [BODY]" >&2
	exit 2
fi
url=${1%/} key=$2 method=$3 target=$4 body=${5:-}

# Four lines, without a line break at the end: Unix seconds, method, target, and the
# SHA-256 of the body in lower-case hex.
stamp=$(date +%s)
hash=$(printf '%s' "$body" | openssl dgst -sha256 -r | cut -d ' ' -f 1)
signature=$(printf '%s\n%s\n%s\n%s' "$stamp" "$method" "$target" "$hash" |
	openssl dgst -sha256 -mac HMAC -macopt "key:$TALLYD_SECRET" -r | cut -d ' ' -f 1)

headers=(-H "X-API-Key: $key" -H "X-Timestamp: $stamp" -H "X-Signature: $signature")
if [ "$method" = POST ]; then
	headers+=(-H "Idempotency-Key: ${IDEMPOTENCY_KEY:-$(openssl rand -hex 16)}")
fi
if [ -n "$body" ]; then
	headers+=(-H 'Content-Type: application/json' --data-binary "$body")
fi
# What is sent must be what was signed, letter by letter.
answer=$(curl -sS --path-as-is --globoff -X "$method" "$url$target" "${headers[@]}" -w '\n%{http_code}')
status=${answer##*$'\n'}
answer=${answer%$'\n'*}
if [ "$status" -ge 400 ]; then
	echo "$method $target: $status $answer" >&2
	exit 1
fi
printf '%s\n' "$answer"
