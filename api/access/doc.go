// Package access says who is calling and what they may do: API keys, the master
// key, and the short tokens of end customers.
//
// The nouns are a leaf that package store maps its rows to; Gate is the
// middleware that package api and its surfaces put before their operations.
package access
