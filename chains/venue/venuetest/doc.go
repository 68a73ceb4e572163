// Package venuetest is what every connector of a venue passes: requests that
// reproduce those of another client byte for byte, answers that were recorded or
// stand in a reference, and a mock venue with all the faults that venues have.
package venuetest
