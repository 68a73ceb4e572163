package evm

// IsTestNetwork reports whether a chain id is known for a network of test money. Of
// one that is not known nobody can tell.
func IsTestNetwork(id uint64) bool {
	switch id {
	case 1337, 31337: // development nodes
	case 3, 4, 5, 17000, 560048, 11155111: // Ethereum: Ropsten, Rinkeby, Goerli, Holesky, Hoodi, Sepolia
	case 420, 11155420: // Optimism
	case 84531, 84532: // Base
	case 421613, 421614: // Arbitrum
	case 80001, 80002: // Polygon: Mumbai, Amoy
	case 97: // BNB
	case 63: // Ethereum Classic: Mordor
	case 10200: // Gnosis: Chiado
	case 43113: // Avalanche: Fuji
	case 44787, 11142220: // Celo: Alfajores, Sepolia
	case 300, 534351, 59140, 59141, 168587773: // zkSync, Scroll, Linea, Blast
	default:
		return false
	}
	return true
}
