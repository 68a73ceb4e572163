// Package venue is what an exchange or a custodial service is: a login is opened
// with credentials, asked what it may do, and read: what it holds in each of its
// wallets, and what moved.
//
// A venue can only be read. Each declares the pairs of method and path that it
// may ask, and the Transport refuses every other before it dials. What a venue
// says in numbers is kept as the decimal digits it wrote; there is no float in
// this package, nor in those below it. What it did not say is never zero.
//
// The folders below this one hold a connector each; package chains/all lists them.
// A connector knows how its venue signs, how it says no, and what its answers
// mean. All the rest is here: hosts, budgets, clocks, nonces, retries, and what is
// covered of a history.
package venue
