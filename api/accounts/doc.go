// Package accounts serves end customers and what they hold: users, connecting,
// balances, transactions and totals, in the shapes of Blockmate's public API.
//
// Where those shapes leave something open, docs/api.md says what was settled.
// Every amount is written as an exact JSON number and again as strings; what is
// not known is null or absent, never zero.
package accounts
