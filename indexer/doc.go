// Package indexer holds the product's nouns and decisions: who is connected,
// which block comes next, what it changes, and when history is complete.
//
// It sees no SQL, no HTTP and no adapter. Chains are read through chains.Source;
// what is durable goes through the ports in ports.go, which package store
// implements.
package indexer
