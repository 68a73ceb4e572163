package accounts

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/problem"
	"tallyd/indexer"
)

// What one answer may hold. More is refused, and never cut short.
const (
	maxPoints  = 400
	maxFigures = 20_000
)

// Past reads what accounts held at past times, which rise.
type Past interface {
	// AccountHistory returns what each account of a user on a chain held, oldest
	// account first, or none.
	AccountHistory(ctx context.Context, realm indexer.Realm, user uuid.UUID, times []time.Time) ([]indexer.AccountPast, error)

	// VaultHistory returns what each wallet in the vaults of a user held.
	VaultHistory(ctx context.Context, realm indexer.Realm, user uuid.UUID, times []time.Time) ([]indexer.AccountPast, error)

	// VenueHistory returns what each account of a user at a venue held.
	VenueHistory(ctx context.Context, realm indexer.Realm, user uuid.UUID, times []time.Time) ([]indexer.VenueAccountPast, error)
}

type (
	portfolioInput struct {
		AccountFilter
		In
		From string `query:"from" maxLength:"40" doc:"First point: a day (YYYY-MM-DD, UTC) or a time (RFC 3339). 30 days before to if left out" example:"2026-10-01"`
		To   string `query:"to" maxLength:"40" doc:"No point is after this day, which counts whole, or time. Now if left out" example:"2026-10-31"`
		Step string `query:"step" maxLength:"6" pattern:"^[1-9][0-9]{0,3}[mhdw]$" default:"1d" doc:"From one point to the next: a number of m (minutes), h, d or w" example:"1d"`
	}

	// doubt says of one account why a point may lack something of it.
	doubt struct {
		AccountID uuid.UUID `json:"account_id" format:"uuid"`
		Reason    string    `json:"reason"`
	}

	// portfolioPoint is what all accounts held at one time.
	portfolioPoint struct {
		At        stamp    `json:"at"`
		Balance   []amount `json:"balance" doc:"By asset, without those of zero" nullable:"false"`
		Complete  bool     `json:"complete" doc:"false where balance may lack something, as partial says"`
		Partial   []doubt  `json:"partial" nullable:"false"`
		Converted *worth   `json:"converted,omitempty" doc:"What balance was worth then; absent unless currency asks for it"`
	}
	portfolioAccount struct {
		AccountID   uuid.UUID `json:"account_id" format:"uuid"`
		Name        string    `json:"name"`
		Description string    `json:"description"`
		Type        string    `json:"type" enum:"crypto_wallet,crypto_exchange"`
		URL         string    `json:"url"`
		Chain       string    `json:"chain" doc:"Empty at a venue"`
		Venue       string    `json:"venue,omitempty"`
	}
	portfolioOutput struct {
		Body struct {
			From     stamp              `json:"from"`
			To       stamp              `json:"to" doc:"The last point"`
			Step     string             `json:"step" example:"1d"`
			Accounts []portfolioAccount `json:"accounts" doc:"Those connected now, whose past this is" nullable:"false"`
			Points   []portfolioPoint   `json:"points" doc:"Oldest first" nullable:"false"`
		}
	}
)

func (s *surface) mountPortfolio(api huma.API) {
	huma.Register(api, s.byUser(huma.Operation{
		OperationID: "BalanceHistory", Method: http.MethodGet, Path: "/v1/aggregate/history", Summary: "What all accounts held at past times", Tags: []string{"Totals"},
		Description: "Follows from the ledger as it stands now: what a chain has taken back was never held. At most 400 points; what would be more is refused.",
	}, http.StatusUnauthorized), s.portfolio)
}

func (s *surface) portfolio(ctx context.Context, in *portfolioInput) (*portfolioOutput, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	times, err := in.times(now)
	if err != nil {
		return nil, err
	}
	all, err := s.pasts(ctx, times)
	if err != nil {
		return nil, err
	}
	all, err = chosen(all, in.AccountFilter, func(p past) uuid.UUID { return p.account.AccountID })
	if err != nil {
		return nil, err
	}
	out := &portfolioOutput{}
	out.Body.From, out.Body.To, out.Body.Step = stamp(times[0]), stamp(times[len(times)-1]), in.Step
	out.Body.Accounts = make([]portfolioAccount, 0, len(all))
	for _, p := range all {
		out.Body.Accounts = append(out.Body.Accounts, p.account)
	}
	figures := 0
	for n, at := range times {
		point := portfolioPoint{At: stamp(at), Complete: true, Partial: []doubt{}}
		held := newSums()
		for _, p := range all {
			for _, asset := range p.held[n].assets {
				held.add(asset, p.held[n].amounts[asset.ID])
			}
			if why := p.partial[n]; why != "" {
				point.Complete = false
				point.Partial = append(point.Partial, doubt{AccountID: p.account.AccountID, Reason: why})
			}
		}
		point.Balance = held.list()
		figures += len(point.Balance) + len(point.Partial)
		out.Body.Points = append(out.Body.Points, point)
	}
	if figures > maxFigures {
		return nil, problem.Invalid("step", fmt.Sprintf("the answer would hold %d figures, and at most %d: take a longer step, or one account", figures, maxFigures))
	}
	return out, s.convertPoints(ctx, in.Currency, times, out.Body.Points)
}

