// Package identity says which asset a venue means by a code, and which chain by
// the name of a network.
//
// A code is an asset of its venue alone: the same letters name other assets
// elsewhere, so that the key of the table is (venue, code), and a venue's own line
// wins over the line of all. What stands in no line stays what it is,
// venue:<name>/<CODE>, and is shown as such. Two tables of text make it up; a
// line added to them is all that a new asset needs.
package identity
