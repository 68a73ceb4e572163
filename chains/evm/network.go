package evm

import (
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
)

// network is what has to be known about one network beforehand. Most need
// nothing: the zero value stands for an unknown one.
type network struct {
	symbol string // of the native coin; "" means ETH
	name   string // of the native coin; "" means Ether
	slip44 int    // 0 means 60

	// priced says that the price of gas follows EIP-1559 as on mainnet, so
	// that a receipt which says otherwise is wrong. On others the node's
	// word is taken.
	priced bool

	// unsigned says that a node may have made transactions without a
	// signature, in the name of anyone. Only development nodes do.
	unsigned bool

	// stateSync says that the last transaction of a block may be one that the
	// consensus added outside of the roots (Polygon's bor).
	stateSync bool

	// alias is a contract whose Transfer logs speak of the native coin.
	alias common.Address

	// plain is a collection of NFTs older than ERC-721, whose Transfer logs have
	// the same form but for having nothing indexed (CryptoKitties).
	plain common.Address
}

// knownNetwork returns what is known of a chain id: nothing of most.
func knownNetwork(id uint64) network {
	switch id {
	case 1:
		return network{priced: true, plain: common.HexToAddress("0x06012c8cf97BEaD5deAe237070F9587f8E7A266d")}
	case 10, 8453, 17000, 560048, 11155111:
		return network{priced: true}
	case 1337, 31337:
		return network{priced: true, unsigned: true}
	case 56:
		return network{symbol: "BNB", name: "BNB", slip44: 714, priced: true}
	case 61:
		return network{symbol: "ETC", name: "Ether Classic", slip44: 61}
	case 100:
		return network{symbol: "xDAI", name: "xDAI", slip44: 700, priced: true}
	case 137:
		return network{
			symbol: "POL", name: "POL", slip44: 966, priced: true, stateSync: true,
			alias: common.HexToAddress("0x0000000000000000000000000000000000001010"),
		}
	case 43114:
		return network{symbol: "AVAX", name: "Avalanche", slip44: 9000}
	case 42220:
		return network{
			symbol: "CELO", name: "Celo", slip44: 52752,
			alias: common.HexToAddress("0x471EcE3750Da237f93B8E339c536989b8978a438"),
		}
	}
	return network{}
}

// systemLog is where the logs of EIP-7708 come from, which have the form of a
// token's Transfer and speak of the native coin.
//
//nolint:gochecknoglobals // a constant that Go has no literal for
var systemLog = common.HexToAddress("0xfffffffffffffffffffffffffffffffffffffffe")

// chain returns what the network is called.
func (n network) chain(spec chains.Spec, id uint64, genesis common.Hash) chains.Chain {
	symbol, name, slip44 := n.symbol, n.name, n.slip44
	if symbol == "" {
		symbol, name = "ETH", "Ether"
	}
	if slip44 == 0 {
		slip44 = 60
	}
	caip2 := "eip155:" + strconv.FormatUint(id, 10)
	return chains.Chain{
		Slug:        spec.Slug,
		ID:          caip2,
		Family:      chains.FamilyEVM,
		Environment: spec.Environment,
		Genesis:     chains.Hash(genesis),
		Native: chains.Asset{
			ID:       chains.AssetID(caip2 + "/slip44:" + strconv.Itoa(slip44)),
			Symbol:   symbol,
			Name:     name,
			Decimals: 18,
			Listed:   true,
		},
	}
}
