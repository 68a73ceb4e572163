package chains

import "strings"

// AssetID identifies an asset by CAIP-19: eip155:1/slip44:60 for a native coin,
// eip155:1/erc20:0x… (contract in lower case) for a token,
// eip155:1/erc721:0x…/ID and eip155:1/erc1155:0x…/ID for one of a collection. It
// is the only identity an asset has; a ticker is never one.
type AssetID string

// Asset is what is counted. Symbol and Decimals are for display.
type Asset struct {
	ID       AssetID
	Symbol   string // as the operator or the contract names it; "" while unknown
	Name     string // "" while unknown
	Decimals int    // -1 while unknown
	Listed   bool   // named by the operator: only a listed asset is credited or shown under its symbol
}

// TokenID returns the id of the token at contract (0x… of 20 bytes) on the chain
// with CAIP-2 id chain.
func TokenID(chain, contract string) AssetID {
	return AssetID(chain + "/erc20:" + strings.ToLower(contract))
}

// Contract returns the contract address (0x…, lower case) of a token, or "" for
// an asset that has none.
func (id AssetID) Contract() string {
	_, contract, found := strings.Cut(string(id), "/erc20:")
	if !found {
		return ""
	}
	return contract
}
