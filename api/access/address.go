package access

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// forwardedFor is where proxies write down whom they forward, each at the end.
const forwardedFor = "X-Forwarded-For"

// proxies are the networks whose word about the caller's address is believed.
type proxies []netip.Prefix

func (p proxies) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(address) })
}

// client returns the address a request comes from, or the zero Addr if nobody
// knows. It is that of the connection, unless a trusted proxy made the connection:
// then it is what that proxy wrote down, and so on while what was written down is a
// trusted proxy too. What a caller wrote itself stands to the left of that, and is
// never reached.
func (p proxies) client(ctx huma.Context) netip.Addr {
	address := hop(ctx.RemoteAddr())
	if !p.trusts(address) {
		return address
	}
	var hops []string
	ctx.EachHeader(func(name, value string) {
		if name == forwardedFor {
			hops = append(hops, strings.Split(value, ",")...)
		}
	})
	for _, text := range slices.Backward(hops) {
		// A proxy that says nothing of use leaves us without an address: taking the
		// proxy's own would let a stranger in where the proxy may come in.
		if address = hop(strings.TrimSpace(text)); !p.trusts(address) {
			break
		}
	}
	return address
}

// hop reads an address with or without a port. It returns the zero Addr if it is
// none.
func hop(text string) netip.Addr {
	with, err := netip.ParseAddrPort(text)
	address := with.Addr()
	if err != nil {
		if address, err = netip.ParseAddr(text); err != nil {
			return netip.Addr{}
		}
	}
	return address.Unmap().WithZone("")
}

// crowd names those who share the budget of an address: an IPv6 customer has a
// whole /64 to draw addresses from.
func crowd(address netip.Addr) string {
	switch {
	case !address.IsValid():
		return "unknown"
	case address.Is4():
		return address.String()
	}
	const customer = 64
	return netip.PrefixFrom(address, customer).Masked().Addr().String()
}
