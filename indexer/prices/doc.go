// Package prices decides what an asset is worth: it reads all sources, makes one
// price of what they say of each pair, and answers what something was worth at a
// time.
//
// Three rules hold throughout. What no two sources say is marked; what sources
// disagree about is no price. A price is of a time, which stands beside it, and
// one that grew old is shown as old and never as nothing. What has no price is
// listed, and never counted as zero.
package prices
