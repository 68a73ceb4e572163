// Package guard makes HTTP clients for addresses that a customer chose. Such an
// address must not lead into the operator's own network: not by a literal, not
// by a name, not by a name that answers differently the second time, and not by
// a redirect.
//
// The check stands where the connection is made, after the name was resolved,
// on the very address that is dialled. There is nothing between it and the
// connection that could change.
package guard

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"code.dny.dev/ssrf"
)

// ErrRefused says that an address may not be dialled. Nothing was sent.
var ErrRefused = errors.New("address is refused")

// Rules are what an operator lets through.
type Rules struct {
	// Allow are networks that may be dialled although they are private or
	// special, at every port.
	Allow []netip.Prefix

	// Ports are those that may be dialled at public addresses; 80 and 443 if
	// there is none.
	Ports []uint16
}

// Guard refuses private and special addresses, those of the registries of IANA
// for IPv4 (RFC 6890) and whatever is no global unicast for IPv6. It is safe for
// concurrent use.
type Guard struct {
	allow  []netip.Prefix
	public *ssrf.Guardian
}

// New returns a Guard.
func New(rules Rules) *Guard {
	ports := rules.Ports
	if len(ports) == 0 {
		ports = []uint16{80, 443}
	}
	allow := make([]netip.Prefix, 0, len(rules.Allow))
	for _, prefix := range rules.Allow {
		allow = append(allow, prefix.Masked())
	}
	return &Guard{allow: allow, public: ssrf.New(ssrf.WithPorts(ports...))}
}

// Check returns ErrRefused unless an address may be dialled.
func (g *Guard) Check(address netip.AddrPort) error {
	// An IPv4 address in IPv6 clothes is the IPv4 address to the kernel.
	plain := address.Addr().Unmap().WithZone("")
	if slices.ContainsFunc(g.allow, func(p netip.Prefix) bool { return p.Contains(plain) }) {
		return nil
	}
	if err := g.public.SafeAddrPort(netip.AddrPortFrom(plain, address.Port())); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// Control is Check for net.Dialer: it is called with each address that a name
// was resolved to, right before the connection.
func (g *Guard) Control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network %s", ErrRefused, network)
	}
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return g.Check(parsed)
}
