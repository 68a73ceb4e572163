package gate

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

func get[T any](ctx context.Context, a *account, path string, params venue.Params) (T, error) {
	return venue.Read[T](ctx, a.s, venue.Request{Method: http.MethodGet, Path: path, Query: params.Encode()})
}

// list asks for a list. null is none.
func list[T any](ctx context.Context, a *account, path string, params venue.Params) ([]T, error) {
	rows, err := get[*[]T](ctx, a, path, params)
	if err != nil {
		return nil, err
	}
	if rows == nil {
		return nil, venue.Misread("%s has no list", path)
	}
	return *rows, nil
}

// apiKey is one key of the account. Gate shows all of them, or the one that asks.
type apiKey struct {
	UserID      venue.Text      `json:"user_id"`
	Key         json.RawMessage `json:"key"` // masked, or an object
	IPWhitelist []string        `json:"ip_whitelist"`
	Perms       *[]struct {
		Name     string `json:"name"`
		ReadOnly *bool  `json:"read_only"`
	} `json:"perms"`
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	access := venue.Access{Verdict: venue.Unknown, State: venue.State{Status: venue.AccountOpen}}
	raw, err := get[json.RawMessage](ctx, a, keysPath, nil)
	if venue.ReasonOf(err) == venue.PermissionMissing {
		// Without the permission Account the key cannot be asked about. That it
		// holds is seen at the balance.
		access.Lacks = []string{"account"}
		_, err = a.spot(ctx)
		return access, err
	}
	if err != nil {
		return venue.Access{}, err
	}
	var keys []apiKey
	if strings.HasPrefix(strings.TrimSpace(string(raw)), "{") {
		keys = make([]apiKey, 1)
		err = venue.Decode(raw, &keys[0])
	} else {
		err = venue.Decode(raw, &keys)
	}
	if err != nil {
		return venue.Access{}, venue.Misread("%s: %v", keysPath, err)
	}
	key, known := own(keys, a.s.Credentials().Get(venue.FieldKey))
	if !known {
		return access, nil
	}
	if key.Perms == nil {
		return venue.Access{}, venue.Misread("%s has no permissions", keysPath)
	}
	access.Login, access.Unbound = string(key.UserID), len(key.IPWhitelist) == 0
	for _, p := range *key.Perms {
		right := p.Name + ":write"
		if p.ReadOnly != nil && *p.ReadOnly {
			right = p.Name + ":read"
		} else {
			access.Excess = append(access.Excess, right)
		}
		access.Can = append(access.Can, right)
	}
	access.Verdict = venue.ReadOnly
	if access.Excess != nil {
		access.Verdict = venue.TooStrong
	}
	return access, nil
}

// own returns the entry of a key: the only one, or the only one that its mask
// fits.
func own(keys []apiKey, key string) (apiKey, bool) {
	if len(keys) == 1 && !strings.HasPrefix(string(keys[0].Key), `"`) {
		return keys[0], true
	}
	var found []apiKey
	for _, k := range keys {
		var mask venue.Text
		if mask.UnmarshalJSON(k.Key) == nil && fits(string(mask), key) {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		return apiKey{}, false
	}
	return found[0], true
}

// fits reports whether a mask such as ab***yz is one of a key.
func fits(mask, key string) bool {
	if !strings.Contains(mask, "*") {
		return mask == key
	}
	head, _, _ := strings.Cut(mask, "*")
	tail := mask[strings.LastIndex(mask, "*")+1:]
	return len(head)+len(tail) > 0 && strings.HasPrefix(key, head) && strings.HasSuffix(key, tail)
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	unified, err := a.isUnified(ctx)
	if venue.ReasonOf(err) == venue.PermissionMissing {
		c.Miss(venue.Trading, venue.PermissionMissing, "whether the account is a unified one cannot be told")
		err = nil
	}
	if err != nil {
		return venue.Balances{}, err
	}
	read := a.spot
	if unified {
		// In the unified account the spot wallet is the unified one.
		read = a.unified
	}
	main, err := read(ctx)
	if err != nil {
		return venue.Balances{}, err
	}
	c.Add(main...)
	for _, part := range []struct {
		wallet venue.Wallet
		read   func(context.Context) ([]venue.Holding, error)
	}{
		{venue.Earn, a.lends},
		{venue.Staking, a.staking},
		{venue.Isolated, a.margin},
		{venue.Futures, func(ctx context.Context) ([]venue.Holding, error) { return a.futures(ctx, futuresPath, venue.Futures) }},
		{venue.Inverse, func(ctx context.Context) ([]venue.Holding, error) { return a.futures(ctx, inversePath, venue.Inverse) }},
	} {
		if unified && (part.wallet == venue.Futures || part.wallet == venue.Inverse) {
			continue // its margin is in the unified account
		}
		if err := c.Try(ctx, part.wallet, part.read); err != nil {
			return venue.Balances{}, err
		}
	}
	return c.Balances()
}

func (a *account) spot(ctx context.Context) ([]venue.Holding, error) {
	rows, err := list[struct {
		Currency  string        `json:"currency"`
		Available venue.Decimal `json:"available"`
		Locked    venue.Decimal `json:"locked"`
	}](ctx, a, spotPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Held(venue.Spot, r.Currency, r.Available, r.Locked))
	}
	_, err = venue.Gather(holdings) // a row without a balance is no empty wallet
	return holdings, err
}

