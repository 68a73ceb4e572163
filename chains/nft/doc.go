// Package nft reads the metadata of NFTs: JSON that stands where a contract says,
// in the contract itself, on a server of a stranger's, or behind a gateway of the
// operator's.
//
// Nothing about it is trusted. A server of a stranger's is dialled through
// chains/guard and may take its time and its length only within bounds; what it
// sends is read as JSON whatever it is called, cut to size, and rid of all that
// could not be shown as plain text.
package nft
