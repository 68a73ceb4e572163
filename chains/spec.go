package chains

import "time"

// Spec is what an adapter needs to know to open one chain: the operator's
// settings, already checked for form.
type Spec struct {
	Slug        string
	Family      Family
	Network     string // bitcoin: name of a parameter set (mainnet, regtest, litecoin); EVM: decimal chain id
	Environment Environment
	Upstreams   []Upstream // at least one; the first is asked first while all are well
	Tokens      []Token    // EVM: the operator's list

	Mempool          bool          // follow unconfirmed transactions
	MainnetAddresses bool          // bitcoin: accept mainnet spellings of addresses too; only `tallyd dev` sets it
	Trace            bool          // EVM: find internal transfers by tracing where the node can
	FinalityTags     bool          // EVM: the tags of this network mean something (not so on dev chains)
	Concurrency      int           // requests under way at once to one upstream
	Batch            int           // calls in one JSON-RPC batch
	Timeout          time.Duration // of one request, connection and answer included
}

// Upstream is one node of a chain.
type Upstream struct {
	URL       string  // http or https, without credentials
	Websocket string  // ws or wss, without credentials; "" for none
	User      string  // of basic authentication; "" for none
	Password  string  //
	REST      bool    // bitcoin: try the node's REST interface
	Budget    float64 // requests per second; 0 for no limit
}

// Token is a token the operator lists.
type Token struct {
	Contract string // 0x… of 20 bytes
	Symbol   string
	Decimals int
	Slot     int // storage slot of the mapping of balances, for proofs; -1 if unknown
}
