// Package custody is the surface of custody backends: vaults, wallets, their
// transactions and deposits, the address book, and the keys that addresses come
// from. What custody backends know stands at the paths they know it by, and under
// /v1 once more.
package custody
