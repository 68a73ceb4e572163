// Package rpc is the only road to a node: JSON-RPC over HTTP and WebSocket, and
// plain HTTP reads, through a pool of upstreams.
//
// It bounds what a node can cost us (time, bytes, requests at once, requests per
// second), remembers which upstream is well, and says in words why one is not.
// It knows no method of any chain: adapters do. No URL with credentials, and no
// password, stands in any error, log line or health report of this package.
package rpc
