package accounts

import (
	"strings"

	"tallyd/chains"
)

// walletType is what Blockmate calls every account on a chain.
const walletType = "crypto_wallet"

// Provider is a chain that accounts can be connected on.
type Provider struct {
	Chain       string // slug
	Family      chains.Family
	Environment chains.Environment
	Title       string // Bitcoin (BTC)
	Site        string // "" if none is known
	Alias       string // another name in paths: bitcoin for btc; "" for none
}

// NewProvider returns the provider of a chain, with title, site and alias of the
// networks people know. Another chain is called by its slug.
func NewProvider(slug string, family chains.Family, environment chains.Environment) Provider {
	p := Provider{Chain: slug, Family: family, Environment: environment, Title: strings.ToUpper(slug)}
	switch slug {
	case "btc":
		p.Title, p.Site, p.Alias = "Bitcoin (BTC)", "https://bitcoin.org", "bitcoin"
	case "ltc":
		p.Title, p.Site, p.Alias = "Litecoin (LTC)", "https://litecoin.org", "litecoin"
	case "doge":
		p.Title, p.Site, p.Alias = "Dogecoin (DOGE)", "https://dogecoin.com", "dogecoin"
	case "bch":
		p.Title, p.Site, p.Alias = "Bitcoin Cash (BCH)", "https://bitcoincash.org", "bitcoin-cash"
	case "eth":
		p.Title, p.Site, p.Alias = "Ethereum (ETH)", "https://ethereum.org", "ethereum"
	case "base":
		p.Title, p.Site = "Base (ETH)", "https://base.org"
	}
	return p
}

// provider returns the provider a path names, by slug or alias, if it is one of
// the caller's environment.
func (s *surface) provider(name string, environment chains.Environment) (Provider, bool) {
	for _, p := range s.Providers {
		if p.Chain == name && p.Environment == environment {
			return p, true
		}
	}
	for _, p := range s.Providers {
		if p.Alias == name && p.Environment == environment {
			return p, true
		}
	}
	return Provider{}, false
}

// url returns the path of the provider below /v1/, as Blockmate names it.
func (p Provider) url() string { return accountURL(p.Chain) }

func accountURL(chain string) string { return "onchain/" + chain }

// nftURL returns the path of a chain's NFTs below /v1/.
func nftURL(chain string) string { return "nft/" + chain }

// Hint says what connecting an account takes.
type Hint struct {
	Description string            `json:"description" example:"Bitcoin (BTC)"`
	URL         string            `json:"url" example:"https://bitcoin.org"`
	Intro       string            `json:"intro"`
	Fields      map[string]string `json:"fields" doc:"Body members of the POST and what to ask the user for"`
	OAuth       bool              `json:"oauth"`
}

// listedHint is a hint in the list of all, which names its provider.
type listedHint struct {
	AccountName string `json:"account_name" example:"btc"`
	AccountType string `json:"account_type" enum:"crypto_wallet,crypto_exchange"`
	AccountURL  string `json:"account_url" example:"onchain/btc"`
	Info        string `json:"info"`
	Icon        string `json:"icon" doc:"Always empty: icons are the app's"`
	Hint
}

// nftHint says what connecting an address for its NFTs takes.
func (p Provider) nftHint() Hint {
	return Hint{
		Description: p.Title + " NFTs",
		URL:         p.Site,
		Intro:       "Use your address to connect your NFTs.",
		Fields:      map[string]string{"description": "Account description", "wallet": "Address"},
	}
}

func (p Provider) hint() Hint {
	intro := "Use your address or extended public key to connect your account."
	wallet := "Address or extended public key"
	if p.Family == chains.FamilyBitcoin {
		intro = "Use your address, extended public key or output descriptor to connect your account."
		wallet = "Address, extended public key or descriptor"
	}
	return Hint{
		Description: p.Title,
		URL:         p.Site,
		Intro:       intro,
		Fields:      map[string]string{"description": "Account description", "wallet": wallet},
	}
}
