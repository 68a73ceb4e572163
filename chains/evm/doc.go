// Package evm reads any network of the Ethereum family: it fetches blocks with
// their receipts, believes them once every root in the header has been
// recomputed, and reads balances with proofs against that header.
//
// It knows package chains and the transport in chains/rpc. The formats are
// those of the Ethereum yellow paper, the execution API
// (github.com/ethereum/execution-apis) and the EIPs named where they matter.
package evm