// convertPoints says what was held was worth, each point by the prices of its time.
func (s *surface) convertPoints(ctx context.Context, currency string, times []time.Time, points []portfolioPoint) error {
	var list []convertible
	for n := range points {
		list = append(list, ofAmounts(points[n].Balance, times[n])...)
	}
	c, err := s.convert(ctx, currency, list)
	if err != nil {
		return err
	}
	for n := range points {
		points[n].Converted = c.total(ofAmounts(points[n].Balance, times[n]), points[n].Complete)
	}
	return nil
}

// times returns the points that were asked for.
func (in *portfolioInput) times(now time.Time) ([]time.Time, error) {
	step, err := stepOf(in.Step)
	if err != nil {
		return nil, err
	}
	end, err := day("to", in.To, 1)
	if err != nil {
		return nil, err
	}
	if _, err := time.Parse("2006-1-2", in.To); err == nil {
		last := end.Add(-time.Microsecond) // midnight is the next day's
		end = &last
	}
	if end == nil || end.After(now) {
		// Today is not over, and nobody knows tomorrow.
		if end != nil && end.After(now.AddDate(0, 0, 1)) {
			return nil, problem.Invalid("to", "expected a time that has come")
		}
		end = &now
	}
	begin, err := day("from", in.From, 0)
	if err != nil {
		return nil, err
	}
	if begin == nil {
		start := end.AddDate(0, 0, -30)
		begin = &start
	}
	if begin.After(*end) {
		return nil, problem.Invalid("from", "expected a time before to")
	}
	if n := int64(end.Sub(*begin)/step) + 1; n > maxPoints {
		return nil, problem.Invalid("step", fmt.Sprintf("these would be %d points, and at most %d: take a longer step", n, maxPoints))
	}
	var times []time.Time
	for at := *begin; !at.After(*end); at = at.Add(step) {
		times = append(times, at)
	}
	return times, nil
}

// stepOf reads a step.
func stepOf(text string) (time.Duration, error) {
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	n, err := strconv.Atoi(strings.TrimRight(text, "mhdw"))
	if err != nil || text == "" || n < 1 {
		return 0, problem.Invalid("step", "expected a number of m, h, d or w, such as 1d")
	}
	return time.Duration(n) * unit[text[len(text)-1:]], nil
}

// past is what one account held, point by point.
type past struct {
	account portfolioAccount
	held    []*sums
	partial []string
}

// pasts reads the past of all accounts of the caller.
func (s *surface) pasts(ctx context.Context, times []time.Time) ([]past, error) {
	if s.Past == nil {
		return nil, nil
	}
	caller := callerOf(ctx)
	onChains, err := s.Past.AccountHistory(ctx, caller.Realm, caller.User, times)
	if err != nil {
		return nil, fmt.Errorf("read the past of accounts: %w", err)
	}
	vaults, err := s.Past.VaultHistory(ctx, caller.Realm, caller.User, times)
	if err != nil {
		return nil, fmt.Errorf("read the past of vaults: %w", err)
	}
	venues, err := s.Past.VenueHistory(ctx, caller.Realm, caller.User, times)
	if err != nil {
		return nil, fmt.Errorf("read the past at venues: %w", err)
	}
	all := make([]past, 0, len(onChains)+len(vaults)+len(venues))
	for _, one := range slices.Concat(onChains, vaults) {
		all = append(all, pastOf(one))
	}
	for _, one := range venues {
		all = append(all, pastAtVenue(one))
	}
	return all, nil
}

func pastOf(one indexer.AccountPast) past {
	p := past{account: portfolioAccountOf(one.Account)}
	for _, point := range one.Points {
		held := newSums()
		for _, b := range point.Balances {
			held.add(b.Asset, b.Amount)
		}
		p.held, p.partial = append(p.held, held), append(p.partial, point.Partial)
	}
	return p
}

func pastAtVenue(one indexer.VenueAccountPast) past {
	p := past{account: portfolioAccountOf(one.Account)}
	for _, point := range one.Points {
		held := newSums()
		for _, h := range point.Held {
			if asset, n, ok := exact(h.Asset, h.Total); ok {
				held.add(asset, n)
			}
		}
		p.held, p.partial = append(p.held, held), append(p.partial, point.Partial)
	}
	return p
}

func portfolioAccountOf(a indexer.Account) portfolioAccount {
	return portfolioAccount{
		AccountID: a.ID, Name: a.Name, Description: a.Description, Type: typeOf(a), URL: pathOf(a), Chain: a.Chain, Venue: a.Venue,
	}
}
