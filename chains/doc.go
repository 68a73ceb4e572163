// Package chains says what a chain is: the words every other room shares.
//
// It holds block references, assets, amounts, transfers, and the Source an
// adapter implements with its small optional abilities. It imports the standard
// library only; an adapter for a family of chains knows this package and
// nothing above it.
package chains
