package binance

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// get asks for a whole answer.
func get[T any](ctx context.Context, a *account, host, path string, params venue.Params) (T, error) {
	return venue.Read[T](ctx, a.s, venue.Request{Method: http.MethodGet, Host: host, Path: path, Query: params.Encode()})
}

func (a *account) isGlobal() bool { return a.s.Region().Name == global }

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	login, _, err := a.spot(ctx)
	if err != nil {
		return venue.Access{}, err
	}
	access := venue.Access{Login: login, Verdict: venue.Unknown, State: venue.State{Status: venue.AccountOpen}}
	if !a.isGlobal() {
		return access, nil
	}
	flags, err := get[map[string]json.RawMessage](ctx, a, "", keyPath, nil)
	if err != nil {
		return venue.Access{}, err
	}
	if _, there := flags["enableReading"]; !there {
		return venue.Access{}, venue.Misread("%s does not say whether the key may read", keyPath)
	}
	access.Unbound = true
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if string(flags[name]) != "true" {
			continue
		}
		if name == "ipRestrict" {
			access.Unbound = false
			continue
		}
		access.Can = append(access.Can, name)
	}
	access.Verdict, access.Excess = venue.Judge(access.Can, "enableReading", "enableFixReadOnly")
	access.Lacks = venue.Lacking(access.Can, "enableReading")
	return access, nil
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	_, spot, err := a.spot(ctx)
	if err != nil {
		return venue.Balances{}, err
	}
	parts := []part{{venue.Staking, a.staking}}
	saved := map[string]bool{}
	switch a.s.Region().Name {
	case us:
	case global:
		parts = append(a.parts(ctx, c, spot, saved), part{venue.Funding, a.funding})
	default:
		parts = nil
	}
	for _, p := range parts {
		if err := c.Try(ctx, p.wallet, p.read); err != nil {
			return venue.Balances{}, err
		}
	}
	for _, h := range spot {
		// LDBNB is the receipt for BNB that is saved, which was read where it is.
		if coin, receipt := strings.CutPrefix(h.Code, "LD"); receipt && saved[coin] {
			continue
		}
		c.Add(h)
	}
	return c.Balances()
}

// part is one wallet beside the spot wallet.
type part struct {
	wallet venue.Wallet
	read   func(context.Context) ([]venue.Holding, error)
}

// parts returns the wallets that the account has opened. Where Binance does not
// say which, all are asked.
func (a *account) parts(ctx context.Context, c *venue.Collector, spot []venue.Holding, saved map[string]bool) []part {
	all := map[string]part{
		"Cross Margin":    {venue.Margin, a.margin},
		"Isolated Margin": {venue.Isolated, a.isolated},
		"USD-M Futures":   {venue.Futures, a.usdm},
		"COIN-M Futures":  {venue.Inverse, a.coinm},
	}
	earn := []part{
		{venue.Earn, func(ctx context.Context) ([]venue.Holding, error) { return a.flexible(ctx, spot, saved) }},
		{venue.Locked, a.locked},
	}
	wallets, err := a.wallets(ctx)
	if err != nil {
		return append(earn, slices.Collect(maps.Values(all))...)
	}
	parts := earn
	for _, w := range wallets {
		name := strings.Replace(w.WalletName, "Ⓢ", "", 1)
		p, known := all[name]
		switch {
		case known && w.Activate:
			parts = append(parts, p)
		case strings.Contains(name, "Portfolio"):
			parts = append(parts, part{venue.Trading, a.portfolio})
		case !known && name != "Spot" && name != "Funding" && name != "Earn" && w.Balance.Sign() != 0:
			c.Miss(venue.Other, venue.NotRead, name+" is not read")
		}
	}
	return parts
}

type wallet struct {
	Activate   bool          `json:"activate"`
	Balance    venue.Decimal `json:"balance"`
	WalletName string        `json:"walletName"`
}

// wallets returns what each wallet is worth, in bitcoin.
func (a *account) wallets(ctx context.Context) ([]wallet, error) {
	return get[[]wallet](ctx, a, "", walletsPath, nil)
}

// Value implements venue.Valuer.
func (a *account) Value(ctx context.Context) ([]venue.Worth, error) {
	if !a.isGlobal() {
		return nil, nil
	}
	wallets, err := a.wallets(ctx)
	if err != nil {
		return nil, err
	}
	var worth []venue.Worth
	for _, w := range wallets {
		if w.Activate {
			worth = append(worth, venue.Worth{Wallet: venue.Wallet(w.WalletName), Code: "BTC", Total: w.Balance})
		}
	}
	return worth, nil
}
