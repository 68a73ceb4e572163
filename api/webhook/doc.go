// Package webhook is the outbound half of tallyd: it tells a tenant's servers
// what happened, as signed HTTP requests.
//
// Every event that has a number is queued once for every endpoint that wants it,
// and sent until the endpoint has taken it: at least once, in no promised order
// unless the endpoint asks for one. The queue is in Postgres, behind Outbox; a
// Dispatcher in every process empties it. Nothing is sent before the event has
// committed, and nothing is forgotten when a process dies: what it held is free
// again within seconds.
//
// The nouns are a leaf that package store maps its rows to; Mount adds the
// operations with which tenants set up endpoints and look at deliveries.
package webhook