// isUnified asks for the mode of the account. That decides where its balance is to
// be read, so that an account whose mode cannot be told is not read at all.
func (a *account) isUnified(ctx context.Context) (bool, error) {
	mode, err := get[struct {
		Mode *string `json:"mode"`
	}](ctx, a, modePath, nil)
	if venue.ReasonOf(err) == venue.AccountMode {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if mode.Mode == nil {
		return false, venue.Misread("%s has no mode", modePath)
	}
	return *mode.Mode != "classic" && *mode.Mode != "", nil
}

func (a *account) unified(ctx context.Context) ([]venue.Holding, error) {
	answer, err := get[struct {
		Balances map[string]struct {
			Available venue.Decimal `json:"available"`
			Freeze    venue.Decimal `json:"freeze"`
			Equity    venue.Decimal `json:"equity"` // what is borrowed is taken off
			TotalLiab venue.Decimal `json:"total_liab"`
		} `json:"balances"`
	}](ctx, a, unifiedPath, nil)
	if err != nil {
		return nil, err
	}
	if answer.Balances == nil {
		return nil, venue.Misread("%s has no balances", unifiedPath)
	}
	var holdings []venue.Holding
	for code, b := range answer.Balances {
		holdings = append(holdings, venue.Holding{Wallet: venue.Spot, Code: code, Available: b.Available, Locked: b.Freeze, Borrowed: b.TotalLiab, Total: b.Equity})
	}
	return holdings, nil
}

func (a *account) lends(ctx context.Context) ([]venue.Holding, error) {
	rows, err := list[struct {
		Currency string        `json:"currency"`
		Amount   venue.Decimal `json:"amount"`
	}](ctx, a, lendsPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Owned(venue.Earn, r.Currency, r.Amount))
	}
	return holdings, nil
}

func (a *account) staking(ctx context.Context) ([]venue.Holding, error) {
	rows, err := list[struct {
		Coin   string        `json:"mortgage_coin"`
		Amount venue.Decimal `json:"mortgage_amount"`
	}](ctx, a, stakingPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Owned(venue.Staking, r.Coin, r.Amount))
	}
	return holdings, nil
}

func (a *account) margin(ctx context.Context) ([]venue.Holding, error) {
	type side struct {
		Currency  string        `json:"currency"`
		Available venue.Decimal `json:"available"`
		Locked    venue.Decimal `json:"locked"`
		Borrowed  venue.Decimal `json:"borrowed"`
		Interest  venue.Decimal `json:"interest"`
	}
	rows, err := list[struct {
		Base  side `json:"base"`
		Quote side `json:"quote"`
	}](ctx, a, marginPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, pair := range rows {
		for _, s := range []side{pair.Base, pair.Quote} {
			owed := s.Borrowed.Add(s.Interest)
			holdings = append(holdings, venue.Holding{
				Wallet: venue.Isolated, Code: s.Currency, Available: s.Available, Locked: s.Locked, Borrowed: owed, Total: s.Available.Add(s.Locked).Sub(owed),
			})
		}
	}
	return holdings, nil
}

// futures returns the margin of contracts. Whoever never had any has no account
// for them, which is no fault.
func (a *account) futures(ctx context.Context, path string, w venue.Wallet) ([]venue.Holding, error) {
	answer, err := get[struct {
		Total         venue.Decimal `json:"total"`
		UnrealisedPnl venue.Decimal `json:"unrealised_pnl"`
		Available     venue.Decimal `json:"available"`
		Currency      string        `json:"currency"`
	}](ctx, a, path, nil)
	if venue.ReasonOf(err) == venue.AccountMode {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []venue.Holding{{Wallet: w, Code: answer.Currency, Available: answer.Available, Total: answer.Total.Add(answer.UnrealisedPnl)}}, nil
}

// Value implements venue.Valuer.
func (a *account) Value(ctx context.Context) ([]venue.Worth, error) {
	answer, err := get[struct {
		Total struct {
			Amount   venue.Decimal `json:"amount"`
			Currency string        `json:"currency"`
		} `json:"total"`
	}](ctx, a, totalPath, venue.P("currency", "USDT"))
	if err != nil {
		return nil, err
	}
	return []venue.Worth{{Code: answer.Total.Currency, Total: answer.Total.Amount}}, nil
}
