package chains

// Family is a kind of chain that one adapter reads.
type Family string

// The families tallyd knows.
const (
	FamilyBitcoin Family = "bitcoin"
	FamilyEVM     Family = "evm"
)

// Environment keeps test money apart from live money. Every row of a customer
// carries one, and every chain has one.
type Environment string

// The environments.
const (
	Live Environment = "live"
	Test Environment = "test"
)

// Chain names one network.
type Chain struct {
	Slug        string      // the operator's short name: btc, ltc, eth, base
	ID          string      // CAIP-2: bip122:000000000019d6689c085ae165831e93, eip155:1
	Family      Family      //
	Environment Environment //
	Genesis     Hash        // the hash of block 0
	Native      Asset       // the asset fees are paid in
	Maturity    uint64      // blocks a coinbase output waits before it can be spent; 0 where there are none
}
