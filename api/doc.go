// Package api is the HTTP side of tallyd: the router with its log, limits and
// metrics, the OpenAPI document, and the operations that belong to no surface.
//
// It sees no store. What it reads comes through the small ports it declares; the
// surfaces below it are mounted by whoever starts the daemon.
package api
