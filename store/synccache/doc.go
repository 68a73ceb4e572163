// Package synccache keeps the sync state of chains and accounts in Redis, for
// those who only look. Behind it stands Postgres, which alone is the truth: every
// fault of Redis, an empty one and one that hangs included, is a miss.
package synccache
