// Package store keeps the ledger in Postgres. It implements the ports that
// package indexer and the surfaces of package api declare.
//
// Only exported methods of Store open transactions. Whoever writes a chain locks
// its row in the table cursors first, by the write that moves it or with
// LockCursor, and every other row after it: writers of one chain wait for each
// other and never deadlock. Postgres does the set work; Go decides.
//
// A request that writes is one transaction, opened by Write. Its context carries
// it, and every method that is called with that context works in it: see request.
package store
