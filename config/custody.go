package config

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Custody is what wallets of custody need to know.
type Custody struct {
	// CoolingOff is how long a new entry of an address book waits before
	// withdrawals may go there. Default 0s: not at all.
	CoolingOff time.Duration `yaml:"cooling_off"`
}

// Withdrawals is how what leaves wallets of custody on one chain is paid for.
type Withdrawals struct {
	// MaxFee is the most that one transaction may pay the network, in whole units of
	// the chain's coin such as "0.01". Default 0.01 for the bitcoin family, 0.05 for
	// evm.
	MaxFee string `yaml:"max_fee"`
	// Blocks is within how many blocks a transaction is to be mined, from 1 to 144;
	// evm always means the next. Default 3.
	Blocks int `yaml:"blocks"`
}

// settle puts the defaults where nothing is set.
func (w *Withdrawals) settle(family string) {
	w.Blocks = cmp.Or(w.Blocks, 3)
	if family == FamilyEVM {
		w.MaxFee = cmp.Or(w.MaxFee, "0.05")
	}
	w.MaxFee = cmp.Or(w.MaxFee, "0.01")
}

// check reports what cannot work.
func (w Withdrawals) check(p problems, key, family string) {
	decimals := 8
	if family == FamilyEVM {
		decimals = 18
	}
	_, fraction, _ := strings.Cut(w.MaxFee, ".")
	if !wholePattern.MatchString(w.MaxFee) || len(fraction) > decimals || strings.Trim(w.MaxFee, "0.") == "" {
		p.add(key+".max_fee", "must be an amount above 0 such as 0.01, with at most %d digits after the point", decimals)
	}
	const most = 144
	if w.Blocks < 1 || w.Blocks > most {
		p.add(key+".blocks", "must be from 1 to %d", most)
	}
}

// Deposits is when payments to wallets of custody are credited on one chain.
type Deposits struct {
	// Credit is a number of confirmations, of which the block itself is the first;
	// or finalized, as Finality says; or safe, where Finality has a tag. Default 3
	// for bitcoin, 12 for litecoin and bitcoincash, 60 for dogecoin, finalized for
	// evm.
	Credit Credit `yaml:"credit"`
	// Rules are other conditions for single assets or amounts. Default none.
	Rules []CreditRule `yaml:"rules"`
	// ReorgLimit is how many blocks a reorg may take back before nothing more is
	// credited until `tallyd chain resume`. One that takes a credit back always has
	// that effect. Default: the depth of Finality.
	ReorgLimit uint64 `yaml:"reorg_limit"`
}

// CreditRule is when deposits of one asset from an amount on are credited. Of two
// that fit, the one that begins higher holds.
type CreditRule struct {
	// Asset is the contract of one of the chain's tokens. Default: the chain's coin.
	Asset string `yaml:"asset"`
	// From is the lowest amount, in whole units such as "10" or "0.5". Default 0.
	From string `yaml:"from"`
	// Credit is as in Deposits. Required.
	Credit Credit `yaml:"credit"`
}

// Credit is a number of confirmations, safe or finalized. The zero value is none
// of them.
type Credit struct {
	Confirmations uint64
	Tag           string // safe or finalized; "" for confirmations
}

// Confirmed returns a number of confirmations.
func Confirmed(n uint64) Credit { return Credit{Confirmations: n} }

// The tags of Credit.
const (
	CreditSafe      = "safe"
	CreditFinalized = "finalized"
)

// MarshalText writes the number or the tag.
func (c Credit) MarshalText() ([]byte, error) {
	if c.Tag != "" || c.Confirmations == 0 {
		return []byte(c.Tag), nil
	}
	return strconv.AppendUint(nil, c.Confirmations, 10), nil
}

// UnmarshalText takes a number above 0, safe or finalized.
func (c *Credit) UnmarshalText(text []byte) error {
	if tag := string(text); tag == CreditSafe || tag == CreditFinalized {
		*c = Credit{Tag: tag}
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil || n == 0 {
		return errors.New("must be a number of confirmations, safe or finalized")
	}
	*c = Confirmed(n)
	return nil
}

// settle puts the defaults where nothing is set, for a chain whose other settings
// have theirs.
func (d *Deposits) settle(c *Chain) {
	d.ReorgLimit = cmp.Or(d.ReorgLimit, c.Finality.Depth)
	if d.Credit != (Credit{}) {
		return
	}
	switch {
	case c.Family == FamilyEVM:
		d.Credit = Credit{Tag: CreditFinalized}
	case strings.HasPrefix(c.Network, "dogecoin"):
		d.Credit = Confirmed(60)
	case strings.HasPrefix(c.Network, "litecoin"), strings.HasPrefix(c.Network, "bitcoincash"):
		d.Credit = Confirmed(12)
	default:
		d.Credit = Confirmed(3)
	}
}

var wholePattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,59})(\.[0-9]+)?$`)

// check reports what cannot work in when a chain's deposits are credited.
func (d Deposits) check(p problems, key string, c Chain) {
	d.Credit.check(p, key+".credit", c)
	for i, rule := range d.Rules {
		key := key + ".rules." + strconv.Itoa(i)
		if rule.Credit == (Credit{}) {
			p.add(key+".credit", "is required")
		}
		rule.Credit.check(p, key+".credit", c)
		decimals := 8
		if c.Family == FamilyEVM {
			decimals = 18
		}
		if rule.Asset != "" {
			at := slices.IndexFunc(c.Tokens, func(t Token) bool { return strings.EqualFold(t.Contract, rule.Asset) })
			if at < 0 {
				p.add(key+".asset", "must be the contract of one of the chain's tokens")
				continue
			}
			decimals = c.Tokens[at].Decimals
		}
		_, fraction, _ := strings.Cut(rule.From, ".")
		if rule.From != "" && (!wholePattern.MatchString(rule.From) || len(fraction) > decimals) {
			p.add(key+".from", "must be an amount such as 10 or 0.5, with at most %d digits after the point", decimals)
		}
	}
}

func (c Credit) check(p problems, key string, chain Chain) {
	if c.Tag == CreditSafe && chain.Finality.Tag == "" {
		p.add(key, "can be safe only where finality.tag is set")
	}
}
