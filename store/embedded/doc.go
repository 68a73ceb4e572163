// Package embedded runs what tallyd dev and the tests need without anybody
// installing it: a private PostgreSQL server as a child process and a Redis
// inside our own process.
//
// Start is for tallyd dev: a durable cluster under the data folder, reachable by
// TCP on 127.0.0.1 with a random password, ended with us even when we are killed.
// TestDatabase is for tests: a fresh database for each, on one server without
// fsync that the test processes of a user share.
package embedded
