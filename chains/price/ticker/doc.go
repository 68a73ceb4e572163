// Package ticker reads the public prices of exchanges: what was paid last in each
// pair, one request for all of them.
//
// It asks over the transport of chains/venue with routes of its own, none of which
// needs a key, so that a price is read as guardedly as an account: nothing but
// the declared pairs of method and path is sent, and the budget of the address is
// the venue's. Which pair is the price of which asset stands in a table; an
// exchange that lists another asset under the same letters changes nothing.
package ticker
