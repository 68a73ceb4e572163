package identity

import "strings"

// spelling is one way to read a code.
type spelling struct{ code, kind string }

// spellings returns the ways to read a code, the likeliest first: as it stands,
// and without what a venue puts around the code of the asset below it.
func spellings(venue, code string) []spelling {
	ways := []spelling{{code: code}}
	switch venue {
	case "kraken":
		if base, suffix, found := strings.Cut(code, "."); found {
			ways = append(ways, krakenSuffix(base, suffix)...)
		}
	case "htx", "bitstamp":
		ways = append(ways, spelling{code: strings.ToUpper(code)})
	case "binance":
		// LDBNB is the receipt for BNB in flexible Simple Earn; LDO is a coin.
		if base, found := strings.CutPrefix(code, "LD"); found && len(base) > 1 {
			ways = append(ways, spelling{code: base, kind: Saved})
		}
	}
	return ways
}

// krakenSuffix reads what follows the point in a code of Kraken: .S staked, with
// the days of unbonding before it (DOT28.S); .M and .F earn rewards; .B bonded;
// .P bonded for a parachain; .HOLD not to be withdrawn yet.
func krakenSuffix(base, suffix string) []spelling {
	var kind string
	switch suffix {
	case "S":
		kind = Staked
	case "M", "F":
		kind = Saved
	case "B", "P":
		kind = Bonded
	case "HOLD":
		kind = OnHold
	default:
		return nil
	}
	// ETH2.S is ETH2 staked, and that stands in the table; DOT28.S is not DOT28.
	ways := []spelling{{code: base, kind: kind}}
	if short := strings.TrimRight(base, "0123456789"); short != "" && short != base && suffix != "HOLD" {
		ways = append(ways, spelling{code: short, kind: kind})
	}
	return ways
}
