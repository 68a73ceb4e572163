// Package custody holds the nouns and decisions of custody: vaults and their
// wallets, the addresses they are paid at, the life of a deposit, and the double
// entry that every movement of money is.
//
// It is a leaf of package indexer: it sees no SQL and no HTTP. What is durable
// goes through the ports beside the nouns, which package store implements; what
// only a chain can tell is asked of chains.Source.
package custody
