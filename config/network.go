package config

import (
	"errors"
	"net/netip"
	"strconv"
)

// Switch is on unless the settings turn it off: what must not be forgotten is on in
// a Config that nobody filled in.
type Switch struct{ off bool }

// On reports whether the switch is on.
func (s Switch) On() bool { return !s.off }

// MarshalText writes true or false.
func (s Switch) MarshalText() ([]byte, error) { return strconv.AppendBool(nil, s.On()), nil }

// UnmarshalText takes true or false.
func (s *Switch) UnmarshalText(text []byte) error {
	on, err := strconv.ParseBool(string(text))
	if err != nil {
		return errors.New("must be true or false")
	}
	s.off = !on
	return nil
}

// Network is a range of addresses.
type Network struct{ netip.Prefix }

// UnmarshalText takes 10.0.0.0/8, or one address.
func (n *Network) UnmarshalText(text []byte) error {
	if addr, err := netip.ParseAddr(string(text)); err == nil && addr.Zone() == "" {
		n.Prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		return nil
	}
	prefix, err := netip.ParsePrefix(string(text))
	if err != nil || prefix.Addr().Is4In6() {
		return errors.New("must be a network such as 10.0.0.0/8, or an address")
	}
	n.Prefix = prefix.Masked()
	return nil
}
