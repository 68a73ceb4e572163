// Package price is what a price is: an exact rate of an asset in another one, who
// said it and when.
//
// An asset is named by its id. The names that callers may use for some of them
// (BTC, USD) stand in a table of ours, as do the pairs by which sources name
// them; a ticker alone names nothing. No binary floating point number is ever
// made of a rate. The sources are packages below this one.
package price
