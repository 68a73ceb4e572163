// Package jobs runs work in the background, by River on Postgres: what must be
// done once by any of several processes, and again if the one that did it died.
//
// A job is a wake-up. What it wakes reads from the ledger what there is to do,
// and saves its progress there: a job that runs twice, or for nothing, does no
// harm.
package jobs
