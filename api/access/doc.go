// Package access says who is calling and what they may do: API keys, signed
// requests, the master key, and the short tokens of end customers.
//
// The nouns are a leaf that package store maps its rows to. Gate is what package api
// and its surfaces put before their operations, each with its Rule: it finds out who
// is calling, counts the call against a budget, and makes one transaction of what
// writes.
package access
