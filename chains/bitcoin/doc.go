// Package bitcoin reads the chains of the bitcoin family: BTC, and by a
// parameter file each LTC, DOGE and BCH.
//
// Source speaks to the nodes and believes what proof of work, merkle root and
// witness commitment prove; Walker finds what a raw block does to watched
// scripts without decoding it; Descriptor and the address functions turn what
// people paste into scripts.
package bitcoin
